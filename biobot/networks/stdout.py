"""Standard output as a network."""

from __future__ import annotations

import sys
from datetime import datetime

from biobot import hookimpl
from biobot.networks.network import Account, Network, Opening, Tweet


@hookimpl
def biobot_network() -> type[Network]:
    """Return the network."""
    return Stdout


class Stdout(Network):
    """Prints instead of posting; keeps no timeline, so nothing can be found there again."""

    name = "stdout"
    title = "standard output"
    max_length = 1_000_000

    def __init__(self, _: Opening) -> None:
        self._printed = 0

    def post(self, request: str, key: str = "") -> str:  # noqa: ARG002
        """Print the text."""
        sys.stdout.write(f"{request}\n")
        sys.stdout.flush()
        self._printed += 1
        return str(self._printed)

    def timeline(self, since: datetime, limit: int = 20) -> list[Tweet]:  # noqa: ARG002
        """Return nothing."""
        return []

    def delete(self, id: str) -> None:  # noqa: A002
        """Do nothing: output cannot be taken back."""

    def me(self) -> Account:
        """Return the account that standard output is."""
        return Account("0", "stdout")
