"""How long and how much memory the corpus takes: `python tests/bench/corpus.py [BIOS] [FOLDER]`.

Makes up bios (100,000 by default, half of them signed by an author), and runs every step in a process of its own.
Prints a table in Markdown.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORDS = (
    *("baker", "gardener", "pirate", "nurse", "drummer", "beekeeper", "coffee", "walks", "puns", "vinyl", "sourdough"),
    *("football", "maps", "rain", "crêpes", "Lisbon", "Nairobi", "kitchen", "東京", "sea", "town", "writer", "dreamer"),
    *("mother", "father", "student", "music", "lover", "photography", "travel", "and", "the", "of", "a", "my", "in"),
    *("is", "for", "with", "life", "love", "official", "account", "news", "views", "own", "opinions", "she", "her"),
)

FROM_HERE = """
import sys
from collections import Counter
from pathlib import Path
from biobot.settings import TrainSettings
from biobot.corpus import clean
from biobot.dedupe import groups, index
from biobot.corpus.store import Store
store = Store(Path(sys.argv[1]) / "corpus.db")
def texts():
    return (bio.text for bio in store.bios())
"""
STEPS = {
    "corpus import": ["-m", "biobot", "--home", "{home}", "corpus", "import", "{file}", "--json"],
    "corpus import, again": ["-m", "biobot", "--home", "{home}", "corpus", "import", "{file}", "--json"],
    "corpus stats": ["-m", "biobot", "--home", "{home}", "corpus", "stats", "--json"],
    "corpus export": ["-m", "biobot", "--home", "{home}", "corpus", "export", "{home}/export.jsonl"],
    "clean": [
        "-c",
        f"{FROM_HERE}print(sum(1 for _ in clean.clean(store.bios(), TrainSettings(), Counter())))",
        "{home}",
    ],
    "hold out": ["-c", f"{FROM_HERE}print(len(groups.hold_out(texts(), share=0.05, most=5000)))", "{home}"],
    "hold out, keep apart": [
        "-c",
        f"{FROM_HERE}held = groups.hold_out(texts(), share=0.05, most=5000)\n"
        "print(sum(1 for _ in groups.apart(texts(), held)))",
        "{home}",
    ],
    "index": ["-c", f"{FROM_HERE}index.build(texts(), Path(sys.argv[1]) / 'fingerprints.idx')", "{home}"],
}


def write(path: Path, count: int) -> None:
    """Write made-up bios of some 100 bytes each, as JSON lines."""
    draw = random.Random(1)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            record: dict[str, object] = {"bio": f"{' '.join(draw.choices(WORDS, k=15))} {number}."}
            if number % 2:
                record |= {"user_id": str(10**9 + number), "handle": f"person{number}"}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def main() -> None:
    """Run every step and print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as name:
        home = Path(name)
        file = home / "bios.jsonl"
        write(file, count)
        print(f"| {count:,} bios ({file.stat().st_size / 1e6:.0f} MB) | seconds | of them CPU | peak memory, MB |")
        print("|---|---:|---:|---:|")
        for step, arguments in STEPS.items():
            given = [
                each.format(home=home, file=file) if "{home}" in each or each == "{file}" else each
                for each in arguments
            ]
            begin = time.perf_counter()
            process = subprocess.Popen([sys.executable, *given], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            assert process.stdout is not None
            said = process.stdout.read().decode()
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - begin
            cpu = usage.ru_utime + usage.ru_stime
            peak = usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
            failed = "" if status == 0 else " FAILED"
            print(f"| {step} | {seconds:.1f} | {cpu:.1f} | {peak:.0f} |{failed}", flush=True)
            print(said.strip()[:300], file=sys.stderr, flush=True)
        print(f"\ncorpus.db {(home / 'corpus.db').stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
