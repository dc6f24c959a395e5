"""`python -m biobot.rehearsal`: a fake network on its own, for tests and experiments; it first prints its address."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from biobot.rehearsal.bluesky import FakeBluesky
from biobot.rehearsal.fake import FakeServer
from biobot.rehearsal.mastodon import VERSIONS, FakeMastodon
from biobot.rehearsal.server import FakeX


def main() -> None:
    """Serve until SIGTERM, SIGINT or, with --until-eof, the end of standard input."""
    parser = argparse.ArgumentParser(prog="python -m biobot.rehearsal", description=__doc__)
    parser.add_argument("--network", choices=("x", "bluesky", "mastodon"), default="x")
    parser.add_argument("--server", choices=tuple(VERSIONS), default="4.7.2", help="which Mastodon (4.7.2)")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--state", type=Path, help="a file that keeps the timeline (default: memory)")
    parser.add_argument("--usd", type=float, help="X: prepaid credit in dollars (default: no end of it)")
    parser.add_argument("--until-eof", action="store_true", help="end with whoever started it")
    given = parser.parse_args()
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    fake: FakeServer
    if given.network == "bluesky":
        fake = FakeBluesky(_now, given.state)
    elif given.network == "mastodon":
        fake = FakeMastodon(_now, given.state, server=given.server)
    else:
        fake = FakeX(_now, given.state, usd=given.usd)
    fake.start(given.port)
    sys.stdout.write(f"{fake.address}\n")
    sys.stdout.flush()
    if given.until_eof:
        threading.Thread(target=_until_eof, args=(over,), daemon=True).start()
    over.wait()
    fake.stop()


def _now() -> datetime:
    return datetime.now(UTC)


def _until_eof(over: threading.Event) -> None:
    sys.stdin.read()
    over.set()


if __name__ == "__main__":
    main()
