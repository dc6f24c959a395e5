"""Opens networks: the one place that knows all of them. Only those that are asked for are imported."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from importlib import import_module
from typing import cast

from biobot.config import Config, Where, build
from biobot.errors import PluginError
from biobot.networks import secrets
from biobot.networks.network import Network, Opening

BUILT_IN = {
    "mastodon": "biobot.networks.mastodon",
    "rehearsal": "biobot.rehearsal.network",
    "stdout": "biobot.networks.stdout",
    "x": "biobot.networks.x",
}


def find(config: Config, name: str) -> type[Network]:
    """Return the class of a network, built in or a plugin of that name; PluginError when there is none."""
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

    `clock` dates signatures, and is a fake network's time; `stop` is set when the process shall end. Raises
    SecretsError when the secrets lie where others can read them; missing ones are noticed at the first call.
    """
    kind = find(config, name or config.settings.post.first)
    values = secrets.read(config, kind.secrets) if kind.secrets else {}
    return kind.open(Opening(_settings(config, kind), values, config.home, clock, stop or threading.Event()))


def require_secrets(config: Config, name: str) -> None:
    """Raise SecretsError if one of the secrets that a network needs is missing."""
    kind = find(config, name)
    if kind.secrets:
        secrets.require(secrets.read(config, kind.secrets))


def _settings(config: Config, kind: type[Network]) -> object:
    """Return what biobot.toml says of a network."""
    values = [getattr(config.settings, each.name) for each in fields(config.settings)]
    built_in = next((value for value in values if type(value) is kind.settings), None)
    where = Where(str(config.file or "biobot.toml"), (kind.name,))
    return built_in or build(kind.settings, config.settings.tables.get(kind.name, {}), where)
