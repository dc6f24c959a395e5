"""`biobot.toml` made into checked settings: each section a frozen dataclass, each key with its default.

Nothing secret is in here (see `biobot.networks.secrets`), and nothing heavy is imported: the daemon reads this.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import sys
import tomllib
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from biobot.errors import ConfigError

T = TypeVar("T")

Plain = Mapping[str, Any]
"""A table as tomllib gives it."""


# -- the sections ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """`[model]`: which model speaks, and where it runs."""

    name: str = "current"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    keep: int = 5

    def __post_init__(self) -> None:
        _at_least("keep", self.keep, 1)


@dataclass(frozen=True, slots=True)
class SampleSettings:
    """`[sample]`: how bios are drawn; `temperatures` is a list, or a table of temperature = weight."""

    temperatures: Mapping[float, float] = field(default_factory=lambda: {0.6: 1.0, 0.8: 1.0, 1.0: 1.0})
    max_tries: int = 200
    best_of: int = 1
    deadline: timedelta = timedelta(minutes=2)

    def __post_init__(self) -> None:
        if not self.temperatures:
            raise ValueError("temperatures: name at least one, such as [0.8]")
        for temperature, weight in self.temperatures.items():
            if not (math.isfinite(temperature) and 0 <= temperature <= 100):
                raise ValueError(f"temperatures: {temperature} is not a number from 0 to 100")
            if not (math.isfinite(weight) and weight > 0):
                raise ValueError(f"temperatures: the weight of {temperature} must be above 0")
        _at_least("max_tries", self.max_tries, 1)
        _at_least("best_of", self.best_of, 1)
        _positive("deadline", self.deadline)


@dataclass(frozen=True, slots=True)
class FilterSettings:
    """`[filters]`: what judges; `tables` holds each plugin's own `[filters.NAME]`, checked by the plugin."""

    disabled: tuple[str, ...] = ()
    required: tuple[str, ...] = ("length", "profanity", "dedupe")
    timeout: timedelta = timedelta(seconds=2)
    tables: Mapping[str, Plain] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _positive("timeout", self.timeout)


LANGUAGES = (
    *("en", "es", "fr", "de", "pt", "it", "nl", "sv", "da", "no", "fi", "pl", "cs", "tr", "hu", "fil", "id"),
    *("ja", "ko", "th", "ru", "ar", "hi", "he", "el", "zh", "und"),
)
"""What `[train] languages` may name: what `biobot.text.language` tells apart, and "und" for what it cannot."""


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """`[train]`: what is learnt; `clean` leaves out whole bios, it cuts nothing out of one. No languages: all."""

    min_bytes: int = 1
    max_bytes: int = 1024
    languages: tuple[str, ...] = ()
    url: Literal["drop", "keep"] = "drop"
    email: Literal["drop", "keep"] = "drop"
    phone: Literal["drop", "keep"] = "drop"
    line_ends: Literal["keep", "newline"] = "keep"

    def __post_init__(self) -> None:
        _at_least("min_bytes", self.min_bytes, 1)
        _at_least("max_bytes", self.max_bytes, self.min_bytes)
        for code in self.languages:
            if code not in LANGUAGES:
                raise ValueError(f'languages: "{code}" is not one of {", ".join(LANGUAGES)}')


@dataclass(frozen=True, slots=True)
class ScheduleSettings:
    """`[schedule]`: when a post is due: every interval from local midnight, or by a cron line."""

    every: timedelta | None = None
    cron: str | None = None
    jitter: timedelta = timedelta(minutes=10)
    quiet: tuple[str, ...] = ()
    timezone: str = "local"
    min_gap: timedelta = timedelta(0)
    catch_up: Literal["one", "skip"] = "one"

    def __post_init__(self) -> None:
        if self.every is not None and self.cron is not None:
            raise ValueError("every: give either `every` or `cron`, not both")
        if self.every is None and self.cron is None:
            object.__setattr__(self, "every", timedelta(hours=6))
        if self.every is not None and (self.every < timedelta(seconds=1) or self.every.microseconds):
            raise ValueError("every: give whole seconds, at least one")
        for span in self.quiet:
            if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d", span):
                raise ValueError(f'quiet: {span!r} is not a span such as "23:00-07:00"')
            if span[:5] == span[6:]:
                raise ValueError(f"quiet: {span!r} ends where it begins; `biobot pause` stops all posts")
        if self.timezone != "local":
            from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

            try:
                ZoneInfo(self.timezone)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                raise ValueError(
                    f'timezone: {self.timezone!r} is no time zone known here; use "local", "UTC" or a name '
                    'such as "Europe/Berlin"'
                ) from None


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """`[post.budget]`: what a bot may post and spend; days and months are UTC's."""

    posts_per_day: int = 17
    usd_per_month: float = 5.0

    def __post_init__(self) -> None:
        _at_least("posts_per_day", self.posts_per_day, 0)
        _at_least("usd_per_month", self.usd_per_month, 0)


@dataclass(frozen=True, slots=True)
class PriceSettings:
    """`[post.prices]`: what X charges, in dollars, as of a day; X changes its prices, and you change these."""

    as_of: str = "2026-08-13"
    post: float = 0.015
    post_with_url: float = 0.2
    delete: float = 0.01
    read_post: float = 0.005
    read_user: float = 0.01
    read_own: float = 0.001

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", self.as_of):
            raise ValueError(f'as_of: {self.as_of!r} is not a day such as "2026-08-13"')
        for each in fields(self):
            if each.name != "as_of":
                _at_least(each.name, getattr(self, each.name), 0)


@dataclass(frozen=True, slots=True)
class PostSettings:
    """`[post]`: where a post goes, who has a say, and what happens when its fate is unknown."""

    network: Literal["rehearsal", "x", "stdout"] = "rehearsal"
    review: Literal["off", "on"] = "off"
    review_ahead: int = 10
    review_expiry: timedelta = timedelta(days=3)
    reconcile_after: tuple[timedelta, ...] = (
        timedelta(minutes=1),
        timedelta(minutes=5),
        timedelta(hours=1),
        timedelta(hours=24),
    )
    history: timedelta = timedelta(days=400)
    budget: BudgetSettings = field(default_factory=BudgetSettings)
    prices: PriceSettings = field(default_factory=PriceSettings)

    def __post_init__(self) -> None:
        _positive("history", self.history)
        _at_least("review_ahead", self.review_ahead, 1)
        _positive("review_expiry", self.review_expiry)
        if not self.reconcile_after:
            raise ValueError('reconcile_after: name at least one wait, such as ["1m"]')
        if list(self.reconcile_after) != sorted(set(self.reconcile_after)):
            raise ValueError("reconcile_after: the waits must grow")


@dataclass(frozen=True, slots=True)
class XSettings:
    """`[x]`: how X is reached."""

    api_base: str = "https://api.twitter.com"
    timeout: timedelta = timedelta(seconds=30)

    def __post_init__(self) -> None:
        base = urlsplit(self.api_base)
        loopback = base.hostname in ("localhost", "127.0.0.1", "::1")
        if not base.hostname or base.path.strip("/") or base.query or base.username:
            raise ValueError(f"api_base: {self.api_base!r} is not an address such as https://api.twitter.com")
        if not (base.scheme == "https" or (base.scheme == "http" and loopback)):
            raise ValueError("api_base: it must be https, or http on loopback, or the keys would travel in the open")
        _positive("timeout", self.timeout)


@dataclass(frozen=True, slots=True)
class PaceSettings:
    """`[collect.pace]`: requests that X allows in 15 minutes, to tell beforehand how long collecting takes."""

    users: int = 300
    followers: int = 300
    following: int = 300
    lists: int = 900
    search: int = 450

    def __post_init__(self) -> None:
        for each in fields(self):
            _at_least(each.name, getattr(self, each.name), 1)


@dataclass(frozen=True, slots=True)
class CollectSettings:
    """`[collect]`: fetching fresh bios from X; off until you have read docs/collecting.md.

    Accounts are handles with their @, or ids.
    """

    enabled: bool = False
    followers: tuple[str, ...] = ()
    following: tuple[str, ...] = ()
    friends: tuple[str, ...] = ()
    depth: int = 2
    lists: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    limit: int = 10_000
    usd_per_month: float = 20.0
    again: timedelta = timedelta(days=30)
    pace: PaceSettings = field(default_factory=PaceSettings)

    def __post_init__(self) -> None:
        for key in ("followers", "following", "friends", "lists"):
            for target in getattr(self, key):
                if not re.fullmatch(r"[1-9]\d{0,18}" if key == "lists" else r"@\w{1,50}|[1-9]\d{0,18}", target):
                    raise ValueError(f"{key}: {target!r} is no {'id' if key == 'lists' else '@handle and no id'}")
        for query in self.search:
            if not 1 <= len(query) <= 512:
                raise ValueError("search: a query has 1 to 512 characters")
        _at_least("depth", self.depth, 1)
        _at_least("limit", self.limit, 1)
        _at_least("usd_per_month", self.usd_per_month, 0)
        _positive("again", self.again)


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """`[notify]`: a command that is told of each new problem once, as JSON on its standard input."""

    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole of biobot.toml."""

    model: ModelSettings = field(default_factory=ModelSettings)
    sample: SampleSettings = field(default_factory=SampleSettings)
    filters: FilterSettings = field(default_factory=FilterSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    post: PostSettings = field(default_factory=PostSettings)
    x: XSettings = field(default_factory=XSettings)
    collect: CollectSettings = field(default_factory=CollectSettings)
    notify: NotifySettings = field(default_factory=NotifySettings)


@dataclass(frozen=True, slots=True)
class Config:
    """One bot: its settings, the file they came from (None: all defaults), its folder and its state's home."""

    settings: Settings
    file: Path | None
    folder: Path
    home: Path


# -- finding and reading -----------------------------------------------------------------------------


def load(file: Path | None = None, home: Path | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """Read the bot's settings and find its home, by the order that the contract gives.

    Raises ConfigError for a file that was named and is not there, is no TOML, or holds a wrong key or value.
    """
    named = file or (Path(environ["BIOBOT_CONFIG"]) if environ.get("BIOBOT_CONFIG") else None)
    found = named or Path("biobot.toml")
    if not found.is_file():
        if named is not None:
            raise ConfigError(f"there is no config file {named}; write one with `biobot init`")
        folder = home or _home(environ, None)
        return Config(Settings(), None, folder, folder)
    found = found.resolve()
    return Config(read(found), found, found.parent, home or _home(environ, found.parent))


def read(file: Path) -> Settings:
    """Read and check one biobot.toml; raise ConfigError naming file, line and key of what is wrong."""
    try:
        text = file.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not valid TOML: {error}") from None
    return build(Settings, table, Where(str(file), text))


def _home(environ: Mapping[str, str], folder: Path | None) -> Path:
    for name in ("BIOBOT_HOME", "STATE_DIRECTORY"):
        if environ.get(name):
            # systemd joins several state directories with colons; ours is the first
            return Path(environ[name].split(":")[0] if name == "STATE_DIRECTORY" else environ[name])
    if folder is not None:
        return folder / "state"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "biobot"
    return Path(environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "biobot"


# -- a table into a dataclass ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a config file, for messages: the file's name, its text, and the path of keys."""

    file: str
    text: str = ""
    keys: tuple[str, ...] = ()

    def at(self, key: str) -> Where:
        """Return the place of `key` under this one."""
        return Where(self.file, self.text, (*self.keys, key))

    def error(self, message: str) -> ConfigError:
        """Make the error that names file, line and key."""
        line = self._line()
        return ConfigError(f"{self.file}{f', line {line}' if line else ''}: {'.'.join(self.keys)}: {message}")

    def _line(self) -> int | None:
        """Find the line on which this key stands: a search, since tomllib keeps no positions."""
        section: tuple[str, ...] = ()
        for number, line in enumerate(self.text.splitlines(), start=1):
            line = line.strip()
            if header := re.match(r"\[+\s*([^\]]+?)\s*\]", line):
                section = tuple(part.strip().strip("\"'") for part in header[1].split("."))
                if section == self.keys:
                    return number
            elif (match := re.match(r"[\"']?([\w.-]+)[\"']?\s*=", line)) and (
                *section,
                *match[1].split("."),
            ) == self.keys:
                return number
        return None


def build(kind: type[T], table: Plain, where: Where) -> T:
    """Make the dataclass `kind` of a table: unknown keys, wrong types and wrong values are ConfigErrors.

    A section's `__post_init__` may raise ValueError("key: what is wrong"). Used for biobot.toml and for
    the tables of plugins alike.
    """
    assert is_dataclass(kind)
    hints = typing.get_type_hints(kind)
    known = {each.name: each for each in fields(kind) if each.name != "tables"}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key in known:
            values[key] = _value(hints[key], value, where.at(key))
        elif "tables" in hints and isinstance(value, dict):
            values.setdefault("tables", {})[key] = value
        else:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(known) or 'nothing'}"
            raise where.at(key).error(f"there is no such key; {hint}")
    for name, each in known.items():
        if name not in values and each.default is MISSING and each.default_factory is MISSING:
            raise where.at(name).error("this key has no default and must be given")
    try:
        return kind(**values)
    except ValueError as error:
        key, colon, message = str(error).partition(": ")
        raise (where.at(key).error(message) if colon and key in known else where.error(str(error))) from None


def _value(hint: Any, value: Any, where: Where) -> Any:
    """Convert one TOML value to the type that `hint` names."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if is_dataclass(hint):
        if not isinstance(value, dict):
            raise where.error(f"this is a section, not {_show(value)}")
        return build(typing.cast(type[Any], hint), value, where)
    if origin in (typing.Union, types.UnionType):
        return _value(next(each for each in arguments if each is not type(None)), value, where)
    if origin is Literal:
        if value not in arguments or isinstance(value, bool):
            raise where.error(f"{_show(value)} is not one of {', '.join(map(_show, arguments))}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise where.error(f"{_show(value)} is not a list")
        return tuple(_value(arguments[0], each, where) for each in value)
    if origin in (Mapping, dict) or hint is Mapping:
        return _weights(value, where)
    if hint is timedelta:
        return _duration(value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        names = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}
        raise where.error(f"{_show(value)} is not {names.get(hint, hint)}")
    if hint is float and not math.isfinite(value):
        raise where.error(f"{value} is not a finite number")
    return value


def _weights(value: Any, where: Where) -> dict[float, float]:
    """Read `[0.6, 0.8]` or `{"0.8" = 3, "1.0" = 1}` as number -> weight."""
    if isinstance(value, list):
        weights: dict[float, float] = {}
        for each in value:  # a temperature named twice weighs twice
            number = _value(float, each, where)
            weights[number] = weights.get(number, 0.0) + 1.0
        return weights
    if not isinstance(value, dict):
        raise where.error(f"{_show(value)} is neither a list nor a table of weights")
    try:
        return {float(key): _value(float, weight, where.at(key)) for key, weight in value.items()}
    except ValueError:
        raise where.error(f"a key of {_show(value)} is not a number") from None


_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def duration(text: str) -> timedelta:
    """Read "90s", "1h30m" or "3d"; raise ValueError for anything else."""
    if not re.fullmatch(r"(\d+(\.\d+)?(ms|[smhdw]))+", text):
        raise ValueError(f'{text!r} is not a duration such as "90s", "10m", "1h30m" or "3d"')
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhdw])", text)
    try:
        return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))
    except OverflowError:
        raise ValueError(f"{text!r} is longer than any clock runs") from None


def _duration(value: Any, where: Where) -> timedelta:
    if not isinstance(value, str):
        raise where.error(f'{_show(value)} is not a duration; give it with its unit, such as "10m"')
    try:
        return duration(value)
    except ValueError as error:
        raise where.error(str(error)) from None


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _at_least(key: str, value: float, least: float) -> None:
    if value < least:
        raise ValueError(f"{key}: {value} is below {least}")


def _positive(key: str, value: timedelta) -> None:
    if value <= timedelta(0):
        raise ValueError(f"{key}: it must be longer than nothing")


def every_key(kind: type[Any] = Settings, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every key there is: for the tests that keep config/biobot.toml and the docs whole."""
    hints = typing.get_type_hints(kind)
    for each in fields(kind):
        if is_dataclass(hints[each.name]):
            yield from every_key(hints[each.name], (*above, each.name))
        elif each.name != "tables":
            yield (*above, each.name)
