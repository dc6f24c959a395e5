"""X: the client and its HTTP session."""

from __future__ import annotations

from biobot import hookimpl
from biobot.networks.network import Network
from biobot.text.length import weighted_length

MAX_LENGTH = 280


def objection(text: str) -> str | None:
    """Return why X would not take a text."""
    length = weighted_length(text)
    return f"too long for X: {length} of {MAX_LENGTH} characters" if length > MAX_LENGTH else None


@hookimpl
def biobot_network() -> type[Network]:
    """Return the network."""
    from biobot.networks.x.client import XClient

    return XClient
