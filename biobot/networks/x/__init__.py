"""X: the client and its HTTP session."""

from __future__ import annotations

from biobot import hookimpl
from biobot.networks.network import Network


@hookimpl
def biobot_network() -> type[Network]:
    """Return the network."""
    from biobot.networks.x.client import XClient

    return XClient
