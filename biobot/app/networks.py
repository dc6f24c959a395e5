"""The networks and the accounts on them, as commands show them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from biobot.config import Config
from biobot.errors import NetworkError
from biobot.networks import secrets
from biobot.networks.errors import Refused
from biobot.networks.network import FOR_EVER
from biobot.networks.opening import BUILT_IN, find, open_network, settings_of
from biobot.posting import engagement
from biobot.posting.budget import Budget
from biobot.posting.outbox import Outbox
from biobot.posting.post import Post
from biobot.text.humanize import lasting
from biobot.worker.client import Worker


def check(config: Config, clock: Callable[[], datetime], name: str) -> list[str]:
    """Return what a network says of its account and its limits; raise NetworkError with how to fix what is wrong."""
    require(config, name)
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
    require(config, name)
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
    """Return the networks that are built in or used, with their limits; no call is made.

    Of those that plugins bring and that are not used, only the names: a worker runs what nobody asked for.
    """
    used = dict.fromkeys((*BUILT_IN, *config.settings.post.all))
    plugins = Worker(config).list_plugins(require=False)
    found: list[dict[str, Any]] = [
        {
            "name": kind.name,
            "title": kind.title,
            "in_use": kind.name in config.settings.post.all,
            "max_length": kind.max_length,
            "key_lasts": _worth(kind.key_lasts),
            "missing": [name for name, value in secrets.read(config, kind.secrets).items() if not value],
        }
        for kind in (find(config, name) for name in used)
    ]
    unused = [each.name for each in plugins if "biobot_network" in each.hooks and each.name not in used]
    none: dict[str, Any] = {"in_use": False, "max_length": None, "key_lasts": None, "missing": []}
    return found + [{"name": name, "title": name, **none} for name in unused]


def _worth(lasts: timedelta | None) -> str | None:
    return None if lasts is None else "for ever" if lasts == FOR_EVER else lasting(lasts)


def require(config: Config, name: str) -> None:
    """Raise what keeps a network from being opened: a plugin's fault, a wrong key of its table, a missing secret."""
    kind = find(config, name)
    settings_of(config, kind)
    if kind.secrets:
        secrets.require(secrets.read(config, kind.secrets), config.keys)
