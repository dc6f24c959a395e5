"""Mastodon, over plain HTTP: the client, and what its answers mean."""

from __future__ import annotations

from biobot import hookimpl
from biobot.networks.network import Network


@hookimpl
def biobot_network() -> type[Network]:
    """Return the network."""
    from biobot.networks.mastodon.client import MastodonClient

    return MastodonClient
