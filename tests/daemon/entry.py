"""The real daemon with cheap drafts, and with a kill where a test wants one; run by the crash tests only.

Argument: the bot's folder. Each line on standard input starts one daemon, in a process of its own: the name of a
failpoint at which to die ("-" for none), and how many times to pass it first. Its pid is printed
when it starts, and its exit status when it ends. Forked from here it starts at once, imports and all.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

from biobot import daemon
from biobot.config import load
from biobot.networks.opening import open_network
from biobot.networks.x.client import XClient
from biobot.posting import poster
from biobot.posting.outbox import Outbox
from biobot.posting.poster import Poster
from biobot.rehearsal.server import KEYS
from biobot.worker.double import FakeWorker


def opened(config: Any, clock: Any, network: str | None = None, **named: Any) -> Poster:
    """Post to a network of the test, by default its fake X; everything else is the daemon's own."""
    name = network or config.settings.post.first
    if name != "rehearsal":
        opening = partial(open_network, config, clock, named["stop"], name)
        return Poster(config, Outbox(config.home / "outbox.db", name), opening, lambda _: [], clock, **named)
    outbox = Outbox(config.home / "outbox.db", "rehearsal")
    stop = named["stop"]
    there = partial(XClient, KEYS, config.settings.x.api_base, config.settings.x.timeout, stop=stop)
    return Poster(config, outbox, there, lambda _: [], clock, **named)


def run(folder: Path, fatal: str, passes: int) -> None:
    left = [passes]

    def die(name: str) -> None:
        if name == fatal:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    poster.failpoint = die
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    config = load(folder / "biobot.toml", folder / "state")
    daemon.run(config, opened=opened, worker=FakeWorker)


def main() -> None:
    for line in sys.stdin:
        fatal, passes = line.split()
        pid = os.fork()
        if pid == 0:
            run(Path(sys.argv[1]), fatal, int(passes))
            sys.stderr.flush()
            os._exit(0)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
