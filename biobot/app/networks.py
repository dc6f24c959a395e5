"""Opens networks: the one place that knows all of them. Only those that are asked for are imported."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from importlib import import_module
from typing import Any, cast

from biobot.config import Config, Where, build
from biobot.errors import NetworkError, PluginError
from biobot.networks import secrets
from biobot.networks.errors import Refused
from biobot.networks.network import FOR_EVER, Network, Opening
from biobot.posting import engagement
from biobot.posting.budget import Budget
from biobot.posting.outbox import Outbox
from biobot.posting.post import Post
from biobot.text.humanize import lasting

BUILT_IN = {
    "bluesky": "biobot.networks.bluesky",
    "mastodon": "biobot.networks.mastodon",
    "rehearsal": "biobot.rehearsal.network",
    "stdout": "biobot.networks.stdout",
    "x": "biobot.networks.x",
}


def find(config: Config, name: str) -> type[Network]:
    """Return the class of a network, built in or a plugin of that name; raise PluginError if there is none."""
    if name in BUILT_IN:
        return cast(type[Network], import_module(BUILT_IN[name]).biobot_network())
    from biobot.filters.loader import load_one

    plugin = load_one(config, name)
    found = plugin.hooks["biobot_network"]() if "biobot_network" in plugin.hooks else None
    if not (isinstance(found, type) and issubclass(found, Network)):
        raise PluginError(f"the plugin {name} ({plugin.origin}): biobot_network must return a subclass of Network")
    if getattr(found, "name", None) != name:
        raise PluginError(f"the plugin {name} ({plugin.origin}): the name of its network must be {name!r}, too")
    return found


def open_network(
    config: Config, clock: Callable[[], datetime], stop: threading.Event | None = None, name: str | None = None
) -> Network:
    """Open a network, by default the first that `post.network` or `post.networks` names.

    `clock` dates signatures, and is a fake network's time; `stop` is set when the process is to stop. Raises
    SecretsError when the secrets lie where others can read them; missing ones are noticed at the first call.
    """
    kind = find(config, name or config.settings.post.first)
    values = secrets.read(config, kind.secrets) if kind.secrets else {}
    return kind.open(Opening(_settings(config, kind), values, config.home, clock, stop or threading.Event()))


def check(config: Config, clock: Callable[[], datetime], name: str) -> list[str]:
    """Return what a network says of its account and its limits; raise NetworkError with how to fix what is wrong."""
    network = open_network(config, clock, name=name)
    try:
        account = network.me()
        with Outbox(config.home / "outbox.db", name, read_only=True) as outbox:
            if outbox.account not in ("", account.id):
                raise NetworkError(f"the keys are @{account.handle}'s, but this outbox is account {outbox.account}'s")
        return list(network.check())
    except Refused as error:
        raise NetworkError(f"{error}; {error.remedy}" if error.remedy else str(error)) from error
    finally:
        network.close()


def label(config: Config, clock: Callable[[], datetime], name: str) -> str:
    """Mark the account as a bot's where the network has a mark for it; return what was done."""
    network = open_network(config, clock, name=name)
    try:
        return network.label()
    finally:
        network.close()


@dataclass(frozen=True, slots=True)
class Reactions:
    """What people did with the posts on one network: in all, and with the most popular ones."""

    network: str
    totals: engagement.Totals | None
    best: list[tuple[Post, dict[str, int]]]


def reactions(config: Config, clock: Callable[[], datetime], name: str, limit: int) -> Reactions:
    """Read what people did with the posts on a network, keep it, and return it with the `limit` most popular posts."""
    with Outbox(config.home / "outbox.db", name) as outbox:
        if engagement.recent(outbox, clock()):
            network = open_network(config, clock, name=name)
            try:
                engagement.read(network, outbox, Budget(outbox, config.settings.post), clock())
            finally:
                network.close()
        found = [(row, asdict(each)) for row, each in engagement.best(outbox, limit)]
        return Reactions(name, engagement.totals(outbox).get(name), found)


def overview(config: Config) -> list[dict[str, Any]]:
    """Return the networks that are built in or used, with their limits; no call is made."""
    return [
        {
            "name": kind.name,
            "title": kind.title,
            "in_use": kind.name in config.settings.post.all,
            "max_length": kind.max_length,
            "key_lasts": _worth(kind.key_lasts),
            "missing": [name for name, value in secrets.read(config, kind.secrets).items() if not value],
        }
        for kind in (find(config, name) for name in dict.fromkeys((*BUILT_IN, *config.settings.post.all)))
    ]


def _worth(lasts: timedelta | None) -> str | None:
    return None if lasts is None else "for ever" if lasts == FOR_EVER else lasting(lasts)


def require_secrets(config: Config, name: str) -> None:
    """Raise SecretsError if one of the secrets that a network needs is missing."""
    kind = find(config, name)
    if kind.secrets:
        secrets.require(secrets.read(config, kind.secrets), config.keys)


def _settings(config: Config, kind: type[Network]) -> object:
    """Return the settings of a network in biobot.toml."""
    values = [getattr(config.settings, each.name) for each in fields(config.settings)]
    built_in = next((value for value in values if type(value) is kind.settings), None)
    where = Where(str(config.file or "biobot.toml"), (kind.name,))
    return built_in or build(kind.settings, config.settings.tables.get(kind.name, {}), where)
