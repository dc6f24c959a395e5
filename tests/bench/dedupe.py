"""Measure the dedupe filter: `python -m tests.bench.dedupe [TRAIN DEV]`, two corpus files; prints figures, no text.

Without files it makes 50,000 bios up, and 2,000 others.

Edits are single characters replaced, inserted or deleted; halves of bios are spliced with invented words; rare runs are
pieces of 32 and more characters that at most three bios hold.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from biobot.bundled import bundled
from biobot.candidate import Candidate, KnownTexts
from biobot.corpus.readers import Bio, read
from biobot.dedupe import index
from biobot.dedupe.index import Index
from biobot.dedupe.known_texts import OUTBOX_INDEX, CombinedIndex, own_texts
from biobot.filters.loader import load_file
from biobot.posting.outbox import Outbox
from biobot.testing import fill_outbox
from biobot.text.normalize import fold

WORDS = (
    "river lamp quiet morning dancing under paper lanterns with seven clumsy foxes who never learned to whistle "
    "properly while grandmother sold umbrellas made of rain and yesterday"
)
Refused = Callable[[str], str | None]


def made_up(count: int, seed: int) -> list[str]:
    """Make bios up, of invented words that are as unevenly common as real ones."""
    draw, letters = random.Random(1), "abcdefghijklmnoprstuvwy"
    words = ["".join(draw.choices(letters, k=draw.randint(2, 9))) for _ in range(20_000)]
    weights = [1 / rank for rank in range(10, len(words) + 10)]
    draw = random.Random(seed)
    return [" ".join(draw.choices(words, weights, k=draw.randint(3, 24))) for _ in range(count)]


def texts(path: Path) -> list[str]:
    """Read the bios of a corpus file."""
    return [each.text for each in read(path) if isinstance(each, Bio)]


def edited(text: str, edits: int, draw: random.Random) -> str:
    """Change `edits` single characters."""
    letters = list(text)
    for _ in range(edits):
        at, kind = draw.randrange(len(letters)), draw.randrange(3)
        letters[at : at + (kind != 1)] = (
            [] if kind == 2 and len(letters) > 1 else [draw.choice("abcdefghijklmnopqrst ")]
        )
    return "".join(letters)


def invented(length: int, draw: random.Random) -> str:
    """String words together that make no sense."""
    return " ".join(draw.choices(WORDS.split(), k=length // 4 + 2))[:length]


def spliced(text: str, draw: random.Random) -> str:
    """Put a prefix, a suffix or the middle half of a text beside as much invention."""
    half = len(text) // 2
    begin = draw.choice((0, len(text) - half, (len(text) - half) // 2))
    parts = [text[begin : begin + half], invented(half, draw)]
    draw.shuffle(parts)
    return " ".join(parts)


def rare_runs(bios: list[str], count: int, draw: random.Random) -> list[str]:
    """Cut runs out of bios that at most three bios hold, and put invention on both sides."""
    folded = [fold(bio) for bio in bios]
    whole = "\n".join(folded)
    texts: list[str] = []
    while len(texts) < count:
        bio, length = draw.choice(folded), draw.choice((32, 32, 33, 36, 45))
        if len(bio) >= length:
            begin = draw.randrange(len(bio) - length + 1)
            run = bio[begin : begin + length]
            if whole.count(run) <= index.RARE:
                texts.append(f"{invented(40, draw)} {run} {invented(40, draw)}")
    return texts


def share(texts: list[str], refused: Refused) -> str:
    """Return the share of texts that are refused, and by which layer, in words."""
    layers = Counter(reason.split(":")[0] for text in texts if (reason := refused(text)))
    by = ", ".join(f"{layer} {count / len(texts):.4f}" for layer, count in sorted(layers.items()))
    return f"{layers.total() / len(texts):.4f} of {len(texts)} ({by})"


def main(bios: list[str], unseen: list[str]) -> None:
    """Build, time, and ask."""
    draw = random.Random(1)
    folder = Path(tempfile.mkdtemp())
    path = folder / "fingerprints.idx"
    start, cpu = time.monotonic(), time.process_time()
    index.build(bios, path)
    print(f"build {time.monotonic() - start:.1f} s ({time.process_time() - cpu:.1f} s of CPU), {len(bios)} bios")
    print(f"size {path.stat().st_size} bytes, {path.stat().st_size / len(bios):.1f} a bio")
    plugin = load_file(bundled("plugins") / "dedupe.py")
    seen = Index.open(path)

    def refused(text: str) -> str | None:
        reason = plugin.hooks["biobot_filter"](candidate=Candidate(text), settings=plugin.settings, seen=seen)
        assert reason is None or isinstance(reason, str)
        return reason

    print(f"look-up in the training set, ms of CPU: {look_ups(seen, unseen)}")
    print(f"unseen bios refused: {share(unseen, refused)}")
    some = draw.sample(bios, 3000)
    for least in (1, 20, 40, 60):
        group = [bio for bio in some if len(fold(bio)) >= least]
        for edits in (1, 2, 3, 6):
            changed = [edited(bio, edits, draw) for bio in group]
            print(f">= {least} characters, {edits} edits: {share(changed, refused)}")
        print(f">= {least} characters, halves: {share([spliced(bio, draw) for bio in group], refused)}")
    print(f"rare runs of >= 32 characters: {share(rare_runs(bios, 1000, draw), refused)}")
    for count in (6_200, min(100_000, len(bios))):
        fill_outbox(folder, bios[:count])
        file, spent = folder / OUTBOX_INDEX, []
        with Outbox(folder / "outbox.db", "rehearsal", read_only=True) as outbox:
            for _ in range(2):
                cpu = time.process_time()
                own = CombinedIndex(own_texts(file, outbox))
                spent.append(time.process_time() - cpu)
                file.unlink(missing_ok=True)
        took = f"opening took {spent[0]:.3f} s of CPU, without {OUTBOX_INDEX} {spent[1]:.2f}"
        print(f"{count:,} own texts: {took}; look-up, ms of CPU: {look_ups(own, unseen[:2000])}")


def look_ups(known: KnownTexts, texts: list[str]) -> str:
    """Return how long looking texts up takes, in words."""
    seconds = []
    for text in texts:
        start = time.process_time()
        known.matches(text)
        seconds.append(time.process_time() - start)
    seconds.sort()
    mean, p50, p99 = sum(seconds) / len(seconds), seconds[len(seconds) // 2], seconds[len(seconds) * 99 // 100]
    return f"mean {mean * 1e3:.2f}, p50 {p50 * 1e3:.2f}, p99 {p99 * 1e3:.2f}"


if __name__ == "__main__":
    files = [texts(Path(each)) for each in sys.argv[1:3]]
    main(*files or (made_up(50_000, 1), made_up(2_000, 2)))
