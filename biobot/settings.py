"""The sections of biobot.toml as frozen dataclasses: every key with its type, its default and its bounds.

A value that cannot be used raises ValueError("key: what is wrong"), to which `biobot.config` adds the place. Nothing
secret is in here (see `biobot.networks.secrets`), and nothing heavy is imported: the daemon reads this.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from biobot.text.language import LANGUAGES

Value = TypeVar("Value")

NETWORKS = ("rehearsal", "bluesky", "mastodon", "x", "stdout")
"""The networks that are built in."""

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def duration(text: Any) -> timedelta:
    """Return how long "90s", "1h30m" or "3d" is; raise ValueError for anything else."""
    if not (isinstance(text, str) and re.fullmatch(r"(\d+(\.\d+)?(ms|[smhdw]))+", text)):
        raise ValueError(f'{text!r:.60} is not a duration such as "90s", "10m", "1h30m" or "3d"')
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhdw])", text)
    try:
        return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))
    except OverflowError:
        return timedelta.max


def _checked(default: Value, **rules: Any) -> Value:
    """Declare a key with its default and rules: `least`, `most`, or the `pattern` of a string and its `meaning`."""
    return field(default=default, metadata=rules)


def _duration(*default: str, least: str = "1ms", most: str = "3650d") -> Any:
    """Declare a duration, or several, with default and bounds as biobot.toml would have them."""
    values = tuple(map(duration, default))
    return _checked(values if len(values) > 1 else values[0], least=least, most=most)


class _Section:
    """Checks the bounds and patterns that the keys of a section are declared with."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for key in fields(self):  # type: ignore[arg-type]
            value, rules = getattr(self, key.name), key.metadata
            for each in value if isinstance(value, tuple) else () if value is None else (value,):
                if "least" in rules and each < _limit(rules["least"]):
                    raise ValueError(f"{key.name}: it must be at least {rules['least']}")
                if "most" in rules and each > _limit(rules["most"]):
                    raise ValueError(f"{key.name}: it must be at most {rules['most']}")
                if "pattern" in rules and not re.fullmatch(rules["pattern"], each):
                    raise ValueError(f'{key.name}: "{each:.60}" is not {rules["meaning"]}')


def _limit(bound: Any) -> Any:
    return duration(bound) if isinstance(bound, str) else bound


_LANGUAGES = {"pattern": "|".join((*LANGUAGES, "und")), "meaning": f"one of {', '.join(LANGUAGES[:26])}, und, …"}
_TIME = r"([01]\d|2[0-3]):[0-5]\d"
_NETWORK = {"pattern": r"[a-z][a-z0-9_]*", "meaning": "the name of a network, such as bluesky"}
_ACCOUNT = {"pattern": r"@[A-Za-z0-9_]{1,15}|[1-9][0-9]{0,18}", "meaning": "an @handle or an id"}


@dataclass(frozen=True, slots=True)
class ModelSettings(_Section):
    """`[model]`: which model is active, and where it runs."""

    name: str = "current"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    keep: int = _checked(5, least=1)


@dataclass(frozen=True, slots=True)
class SampleSettings(_Section):
    """`[sample]`: how bios are drawn; `temperatures` is a list, or a table of temperature = weight."""

    temperatures: Mapping[float, float] = field(default_factory=lambda: {0.6: 1.0, 0.8: 1.0, 1.0: 1.0})
    max_tries: int = _checked(400, least=1)
    best_of: int = _checked(100, least=1)
    deadline: timedelta = _duration("2m", most="1d")

    def __post_init__(self) -> None:
        _Section.__post_init__(self)
        if not self.temperatures:
            raise ValueError("temperatures: name at least one, such as [0.8]")
        for temperature, weight in self.temperatures.items():
            if not (math.isfinite(temperature) and 0 <= temperature <= 100):
                raise ValueError(f"temperatures: {temperature} is not a number from 0 to 100")
            if not (math.isfinite(weight) and weight > 0):
                raise ValueError(f"temperatures: the weight of {temperature} must be above 0")


@dataclass(frozen=True, slots=True)
class FilterSettings(_Section):
    """`[filters]`: which plugins judge; `tables` holds each plugin's own `[filters.NAME]`, which the plugin checks."""

    disabled: tuple[str, ...] = ()
    required: tuple[str, ...] = ("length", "profanity", "dedupe")
    timeout: timedelta = _duration("2s", most="1h")
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TasteSettings(_Section):
    """`[taste]`: how the best of `sample.best_of` drafts is chosen; `variety` is what likeness to others costs."""

    enabled: bool = True
    variety: float = _checked(0.5, least=0.0)
    engagement: Literal["off", "on"] = "off"


@dataclass(frozen=True, slots=True)
class TrainSettings(_Section):
    """`[train]`: which bios are used for training. Bios are left out whole, never cut; no `languages` means all."""

    min_bytes: int = _checked(1, least=1)
    max_bytes: int = 1024
    languages: tuple[str, ...] = _checked((), **_LANGUAGES)
    url: Literal["drop", "keep"] = "drop"
    email: Literal["drop", "keep"] = "drop"
    phone: Literal["drop", "keep"] = "drop"
    line_ends: Literal["keep", "newline"] = "keep"

    def __post_init__(self) -> None:
        _Section.__post_init__(self)
        if self.max_bytes < self.min_bytes:
            raise ValueError(f"max_bytes: it must be at least {self.min_bytes}, which is min_bytes")


@dataclass(frozen=True, slots=True)
class ScheduleSettings(_Section):
    """`[schedule]`: when a post is due: at every interval from local midnight, or by a cron line."""

    every: timedelta | None = field(default=None, metadata={"least": "1s", "most": "3650d"})
    cron: str | None = None
    jitter: timedelta = _duration("10m", least="0s")
    quiet: tuple[str, ...] = _checked((), pattern=f"{_TIME}-{_TIME}", meaning='a span such as "23:00-07:00"')
    timezone: str = "local"
    min_gap: timedelta = _duration("0s", least="0s")
    catch_up: Literal["one", "skip"] = "one"

    def __post_init__(self) -> None:
        _Section.__post_init__(self)
        if self.every is not None and self.cron is not None:
            raise ValueError("every: set either `every` or `cron`, not both")
        if self.every is None and self.cron is None:
            object.__setattr__(self, "every", timedelta(hours=6))
        if self.every is not None and self.every.microseconds:
            raise ValueError("every: it must be whole seconds")
        for span in self.quiet:
            if span[:5] == span[6:]:
                raise ValueError(f'quiet: "{span}" ends when it begins; to stop all posts use `biobot pause`')
        if self.timezone != "local":
            from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

            try:
                ZoneInfo(self.timezone)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                raise ValueError(
                    f'timezone: "{self.timezone}" is not a time zone known here; use "local", "UTC" or a name '
                    'such as "Europe/Berlin"'
                ) from None


@dataclass(frozen=True, slots=True)
class BudgetSettings(_Section):
    """`[post.budget]`: what a bot may post and spend; days and months are in UTC."""

    posts_per_day: int = _checked(17, least=0)
    usd_per_month: float = _checked(5.0, least=0)


@dataclass(frozen=True, slots=True)
class PriceSettings(_Section):
    """`[post.prices]`: what X charges, in dollars, as of a day; change them when X does."""

    as_of: str = _checked("2026-08-13", pattern=r"\d{4}-\d\d-\d\d", meaning='a day such as "2026-08-13"')
    post: float = _checked(0.015, least=0)
    post_with_url: float = _checked(0.2, least=0)
    delete: float = _checked(0.01, least=0)
    read_post: float = _checked(0.005, least=0)
    read_user: float = _checked(0.01, least=0)
    read_own: float = _checked(0.001, least=0)


@dataclass(frozen=True, slots=True)
class PostSettings(_Section):
    """`[post]`: where posts go, who approves them, and how posts of unknown fate are settled."""

    network: str | None = _checked(None, **_NETWORK)
    networks: tuple[str, ...] | None = _checked(None, **_NETWORK)
    review: Literal["off", "on"] = "off"
    review_ahead: int = _checked(10, least=1)
    review_expiry: timedelta = _duration("3d")
    reconcile_after: tuple[timedelta, ...] = _duration("1m", "5m", "1h", "24h")
    history: timedelta = _duration("400d")
    budget: BudgetSettings = field(default_factory=BudgetSettings)
    prices: PriceSettings = field(default_factory=PriceSettings)

    def __post_init__(self) -> None:
        _Section.__post_init__(self)
        if self.network is not None and self.networks is not None:
            raise ValueError("networks: set either `network` or `networks`, not both")
        if self.networks is not None and len(set(self.networks)) != max(len(self.networks), 1):
            raise ValueError('networks: name at least one, and each once, such as ["bluesky", "x"]')
        if not self.reconcile_after:
            raise ValueError('reconcile_after: name at least one wait, such as ["1m"]')
        if list(self.reconcile_after) != sorted(set(self.reconcile_after)):
            raise ValueError("reconcile_after: each wait must be longer than the one before")

    @property
    def all(self) -> tuple[str, ...]:
        """The networks that are posted to."""
        return self.networks or (self.first,)

    @property
    def first(self) -> str:
        """The network that is posted to, or the first of several."""
        return self.networks[0] if self.networks else self.network or "rehearsal"


def _check_address(key: str, address: str, example: str) -> None:
    """Raise ValueError unless an address is one that secrets may travel to."""
    base = urlsplit(address)
    loopback = base.hostname in ("localhost", "127.0.0.1", "::1")
    if not base.hostname or base.path.strip("/") or base.query or base.username:
        raise ValueError(f'{key}: "{address}" is not an address such as {example}')
    if not (base.scheme == "https" or (base.scheme == "http" and loopback)):
        raise ValueError(f"{key}: it must be https, or http on loopback, since the keys travel with each request")


@dataclass(frozen=True, slots=True)
class XSettings(_Section):
    """`[x]`: how X is reached."""

    api_base: str = "https://api.twitter.com"
    timeout: timedelta = _duration("30s", most="1h")
    engagement: Literal["off", "on"] = "off"

    def __post_init__(self) -> None:
        _Section.__post_init__(self)
        _check_address("api_base", self.api_base, "https://api.twitter.com")


@dataclass(frozen=True, slots=True)
class BlueskySettings(_Section):
    """`[bluesky]`: the server that the account is on."""

    service: str = "https://bsky.social"
    timeout: timedelta = _duration("30s", most="1h")

    def __post_init__(self) -> None:
        _Section.__post_init__(self)
        _check_address("service", self.service, "https://bsky.social")


@dataclass(frozen=True, slots=True)
class MastodonSettings(_Section):
    """`[mastodon]`: the server that the account is on, who sees the posts, and what they are hidden behind."""

    server: str = ""
    visibility: Literal["public", "unlisted", "private"] = "unlisted"
    content_warning: str = ""
    timeout: timedelta = _duration("30s", most="1h")

    def __post_init__(self) -> None:
        _Section.__post_init__(self)
        if self.server:
            _check_address("server", self.server, "https://mastodon.social")


@dataclass(frozen=True, slots=True)
class PaceSettings(_Section):
    """`[collect.pace]`: the requests that X allows in 15 minutes, from which the time of a collection is estimated."""

    users: int = _checked(300, least=1)
    followers: int = _checked(300, least=1)
    following: int = _checked(300, least=1)
    lists: int = _checked(900, least=1)
    search: int = _checked(450, least=1)


@dataclass(frozen=True, slots=True)
class CollectSettings(_Section):
    """`[collect]`: fetching bios from X; off until you have read docs/collecting.md.

    Accounts are handles with their @, or ids.
    """

    enabled: bool = False
    followers: tuple[str, ...] = _checked((), **_ACCOUNT)
    following: tuple[str, ...] = _checked((), **_ACCOUNT)
    friends: tuple[str, ...] = _checked((), **_ACCOUNT)
    depth: int = _checked(2, least=1)
    lists: tuple[str, ...] = _checked((), pattern=r"[1-9][0-9]{0,18}", meaning="the id of a list")
    search: tuple[str, ...] = _checked((), pattern=r"(?s).{1,512}", meaning="a query of 1 to 512 characters")
    ids: tuple[str, ...] = ()
    limit: int = _checked(10_000, least=1)
    usd_per_month: float = _checked(20.0, least=0)
    again: timedelta = _duration("30d")
    pace: PaceSettings = field(default_factory=PaceSettings)


@dataclass(frozen=True, slots=True)
class NotifySettings(_Section):
    """`[notify]`: a command that is run once for each new problem, with JSON on its standard input."""

    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole of biobot.toml; `tables` holds those of networks that plugins bring, which the plugins check."""

    model: ModelSettings = field(default_factory=ModelSettings)
    sample: SampleSettings = field(default_factory=SampleSettings)
    filters: FilterSettings = field(default_factory=FilterSettings)
    taste: TasteSettings = field(default_factory=TasteSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    post: PostSettings = field(default_factory=PostSettings)
    x: XSettings = field(default_factory=XSettings)
    bluesky: BlueskySettings = field(default_factory=BlueskySettings)
    mastodon: MastodonSettings = field(default_factory=MastodonSettings)
    collect: CollectSettings = field(default_factory=CollectSettings)
    notify: NotifySettings = field(default_factory=NotifySettings)
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
