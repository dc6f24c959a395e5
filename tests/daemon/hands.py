"""The hands of a storm, a process each: a daemon, three post, two send again, two review, one reconciles.

Arguments: the bot's folder, and for how many seconds a timeline may lag. Each line on standard input names a role and a
seed; the process forked for it runs until it is killed, and its pid is printed. `folder/clock` holds how many seconds
the clocks of all are off.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from biobot import daemon
from biobot.app import posting
from biobot.config import Config, load
from biobot.errors import BiobotError
from biobot.networks.x.client import XClient
from biobot.posting import bot_state, reconcile, transitions
from biobot.posting.outbox import Outbox
from biobot.posting.post import PENDING, State
from biobot.posting.poster import Poster
from biobot.rehearsal.server import KEYS
from biobot.worker.double import FakeWorker

ROLES = ("daemon", "post", "post", "post", "reconcile", "resend", "resend", "review", "review")
REFUSED = 0.03
"""How often the filters object to a text that they let pass before."""


class Hand:
    """What one process does: one thing after the other, at the time that the storm's clock shows."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.draw = folder, random.Random(seed)
        self.config = load(folder / "biobot.toml", folder / "state")

    def clock(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=float((self.folder / "clock").read_text() or 0))

    def opened(self, config: Config, clock: Callable[[], datetime], **named: object) -> Poster:
        x, outbox = config.settings.x, Outbox(config.home / "outbox.db", "rehearsal")
        network = partial(XClient, KEYS, x.api_base, x.timeout, clock)
        refused = ["a filter: not this one"]
        judge = lambda _: refused if self.draw.random() < REFUSED else []  # noqa: E731
        return Poster(config, outbox, network, judge, clock, **named)  # type: ignore[arg-type]

    def daemon(self) -> None:
        daemon.run(self.config, opened=self.opened, worker=FakeWorker, clock=self.clock)

    def repeat(self, role: str) -> None:
        """Do what the role does, again and again; what is refused is refused."""
        poster = self.opened(self.config, self.clock, who=role)
        act = {"post": self.post, "reconcile": self.reconcile, "resend": self.resend, "review": self.review}[role]
        while True:
            try:
                act(poster)
            except BiobotError as error:
                logging.info("%s: %s", role, error)
            time.sleep(self.draw.uniform(0.0, 0.6))

    def post(self, poster: Poster) -> None:
        text = f"text number {self.draw.randrange(10**5)}" if self.draw.random() < 0.7 else None
        posting.one(poster, FakeWorker(self.config), text)

    def reconcile(self, poster: Poster) -> None:
        rows = [row.id for row in poster.outbox.posts(State.UNCONFIRMED, State.FAILED) if row.in_doubt]
        poster.reconcile(self.draw.choice([None, *rows]))

    def resend(self, poster: Poster) -> None:
        rows = [row for row in poster.outbox.posts(State.UNCONFIRMED, State.FAILED) if row.in_doubt]
        rows += poster.outbox.posts(State.SENDING, State.POSTED, limit=1)
        if rows:
            poster.send(self.draw.choice(rows).id, resend=True)

    def review(self, poster: Poster) -> None:
        outbox, now = poster.outbox, self.clock()
        row = self.draw.choice(outbox.posts(limit=30) or [None])
        if row is None:
            return
        rev = row.rev if self.draw.random() < 0.7 else self.draw.randrange(8)
        match self.draw.randrange(12):
            case 0 | 1 | 2 | 3:
                for each in outbox.posts(State.HELD)[:3]:
                    transitions.approve(outbox, each.id, now, each.rev)
            case 4:
                transitions.reject(outbox, row.id, now, rev)
            case 5:
                transitions.reopen(outbox, row.id, now, rev)
            case 6 | 7:
                pending = outbox.posts(*PENDING)
                row = self.draw.choice(pending) if pending else row
                transitions.edit(outbox, row.id, f"edited {self.draw.randrange(10**5)}", now, rev)
            case _:
                bot_state.resume(outbox, now)


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    reconcile.MAX_LAG = timedelta(seconds=float(sys.argv[2]))
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    for line in sys.stdin:
        role, seed = line.split()
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            hand = Hand(Path(sys.argv[1]), int(seed))
            try:
                hand.daemon() if role == "daemon" else hand.repeat(role)
            finally:
                sys.stderr.flush()
                os._exit(1)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
