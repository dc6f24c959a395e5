"""F34: the held-out split shares no near-duplicate with training."""

from __future__ import annotations

import random
from collections import Counter

from biobot.dedupe import groups

SYLLABLES = [
    "ba",
    "ker",
    "pi",
    "rat",
    "dru",
    "mm",
    "tea",
    "ma",
    "ps",
    "ra",
    "in",
    "vi",
    "nyl",
    "oce",
    "an",
    "o",
    "lu",
    "que",
]


def bios(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join("".join(draw.choices(SYLLABLES, k=3)) for _ in range(12)) for _ in range(count)]


def edited(text: str, edits: int, draw: random.Random) -> str:
    letters = list(text)
    for _ in range(edits):
        at = draw.randrange(len(letters))
        letters[at : at + draw.choice((0, 1))] = draw.choice(("", "x", "é"))
    return "".join(letters)


def test_f34_no_near_duplicate_of_a_held_out_bio_is_learnt() -> None:
    draw = random.Random(3)
    originals = bios(2000, 1)
    copies = [edited(text, edits, draw) for text in originals for edits in (0, 1, 2)]
    corpus = [*originals, *copies, *(text.upper() for text in originals)]
    draw.shuffle(corpus)
    held_out = groups.hold_out(corpus, share=0.05, most=100)
    left_out: Counter[str] = Counter()
    learnt = list(groups.apart(corpus, held_out, left_out))
    assert len(held_out) == 100
    assert len(learnt) + left_out["near_held_out"] == len(corpus)
    # every bio is one of a family of five made from one original: no family stands on both sides
    family = {text: number for number, text in enumerate(originals)}
    for number, copy in enumerate(copies):
        family[copy] = number // 3
    family |= {text.upper(): number for number, text in enumerate(originals)}
    leaked = {family[text] for text in held_out} & {family[text] for text in learnt}
    assert leaked == set()
    assert len(learnt) > 0.9 * len(corpus)


def test_the_same_bios_are_held_out_whatever_their_order_and_whatever_else_there_is() -> None:
    some, more = bios(2000, 1), bios(500, 2)
    held_out = groups.hold_out(some, share=0.05, most=10_000)
    assert 60 < len(held_out) < 140
    assert set(groups.hold_out([*more, *reversed(some)], share=0.05, most=10_000)) >= set(held_out)
    assert groups.hold_out(some, share=0.05, most=10_000, seed=1) != held_out


def test_the_held_out_are_few_however_large_the_corpus() -> None:
    assert len(groups.hold_out(bios(3000, 1), share=0.5, most=50)) == 50
    assert set(groups.hold_out(bios(3000, 1), share=0.5, most=50)) == set(
        groups.hold_out(reversed(bios(3000, 1)), share=0.5, most=50)
    )


def test_one_bio_twice_in_other_letters_is_one_group() -> None:
    assert groups.group("Tea & Maps!") == groups.group("TEA & MAPS!")
    assert len(groups.hold_out(["Tea & Maps!", "TEA & MAPS!"], share=1, most=10)) == 1


def test_nothing_held_out_leaves_everything_in() -> None:
    assert list(groups.apart(["a", "b"], [])) == ["a", "b"]
    assert groups.hold_out([], share=0.5, most=10) == []
