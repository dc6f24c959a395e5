"""What 100,000 posted rows cost: `python -m tests.bench.growth`; ends with 1 where a bot's age makes it slow or large.

Words after it name what is measured, `check` or `page` alone, say; none: all of it.

Each command runs in a process of its own with an empty outbox and with a full one, in turn. Processor time and peak
memory are those of the process and of its workers; of several runs the least counts. A slot is what the daemon itself
does from one post to the next, and a page what the console does for its first one.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from biobot.testing import fill_outbox

ROWS = int(os.environ.get("ROWS", "100000"))
MAX_RATIO, MAX_MB = 1.5, 60.0

POSTED = [
    "A quiet baker of moons, and the owner of three goats that sing at night",
    "She mends old umbrellas for a living and forgets where the harbour was",
    "Counting owls since the winter when all the bread was sold before noon",
]
"""Texts of which no two have 20 characters in a row in common, or the second would be refused: one a round."""

COMMAND = """
import resource, sys
from biobot.cli import main
try:
    main(sys.argv[1:])
finally:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu, peak = sum(each.ru_utime + each.ru_stime for each in used), max(each.ru_maxrss for each in used)
    print(cpu, peak / 1024, file=sys.stderr)
"""
SLOTS = """
import resource, shutil, sys, tempfile, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from biobot.networks.network import Account
from biobot.rehearsal.server import ACCOUNT
from tests.posting.world import World
home = Path(tempfile.mkdtemp(dir=Path(sys.argv[1]).parent))
shutil.copy(Path(sys.argv[1]) / "outbox.db", home)
world = World(home, {"schedule": {"every": "6h", "jitter": "0s"}}, datetime.now(UTC))
world.net.account = Account(ACCOUNT["id"], "tester")
world.run(timedelta(days=1))
before = len(world.net.texts)
begin = time.process_time()
world.run(timedelta(days=5))
cpu = (time.process_time() - begin) / 20
assert len(world.net.texts) - before in (20, 21)
print(cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, file=sys.stderr)
"""
PAGE = """
import resource, sys, time
from pathlib import Path
import httpx
from biobot.config import load
from tests.web.browser import served
with served(load(Path(sys.argv[1]).parent / "biobot.toml", Path(sys.argv[1]))) as site:
    with httpx.Client(base_url=site.url, timeout=60, follow_redirects=True) as browser:
        assert browser.get(site.link()).status_code == 200
        begin = time.process_time()
        for _ in range(10):
            assert browser.get("/").status_code == 200
        cpu = (time.process_time() - begin) / 10
print(cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, file=sys.stderr)
"""


def texts(count: int) -> Iterator[str]:
    """Invent texts of some 88 characters, no two of them alike."""
    draw = random.Random(1)
    words = ["".join(draw.choices("abcdefghijklmnoprstuvwy", k=draw.randint(2, 9))) for _ in range(20_000)]
    return (" ".join(draw.choices(words, k=14)) for _ in range(count))


def measure(script: str, *arguments: str) -> tuple[float, float]:
    """Run a script; return its seconds of processor time and its peak memory in MB."""
    environ = {**os.environ, "PYTHONWARNINGS": "ignore"}
    # a process counts the memory of what it was forked from as its own: a shell in between has hardly any
    command = ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environ)
    if done.returncode:
        raise SystemExit(done.stderr)
    cpu, peak = map(float, done.stderr.splitlines()[-1].split())
    return cpu, peak


def main() -> None:
    """Print the table."""
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        homes = []
        for name, rows in (("empty", 0), ("full", ROWS)):
            home = Path(folder) / name / "state"
            home.mkdir(parents=True)
            (home.parent / "biobot.toml").write_text("[post.budget]\nposts_per_day = 100000\nusd_per_month = 1e9\n")
            fill_outbox(home, texts(rows))
            homes.append(str(home))
        kinds: dict[str, tuple[str, Callable[[str, int], list[str]]]] = {
            "check": (COMMAND, lambda home, _: ["--home", home, "check", "--text", next(texts(1))]),
            "post": (COMMAND, lambda home, round_: ["--home", home, "post", "--text", POSTED[round_]]),
            "a slot": (SLOTS, lambda home, _: [home]),
            "a page": (PAGE, lambda home, _: [home]),
        }
        wanted = sys.argv[1:]
        for kind, (script, arguments) in kinds.items():
            if wanted and kind.split()[-1] not in wanted:
                continue
            runs = [[measure(script, *arguments(home, each)) for home in homes] for each in range(len(POSTED))]
            (cpu, peak), (cpu_full, peak_full) = (
                (min(run[at][0] for run in runs), min(run[at][1] for run in runs)) for at in (0, 1)
            )
            ratio, more = cpu_full / cpu, peak_full - peak
            failed = failed or ratio > MAX_RATIO or more > MAX_MB
            print(json.dumps({"what": kind, "empty_s": round(cpu, 4), "full_s": round(cpu_full, 4)})[1:-1], end="   ")
            print(f"{ratio:.2f} x (at most {MAX_RATIO}), {more:+.0f} MB (at most {MAX_MB:.0f})", flush=True)
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
