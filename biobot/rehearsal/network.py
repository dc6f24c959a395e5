"""The built-in fake X as a network."""

from __future__ import annotations

from typing import Self

from biobot import hookimpl
from biobot.networks.network import Network, Opening
from biobot.networks.x.client import XClient
from biobot.rehearsal.server import FakeX
from biobot.storage import make_folder


@hookimpl
def biobot_network() -> type[Network]:
    """Return the network."""
    return Rehearsal


class Rehearsal(XClient):
    """The fake X, run in a thread on loopback and reached over HTTP like the real one.

    Its timeline lies in a file: it outlives restarts, and every process of this bot sees it.
    """

    name = "rehearsal"
    title = "the fake X"
    secrets = ()

    @classmethod
    def open(cls, opening: Opening) -> Self:
        """Start the fake."""
        make_folder(opening.home)
        fake = FakeX(opening.clock, opening.home / "rehearsal.db").start()
        network = cls(fake.keys, fake.address, opening.settings.timeout, fake.clock, opening.stop)
        network.fake = fake
        return network

    fake: FakeX

    def close(self) -> None:
        """Stop the fake."""
        super().close()
        self.fake.stop()
