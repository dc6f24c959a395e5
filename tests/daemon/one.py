"""One daemon with cheap drafts, posting to the fake X of a test; the argument is the bot's folder."""

import sys
from pathlib import Path

from tests.daemon.entry import run

if __name__ == "__main__":
    run(Path(sys.argv[1]), "-", 0)
