"""Opens networks: the one place that knows all of them. Only those that are asked for are imported."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, cast

from biobot.config import Config, Where, build
from biobot.errors import BiobotError, PluginError, say
from biobot.networks import contract, secrets, x
from biobot.networks.network import Network, Opening

if TYPE_CHECKING:
    from biobot.filters.loader import Plugin, Plugins

BUILT_IN = {
    "bluesky": "biobot.networks.bluesky",
    "mastodon": "biobot.networks.mastodon",
    "rehearsal": "biobot.rehearsal.network",
    "stdout": "biobot.networks.stdout",
    "x": "biobot.networks.x",
}


def find(config: Config, name: str) -> type[Network]:
    """Return the class of a network, built in or a plugin of that name; PluginError when there is none."""
    if name in BUILT_IN:
        return cast(type[Network], import_module(BUILT_IN[name]).biobot_network())
    return of_plugin(_plugin(config, name))


def _plugin(config: Config, name: str) -> Plugin:
    from biobot.filters.loader import load_one  # most bots' networks are built in

    return load_one(config, name)


def of_plugin(plugin: Plugin) -> type[Network]:
    """Return the network that a plugin brings; raise PluginError for one that lacks something."""
    try:
        found = plugin.hooks["biobot_network"]() if "biobot_network" in plugin.hooks else None
    except (Exception, SystemExit) as error:
        raise PluginError(f"{contract.place(error, plugin.origin)}: biobot_network failed: {say(error)}") from error
    if problem := contract.problem(found, plugin.name):
        raise PluginError(f"{plugin.origin}: {problem}")
    return cast(type[Network], found)


def open_network(
    config: Config, clock: Callable[[], datetime], stop: threading.Event | None = None, name: str | None = None
) -> Network:
    """Open a network, by default the first that `post.network` or `post.networks` names.

    `clock` dates signatures, and is a fake network's time; `stop` is set when the process shall end. Raises
    SecretsError when the secrets lie where others can read them; missing ones are noticed at the first call.
    """
    name = name or config.settings.post.first
    plugin = None if name in BUILT_IN else _plugin(config, name)
    kind = find(config, name) if plugin is None else of_plugin(plugin)
    values = secrets.read(config, kind.secrets) if kind.secrets else {}
    opening = Opening(settings_of(config, kind), values, config.home, clock, stop or threading.Event())
    return kind.open(opening) if plugin is None else guarded(kind, plugin, opening, config.keys)


def objections(config: Config, plugins: Plugins) -> dict[str, Callable[[str], str | None]]:
    """Return what tells why a network that is posted to would not take a text, by its name; no call is made.

    For those who judge texts: no secret is read, and nothing that a network keeps in the home.
    """
    found = dict[str, Callable[[str], str | None]]()
    loaded = {plugin.name: plugin for plugin, _ in plugins.with_hook("biobot_network")}
    for name in config.settings.post.all:
        if name in ("rehearsal", "x"):
            found[name] = x.objection  # without tweepy, and without starting the fake
            continue
        plugin = None if name in BUILT_IN else loaded.get(name) or _plugin(config, name)
        kind = find(config, name) if plugin is None else of_plugin(plugin)
        secrets, home = dict.fromkeys(kind.secrets, ""), config.home / "none"
        opening = Opening(settings_of(config, kind), secrets, home, lambda: datetime.max.replace(tzinfo=UTC))
        network = kind.open(opening) if plugin is None else guarded(kind, plugin, opening, config.keys)
        found[name] = network.objection
    return found


def guarded(kind: type[Network], plugin: Plugin, opening: Opening, keys: str) -> Network:
    """Open a plugin's network, so that its faults are errors that name it."""
    try:
        inner = kind.open(opening)
    except BiobotError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(f"{contract.place(error, plugin.origin)}: it cannot be opened: {say(error)}") from error
    return cast(Network, contract.Guarded(inner, plugin.origin, opening.secrets, keys))


def settings_of(config: Config, kind: type[Network]) -> object:
    """Return what biobot.toml says of a network; ConfigError for a wrong key or value in its table."""
    values = [getattr(config.settings, each.name) for each in fields(config.settings)]
    built_in = next((value for value in values if type(value) is kind.settings), None)
    where = Where(str(config.file or "biobot.toml"), (kind.name,))
    return built_in or build(kind.settings, config.settings.tables.get(kind.name, {}), where)
