"""F3: the daemon is killed at every marked point and at random moments; the fake X is the judge."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from biobot.config import load
from biobot.posting import schedule
from biobot.posting.outbox import Outbox
from biobot.posting.post import Post, State
from biobot.rehearsal.account import ROUTES
from biobot.rehearsal.server import FakeX

POINTS = ["drawn", "stored", "judged", "locked", "claimed", "answered", "settled"]

SETTINGS = """
[schedule]
every = "1s"
timezone = "UTC"
[post]
reconcile_after = ["300ms", "600ms", "1s", "2s"]
[post.budget]
posts_per_day = 1000000
usd_per_month = 1000000
[x]
api_base = "{address}"
"""


class Victim:
    """A daemon that is killed and started again, and the fake X that it posts to."""

    network = "rehearsal"

    def __init__(self, folder: Path, fake: FakeX, settings: str = SETTINGS) -> None:
        self.folder, self.fake, self.kills = folder, fake, 0
        (folder / "biobot.toml").write_text(settings.format(address=fake.address), encoding="utf-8")
        with (folder / "log").open("ab") as log:
            self.nursery = subprocess.Popen(
                [sys.executable, "-m", "tests.daemon.entry", str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def start(self, point: str = "-", passes: int = 0) -> int:
        """Start a daemon and give its pid."""
        assert self.nursery.stdin is not None
        self.nursery.stdin.write(f"{point} {passes}\n")
        self.nursery.stdin.flush()
        return self._answer()

    def _answer(self) -> int:
        assert self.nursery.stdout is not None
        return int(self.nursery.stdout.readline())

    def die_at(self, point: str, passes: int) -> None:
        self.start(point, passes)
        assert self._answer() == -signal.SIGKILL, self.log()
        self.kills += 1

    def die_after(self, seconds: float) -> None:
        pid = self.start()
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
        assert self._answer() == -signal.SIGKILL, self.log()
        self.kills += 1

    def recover(self) -> None:
        """Run in peace until nothing is unknown any more, then stop in good order."""
        pid = self.start()
        deadline = time.monotonic() + 100
        while time.monotonic() < deadline:
            time.sleep(0.2)
            with self.outbox() as outbox:
                counts = outbox.counts()
            if not counts["unconfirmed"] and not counts["sending"]:
                break
        os.kill(pid, signal.SIGTERM)
        assert self._answer() == 0, self.log()

    def close(self) -> None:
        assert self.nursery.stdin is not None
        assert self.nursery.stdout is not None
        self.nursery.stdin.close()
        self.nursery.wait(60)
        self.nursery.stdout.close()

    def log(self) -> str:
        return (self.folder / "log").read_text()[-3000:]

    def outbox(self) -> Outbox:
        return Outbox(self.folder / "state" / "outbox.db", self.network, read_only=True)

    def verdict(self) -> Counter[str]:
        """Check what must hold, and sum up what happened."""
        tweets = self.fake.report()["posts"]
        with self.outbox() as outbox:
            rows = outbox.posts()
        assert self.fake.state.tally("repeats") == 0, "a text was sent a second time"
        texts = Counter(tweet["text"] for tweet in tweets)
        assert max(texts.values()) == 1, "a text was posted twice"
        owners = Counter(row.remote_id for row in rows if row.remote_id)
        assert set(owners) == {tweet["id"] for tweet in tweets}, "a post that no row accounts for, or the reverse"
        assert max(owners.values()) == 1
        return self.accounts(rows, len(tweets))

    def accounts(self, rows: list[Post], on_the_network: int) -> Counter[str]:
        """Check that every slot has one row, and sum up what happened."""
        taken = {row.slot for row in rows if row.slot and not row.slot_released}
        assert len([row for row in rows if row.slot and not row.slot_released]) == len(taken), "two rows of one slot"
        settings = load(self.folder / "biobot.toml").settings.schedule
        settled = [row.slot for row in rows if row.slot and row.state not in (State.APPROVED, State.HELD)]
        slots = set(schedule.slots_between(settings, min(settled), max(settled), 10**6))
        assert slots <= taken, f"slots without a row: {sorted(slots - taken)[:5]}"
        return Counter(str(row.state) for row in rows) + Counter(kills=self.kills, on_the_network=on_the_network)


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    patient = [replace(route, limit=10**9) for route in ROUTES]  # hundreds of daemons in a few minutes
    with FakeX(lambda: datetime.now(UTC), tmp_path / "x.db", routes=patient) as fake:
        victim = Victim(tmp_path, fake)
        yield victim
        victim.close()


def test_f3_killed_at_every_marked_point_it_never_posts_twice(victim: Victim) -> None:
    for point in POINTS:
        victim.die_at(point, 0)
    victim.recover()
    assert victim.verdict()["kills"] == len(POINTS)


@pytest.mark.parametrize("kills", [15, pytest.param(300, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])])
def test_f3_killed_at_random_moments_it_never_posts_twice(victim: Victim, kills: int) -> None:
    draw = random.Random(kills)
    for number in range(kills):
        if number % 3 == 2:
            victim.die_at(draw.choice(POINTS[2:]), draw.randrange(2))
        else:
            victim.die_after(draw.uniform(0.0, 0.9))
    victim.recover()
    summary = victim.verdict()
    assert summary["kills"] == kills
    sys.stdout.write(f"\nkilled at random: {dict(summary)}\n")
