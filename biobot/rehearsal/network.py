"""The built-in fake X as a network."""

from __future__ import annotations

import threading
from datetime import timedelta

from biobot.networks.x.client import XClient
from biobot.rehearsal.server import FakeX


class Rehearsal(XClient):
    """The fake X, run in a thread on loopback and reached over HTTP like the real one.

    Its timeline lies in a file: it outlives restarts, and every process of this bot sees it.
    """

    name = "rehearsal"

    def __init__(self, fake: FakeX, timeout: timedelta, stop: threading.Event | None = None) -> None:
        self.fake = fake.start()
        super().__init__(fake.keys, fake.address, timeout, fake.clock, stop)

    def close(self) -> None:
        """Stop the fake."""
        super().close()
        self.fake.stop()
