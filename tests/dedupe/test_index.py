"""The fingerprint index: what it recognises, how it is kept, and how it fails (F11, F41)."""

from __future__ import annotations

import random
import struct
import tracemalloc
import zlib
from dataclasses import fields, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biobot.candidate import Match
from biobot.dedupe import fingerprint, index
from biobot.dedupe.index import Index
from biobot.errors import CorpusError

SENTENCE = "river lamp quiet morning paper lantern seven clumsy fox whistle grandmother umbrella rain yesterday"
WORDS = SENTENCE.split()
GOLDEN = {
    "lengths": "185c226e0b76",
    "exact": "229d63076965",
    "sketches": "741ca1444922",
    "char_bits": "971eceba41f2",
    "short_ngrams": "8d486135f95d",
    "short_owners": "be667ba24ff4",
    "ngrams": "20fff7a3e090",
    "owners": "e11e375b7d01",
}
"""Hashes of the fingerprints of made-up texts."""


def invented(count: int, seed: int, length: int = 100) -> list[str]:
    """Write texts of random letters in words: no two of them share anything long."""
    draw = random.Random(seed)
    return [
        " ".join("".join(draw.choice("aeioubcdfglmnprst") for _ in range(draw.randrange(2, 9))) for _ in range(30))[
            :length
        ]
        for _ in range(count)
    ]


def amounts(found: tuple[Match, ...]) -> dict[str, float]:
    return {match.layer: match.amount for match in found}


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    texts = invented(3000, seed=1)
    path = tmp_path_factory.mktemp("index") / "fingerprints.idx"
    index.build(texts, path)
    return texts, path


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    texts = [text.strip() for length in (24, 30, 36) for text in invented(700, seed=length, length=length)]
    path = tmp_path_factory.mktemp("short") / "fingerprints.idx"
    index.build(texts, path)
    return texts, path


def test_knows_a_copy_whatever_its_case_accents_and_invisible_characters(learnt: tuple[list[str], Path]) -> None:
    texts, path = learnt
    seen = Index.open(path)
    assert amounts(seen.matches(texts[7]))["exact"] == 1
    assert amounts(seen.matches(texts[7].upper().replace("A", "А\u200b")))["exact"] == 1
    assert "exact" not in amounts(seen.matches(texts[7] + "x"))


def test_knows_a_text_with_a_few_edits_and_no_other(learnt: tuple[list[str], Path]) -> None:
    texts, path = learnt
    draw = random.Random(2)
    caught = 0
    seen = Index.open(path)
    for text in texts[:200]:
        letters = list(text)
        for _ in range(6):
            letters[draw.randrange(len(letters))] = draw.choice("xyz")
        caught += amounts(seen.matches("".join(letters))).get("near", 0) >= 0.578
    assert caught >= 180
    assert all(amounts(seen.matches(text)).get("near", 0) < 0.5 for text in invented(100, seed=3))


def edited(text: str, edits: int, draw: random.Random) -> str:
    letters = list(text)
    for _ in range(edits):
        at = draw.randrange(len(letters))
        letters[at : at + draw.choice((0, 1, 1))] = draw.choice(("x", "", "z"))
    return "".join(letters)


def test_knows_a_short_text_by_counting_edits(short: tuple[list[str], Path]) -> None:
    texts, path = short
    draw = random.Random(4)
    seen = Index.open(path)

    def likeness(text: str) -> float:
        return amounts(seen.matches(text)).get("near", 0)

    likes = {edits: [likeness(edited(text, edits, draw)) for text in texts[700:850]] for edits in (1, 2, 3)}
    for edits, least in ((1, 0.75), (2, 0.55), (3, 0.36)):
        assert sum(each >= least - 0.2 for each in likes[edits]) >= 148
        assert max(likes[edits]) <= 1
    assert sum(likeness(text) >= 0.36 for text in invented(150, seed=5, length=30)) == 0
    # the same 3-grams in another order are no copy
    halves = [f"{text[15:]} {text[:15]}" for text in texts[700:750]]
    assert sum(likeness(text) >= 0.36 for text in halves) <= 2


def test_knows_a_copy_among_many_after_one_pattern(tmp_path: Path) -> None:
    index.build((f"robot {number} of the second fleet, sir" for number in range(1000, 1400)), tmp_path / "i")
    seen = Index.open(tmp_path / "i")
    assert amounts(seen.matches("robot 1234 of the second fleet: sir"))["near"] > 0.7
    assert amounts(seen.matches("robot 1234 of the second fleet, sir"))["near"] == 1


def test_knows_half_of_a_short_text_and_not_a_third(short: tuple[list[str], Path]) -> None:
    texts, path = short
    seen = Index.open(path)

    def run(text: str) -> float:
        return amounts(seen.matches(text)).get("copied", 0)

    halves = [run(f"qq {text[at % 16 :][:20]} {WORDS[0]} qq") for at, text in enumerate(texts[1400:1500])]
    assert sum(20 <= each <= 24 for each in halves) >= 85
    assert min(halves) >= 18
    alone = [run(text[at % 16 :][:20].strip()) for at, text in enumerate(texts[1400:1500])]
    assert set(alone) <= {18, 19, 20}
    thirds = [run(text[at % 20 :][:16].strip()) for at, text in enumerate(texts[1400:1500])]
    assert max(thirds) == 0
    # of a long text half is more than 32 characters
    assert run(f"{' '.join(WORDS)} {' '.join(WORDS)} {texts[0][:20]}") == 0


def test_a_short_ngram_that_two_texts_hold_is_nobodys(tmp_path: Path) -> None:
    index.build(
        ["mother of seven clumsy foxes", "doctor of seven clumsy foxes", "she paints doors by moonlight"],
        tmp_path / "i",
    )
    seen = Index.open(tmp_path / "i")
    assert "copied" not in amounts(seen.matches("builder of seven clumsy foxes"))
    assert amounts(seen.matches("he paints doors by day"))["copied"] >= 16


@settings(deadline=None, max_examples=80)
@given(st.lists(st.booleans(), min_size=1, max_size=20), st.lists(st.booleans(), max_size=20))
def test_edits_are_counted_as_the_table_of_distances_does(one: list[bool], other: list[bool]) -> None:
    row = list(range(len(other) + 1))
    for at, left in enumerate(one, start=1):
        last, row = row, [at]
        for place, right in enumerate(other):
            row.append(min(last[place] + (left != right), last[place + 1] + 1, row[place] + 1))
    lines = (sum(bit << at for at, bit in enumerate(each)) for each in (one, other))
    first, second = lines
    assert fingerprint.count_edits(first, len(one), second, len(other)) == row[-1]


def test_measures_a_copied_run_to_the_character(learnt: tuple[list[str], Path]) -> None:
    texts, path = learnt
    measured = []
    seen = Index.open(path)
    for at, text in enumerate(texts[:200]):
        begin = at % 60
        new = f"{' '.join(WORDS[:5])}|{text[begin : begin + 32]}|{' '.join(WORDS[5:])}"
        measured.append(amounts(seen.matches(new)).get("copied", 0))
    assert min(measured) >= 32
    assert sum(length > 37 for length in measured) <= 10
    assert amounts(seen.matches(" ".join(WORDS))).get("copied", 0) == 0


def test_a_run_just_below_the_bar_is_seldom_measured_too_long(learnt: tuple[list[str], Path]) -> None:
    texts, path = learnt
    seen = Index.open(path)
    measured = []
    for at, text in enumerate(texts[:300]):
        begin = at % 60
        new = f"{' '.join(WORDS[:5])}|{text[begin : begin + 31]}|{' '.join(WORDS[5:])}"
        measured.append(amounts(seen.matches(new)).get("copied", 0))
    assert sum(length >= 32 for length in measured) < 186


def test_takes_a_phrase_that_many_use_for_nobodys(tmp_path: Path) -> None:
    phrase = "opinions expressed here are entirely my own"
    index.build(
        [f"{text} {phrase}" for text in invented(5, seed=4)] + ["a secret that only one person ever wrote down"],
        tmp_path / "i",
    )
    seen = Index.open(tmp_path / "i")
    assert "copied" not in amounts(seen.matches(f"{' '.join(WORDS)} {phrase}"))
    assert amounts(seen.matches("today a secret that only one person ever wrote down"))["copied"] >= 40


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(st.characters(exclude_categories=[]), max_size=90), max_size=6))
def test_a_text_has_the_same_fingerprint_alone_and_among_others(texts: list[str]) -> None:
    many = fingerprint.compute_batch(texts)
    alone = fingerprint.concatenate([fingerprint.compute_batch(each) for each in ([], *([text] for text in texts))])
    asked = [fingerprint.compute(text) for text in texts]
    for each in fields(many):
        assert getattr(many, each.name).tolist() == getattr(alone, each.name).tolist(), each.name
    for row, mark in enumerate(asked):
        assert (many.exact[row], many.lengths[row]) == (mark.exact, min(mark.length, fingerprint.MAX_LENGTH))
        assert mark.sketch is None or many.sketches[row].tobytes() == mark.sketch.tobytes()
        assert set(many.ngrams[many.owners == row] >> fingerprint.CONTEXT_BITS) <= set(mark.ngrams)
        assert set(many.short_ngrams[many.short_owners == row] >> fingerprint.POSITION_BITS) <= set(mark.short_ngrams)


def test_fingerprints_stay_those_of_the_files_that_hold_them() -> None:
    stored = fingerprint.compute_batch(
        ["", "ab", "Café au lait", *invented(50, seed=8), *invented(50, seed=9, length=40)]
    )
    hashes = {each.name: sha256(getattr(stored, each.name).astype("<u8").tobytes()) for each in fields(stored)}
    assert {name: each.hexdigest()[:12] for name, each in hashes.items()} == GOLDEN


def test_merging_is_as_good_as_building_at_once(learnt: tuple[list[str], Path], tmp_path: Path) -> None:
    texts, path = learnt
    index.build(texts[:2000], tmp_path / "a")
    index.build(texts[1000:], tmp_path / "ab", tmp_path / "a")
    assert (tmp_path / "ab").read_bytes() == path.read_bytes()


def test_merging_keeps_short_texts_and_what_is_common(short: tuple[list[str], Path], tmp_path: Path) -> None:
    texts, path = short
    index.build([], tmp_path / "again", path)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    phrase = "professional napper and amateur juggler, full time cloud watcher"
    index.build([f"{phrase} {each}" for each in invented(3, seed=6, length=9)], tmp_path / "both", path)
    seen = Index.open(tmp_path / "both")
    assert len(seen.exact) == len(texts) + 3
    assert amounts(seen.matches(texts[0])) == {"exact": 1, "near": 1, "copied": len(texts[0])}
    assert amounts(seen.matches(f"{phrase} qqq"))["copied"] >= len(phrase)
    assert seen.verbatim(f"{phrase} qqq") == (False, 0)  # three hold it, as before


def test_building_takes_the_same_memory_for_more_texts_and_leaves_nothing_behind(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        draw = random.Random(7)
        tracemalloc.start()
        index.build(("".join(draw.choices("abcdefghij ", k=50)) for _ in range(count)), tmp_path / "i", chunk=50)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(100)  # what is taken once
    assert peak(600) < 1.08 * peak(100)
    assert [each.name for each in tmp_path.iterdir()] == ["i"]


def test_an_index_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="cannot write"):
        index.build(["a text"], tmp_path / "no" / "folder" / "fingerprints.idx")


def test_an_index_of_nothing_matches_nothing(tmp_path: Path) -> None:
    index.build([], tmp_path / "none")
    seen = Index.open(tmp_path / "none")
    assert seen.matches("anything at all, of some length, to be sure") == ()
    assert seen.matches("") == ()


@pytest.mark.parametrize("damage", ["missing", "empty", "short", "flipped", "other", "newer"])
def test_a_damaged_index_is_one_clear_error(learnt: tuple[list[str], Path], tmp_path: Path, damage: str) -> None:
    whole = bytearray(learnt[1].read_bytes())
    path = tmp_path / "fingerprints.idx"
    if damage == "short":
        whole = whole[:-1]
    elif damage == "flipped":
        whole[len(whole) // 2] ^= 1
    elif damage == "newer":
        whole[8] = 99
    if damage != "missing":
        path.write_bytes({"empty": b"", "other": b"hello" * 100}.get(damage, bytes(whole)))
    with pytest.raises(CorpusError, match=str(path)) as caught:
        Index.open(path)
    if damage not in ("missing", "empty"):
        assert "copy it again with its model, or train anew" in str(caught.value)


@pytest.mark.parametrize("sections", ["begins", "short_ngrams", "ngrams"])
@pytest.mark.parametrize("wrong", [(1, 2**32 - 1), (-1, 0), (0, 1)])
def test_an_index_whose_parts_do_not_fit_is_refused_whatever_its_checksum(
    short: tuple[list[str], Path], tmp_path: Path, sections: str, wrong: tuple[int, int]
) -> None:
    whole = Index.open(short[1])
    table = getattr(whole, sections)
    begins = (table if sections == "begins" else table.begins).copy()
    begins[wrong[0]] = wrong[1]
    changed = begins if sections == "begins" else replace(table, begins=begins)
    replace(whole, **{sections: changed}).save(tmp_path / "wrong.idx")
    with pytest.raises(CorpusError, match="its parts do not fit together"):
        Index.open(tmp_path / "wrong.idx")


def test_an_index_of_an_older_biobot_is_read_as_if_built_anew(short: tuple[list[str], Path], tmp_path: Path) -> None:
    """Format 2: the sketches by column, and nothing about owners."""
    texts, path = short
    new = path.read_bytes()
    index_now = Index.open(path)
    columns = np.packbits(np.unpackbits(index_now.sketches, axis=1).T, axis=1, bitorder="little")
    at = 64 + 4 * 513 + 8 * len(texts)
    body = new[64:at] + columns.tobytes() + new[at + 32 * len(texts) :]
    head = struct.pack("<8sI", b"BIOSEEN\n", 2) + new[12:44] + struct.pack("<I", zlib.crc32(body))
    (tmp_path / "seen.idx").write_bytes(head.ljust(64, b"\0") + body)
    Index.open(tmp_path / "seen.idx").save(tmp_path / "again.idx")
    assert (tmp_path / "again.idx").read_bytes() == new
