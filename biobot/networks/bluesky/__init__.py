"""Bluesky, and every other server that speaks the AT protocol."""

from __future__ import annotations

from biobot import hookimpl
from biobot.networks.network import Network


@hookimpl
def biobot_network() -> type[Network]:
    """Return the network."""
    from biobot.networks.bluesky.client import Bluesky

    return Bluesky
