"""Standard output as a network."""

from __future__ import annotations

import sys
from datetime import datetime

from biobot.networks.network import Account, Tweet


class Stdout:
    """Prints instead of posting; keeps no timeline, so nothing can be found there again."""

    name = "stdout"
    clock_offset = None

    def __init__(self) -> None:
        self._printed = 0

    def post(self, text: str) -> str:
        """Print `text`."""
        sys.stdout.write(f"{text}\n")
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

    def close(self) -> None:
        """Do nothing."""
