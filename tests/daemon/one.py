"""One daemon with cheap drafts, posting to the fake X of a test; arguments: the bot's folder, and seconds of grace."""

import sys
from datetime import timedelta
from pathlib import Path

from biobot.networks import watchdog
from tests.daemon.entry import run

if __name__ == "__main__":
    for seconds in sys.argv[2:]:
        watchdog.GRACE = timedelta(seconds=float(seconds))
    run(Path(sys.argv[1]), "-", 0)
