"""F2, F3, F46, F48, F49, F50: everything at once, with a fake X that counts what it was sent twice.

A daemon, three who post, one who reconciles, two who send again and two who review with right and wrong revisions work
on one home. A third of all calls fail in some way, and half of those calls did their work before. The timeline lags,
the clock jumps by up to five minutes, and processes are stopped, continued and killed.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from biobot.config import load
from biobot.networks.x.client import XClient
from biobot.posting.outbox import Outbox
from biobot.posting.post import Post, State
from biobot.posting.poster import Poster
from biobot.rehearsal.account import ROUTES
from biobot.rehearsal.faults import Answer, Fault
from biobot.rehearsal.server import KEYS, FakeX
from tests.daemon.hands import ROLES

CLOCK = 290.0
"""Seconds that the clocks of all processes are off at most: X takes signatures that are five minutes off."""

FAULTS = ("reset-before", "timeout-before", "json-500", "429-past", "not-permitted")
DONE = ("reset-after", "timeout-after", "html-503-after", "half-body", "slow-drip")
"""Faults of calls that do their work."""

TOML = """
[schedule]
every = "1s"
timezone = "UTC"
[post]
review = "{review}"
review_ahead = 5
reconcile_after = ["1s", "5s", "20s", "60s"]
[post.budget]
posts_per_day = 1000000
usd_per_month = 1000000
[x]
api_base = "{address}"
timeout = "1s"
"""


@dataclass
class StormyX(FakeX):
    """A fake X on which a share of the calls fails, and whose timeline shows a post after up to `lag` seconds."""

    share: float = 0.0
    lag: float = 0.0
    draw: random.Random = field(default_factory=random.Random)

    def meet(self, route: str, do: Callable[[Fault, float], Answer]) -> Answer:
        fault = Fault()
        if self.draw.random() < self.share:
            fault = self.FAULTS[self.draw.choice(self.draw.choice((FAULTS, DONE)))]
        answer = Answer(500)
        if fault.done or (fault.answer is None and fault.delivery is Fault().delivery):
            answer = do(replace(fault, lags=True), self.draw.uniform(0, self.lag))
        return replace(fault.answer(self.now) if fault.answer else answer, delivery=fault.delivery)


class Storm:
    """The processes of a storm; `max_lag` is how long they believe that the timeline can lag."""

    def __init__(self, folder: Path, fake: StormyX, review: str, max_lag: float, seed: int) -> None:
        self.folder, self.fake, self.draw = folder, fake, random.Random(seed)
        self.did = Counter[str]()
        (folder / "biobot.toml").write_text(TOML.format(address=fake.address, review=review))
        self.set_clock(0.0)
        with (folder / "log").open("ab") as log:
            self.nursery = subprocess.Popen(
                [sys.executable, "-m", "tests.daemon.hands", str(folder), str(max_lag)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.pids = [self.start(role) for role in ROLES]

    def set_clock(self, seconds: float) -> None:
        (self.folder / "new").write_text(str(seconds))
        (self.folder / "new").replace(self.folder / "clock")

    def start(self, role: str) -> int:
        assert self.nursery.stdin is not None
        assert self.nursery.stdout is not None
        self.nursery.stdin.write(f"{role} {self.draw.randrange(2**32)}\n")
        self.nursery.stdin.flush()
        return int(self.nursery.stdout.readline())

    def rage(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(self.draw.uniform(0.05, 1.0))
            number = self.draw.randrange(len(ROLES))
            what = self.draw.choice(("kill", "stop", "stop", "clock", "nothing", "nothing"))
            self.did[what] += 1
            if what == "clock":
                self.set_clock(self.draw.uniform(-CLOCK, CLOCK))
            elif what == "kill":
                self._signal(self.pids[number], signal.SIGKILL)
            elif what == "stop":
                self._signal(self.pids[number], signal.SIGSTOP)
                time.sleep(self.draw.uniform(0.1, 1.5))
                self._signal(self.pids[number], signal.SIGCONT)
            for number, role in enumerate(ROLES):
                if not self._lives(self.pids[number]):
                    self.pids[number] = self.start(role)

    def end(self) -> None:
        for pid in self.pids:
            self._signal(pid, signal.SIGKILL)
        assert self.nursery.stdin is not None
        assert self.nursery.stdout is not None
        self.nursery.stdin.close()
        self.nursery.wait(60)
        self.nursery.stdout.close()

    def settle(self, seconds: float) -> list[Post]:
        """Look for all that is in doubt until the timeline shows everything; return all rows."""
        self.fake.share = 0.0
        config = load(self.folder / "biobot.toml", self.folder / "state")
        outbox = Outbox(config.home / "outbox.db", "rehearsal")
        network = partial(XClient, KEYS, config.settings.x.api_base, timedelta(seconds=20))
        poster = Poster(config, outbox, network, lambda _: [], lambda: datetime.now(UTC), who="the test")
        with ExitStack() as stack:
            stack.callback(outbox.close)
            stack.callback(poster.close)
            time.sleep(seconds)
            poster.reconcile()
            for row in outbox.posts():
                if row.in_doubt:
                    poster.reconcile(row.id)
            assert outbox.ask("PRAGMA integrity_check") == [("ok",)]
            rows = outbox.posts()
            assert Counter(str(row.state) for row in rows) == Counter(outbox.counts())
            return rows

    @staticmethod
    def _signal(pid: int, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, number)

    @staticmethod
    def _lives(pid: int) -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True


LONG = [pytest.mark.soak, pytest.mark.timeout(3600)]


@pytest.mark.parametrize(
    ("review", "seconds", "lag", "resends"),
    [
        ("on", 15, 1.0, 0),
        pytest.param("off", 1200, 60.0, 20, marks=LONG),
        pytest.param("on", 1200, 60.0, 20, marks=LONG),
    ],
)
def test_f3_in_a_storm_nothing_is_posted_twice_and_nothing_is_unknown(
    tmp_path: Path, review: str, seconds: float, lag: float, resends: int
) -> None:
    seed = random.randrange(2**32)
    patient = [replace(route, limit=10**9) for route in ROUTES]
    clock = lambda: datetime.now(UTC)  # noqa: E731
    draw = random.Random(seed)
    with StormyX(clock, tmp_path / "x.db", routes=patient, share=0.33, lag=lag, draw=draw) as fake:
        storm = Storm(tmp_path, fake, review, 2 * lag + 1, seed)
        try:
            storm.rage(seconds)
        finally:
            storm.end()
        rows = storm.settle(lag + 1)
        tweets = fake.report()["posts"]
        sent_again = [row for row in rows if row.resends and row.state is State.POSTED]
        summary = {
            **storm.did,
            "posts": len(tweets),
            "sent again": len(sent_again),
            **Counter(str(row.state) for row in rows),
        }
        sys.stdout.write(f"\nstorm {seed}: {summary}\n")
        assert fake.crashes == []
        assert fake.state.tally("repeats") == 0, "a text was sent that was there"
        assert max(Counter(tweet["text"] for tweet in tweets).values()) == 1, "a text was posted twice"
        owners = Counter(row.remote_id for row in rows if row.remote_id)
        assert owners == Counter(tweet["id"] for tweet in tweets), "a post that no row accounts for, or the reverse"
        assert not {row.text for row in rows if row.in_doubt} & {tweet["text"] for tweet in tweets}
        slots = [row.slot for row in rows if row.slot and not row.slot_released]
        assert len(slots) == len(set(slots)), "two rows of one slot"
        assert review == "off" or {row.approved_by for row in rows if row.state is State.POSTED} <= {"person"}
        assert len(sent_again) >= resends, "refusing to send anything again is no answer"
