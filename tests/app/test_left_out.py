"""What a training leaves out, in words, and how much bios of one pattern may cost."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

from biobot.app import training
from biobot.config import load
from biobot.dedupe import groups
from biobot.model.bytefile import ByteFile
from tests.conftest import made_up_bios

WHO = ["pirate", "astronaut", "baker", "drummer", "gardener", "sailor", "juggler", "potter", "nurse", "weaver"]
WHERE = ["the warm laptop", "northern Lisbon", "a small harbour", "the back row", "an attic", "the seventh valley"]
DOES = ["collects umbrellas", "counts clouds", "rescues moths", "paints rivers", "alphabetises lanterns"]


def write(folder: Path, bios: list[str]) -> tuple[list[str], int, int]:
    """Return what is said, and the numbers of bios to learn and held out."""
    path = folder / "bios.txt"
    path.write_text("\n".join(bios))
    notes = training._write_bios(load(), training.Options(corpus=path), folder / "training")
    said = [each.text for each in notes]
    return said, len(ByteFile(folder / "training" / "bios")), len(ByteFile(folder / "training" / "dev"))


def test_bios_of_one_pattern_do_not_lose_a_third_to_those_held_out(bot: Callable[[str], Path]) -> None:
    bios = [bio.replace("\n", " ") for bio in made_up_bios(3000)]
    said, learnt, held = write(bot(""), bios)
    assert learnt > 0.8 * len(bios)
    assert held >= training.MIN_HELD_OUT
    assert "too much like a held-out one" in said[0]
    files = [(Path("training") / name) for name in ("bios", "dev")]
    sides = [{bytes(each).decode() for each in ByteFile(Path.cwd() / file)} for file in files]
    assert len(list(groups.apart(sides[0], list(sides[1])))) == learnt  # and still none is on both sides


def test_what_is_left_out_is_said_in_words_with_what_changes_that(bot: Callable[[str], Path]) -> None:
    bios = [f"A {who} in {where} who {does}" for who, where, does in itertools.product(WHO, WHERE, DOES)]
    said, _, _ = write(bot(""), [*bios, "see https://example.org for more of me", "write to me@example.org, please do"])
    assert 'with a link (`train.url = "keep"` trains on them)' in said[0]
    assert "1 with an e-mail address" in said[0]
    assert "_" not in said[0]
