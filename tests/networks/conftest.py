"""What the tests of X share: a fake X with a clock that stands still until it is moved, and a client for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from biobot.networks.x.client import XClient
from biobot.rehearsal.server import KEYS, FakeX


class StandingClock:
    """Gives the time that it was set to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def fake(clock: StandingClock) -> Iterator[FakeX]:
    with FakeX(clock) as fake:
        yield fake
        assert not fake.crashes


@pytest.fixture
def client(fake: FakeX, clock: StandingClock) -> Iterator[XClient]:
    client = XClient(KEYS, fake.address, timedelta(seconds=5), clock)
    yield client
    client.close()
