"""Standard output as a network."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from datetime import datetime

from biobot import hookimpl
from biobot.networks.errors import Unsent
from biobot.networks.network import Account, Network, Opening, Tweet
from biobot.text.terminal import painted


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
        """Print the text, on a terminal harmless; Unsent when the reader has gone or the disk is full."""
        out = sys.stdout if sys.stdout.isatty() else painted(sys.stdout)
        try:
            out.write(f"{request}\n")
            out.flush()
        except OSError as error:
            with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
                kept = os.dup(out.fileno())
                os.dup2(nowhere.fileno(), out.fileno())
                out.flush()  # drops what could not be written, which would come again with the next text
                os.dup2(kept, out.fileno())
                os.close(kept)
            raise Unsent(f"standard output cannot be written: {error.strerror}; look at who reads it") from None
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
