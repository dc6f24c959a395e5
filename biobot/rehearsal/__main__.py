"""`python -m biobot.rehearsal`: the fake X on its own, for tests and experiments; it first prints its address."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

from biobot.rehearsal.server import FakeX


def main() -> None:
    """Serve until SIGTERM, SIGINT or, with --until-eof, the end of standard input."""
    parser = argparse.ArgumentParser(prog="python -m biobot.rehearsal", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--state", type=Path, help="a file that keeps the timeline (default: memory)")
    parser.add_argument("--usd", type=float, help="prepaid credit in dollars (default: no end of it)")
    parser.add_argument("--until-eof", action="store_true", help="end with whoever started it")
    given = parser.parse_args()
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    fake = FakeX(lambda: datetime.now(UTC), given.state, usd=given.usd).start(given.port)
    sys.stdout.write(f"{fake.address}\n")
    sys.stdout.flush()
    if given.until_eof:
        threading.Thread(target=_until_eof, args=(over,), daemon=True).start()
    over.wait()
    fake.stop()


def _until_eof(over: threading.Event) -> None:
    sys.stdin.read()
    over.set()


if __name__ == "__main__":
    main()
