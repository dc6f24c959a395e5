"""A model becomes active when it is no worse and no copier, and a refusal says how to overrule it."""

from __future__ import annotations

from pathlib import Path

from biobot.dedupe import index
from biobot.evaluation import report
from biobot.evaluation.gate import MIN_COMPARED, beside, decide


def test_a_better_model_goes_live_and_a_worse_one_does_not() -> None:
    assert decide("m", 2.3, 2.4, 500, 0.01, 0.01).promote
    assert decide("m", 2.4, 2.4, 500, 0.01, 0.01).promote
    worse = decide("m", 2.41, 2.4, 500, 0.01, 0.01)
    assert not worse.promote
    assert "2.410 bits per byte, but the active model has 2.400" in worse.why
    assert "biobot models use m" in worse.why


def test_a_copier_is_refused_however_well_it_predicts() -> None:
    copier = decide("m", 1.0, 2.4, 500, 0.05, 0.02)
    assert not copier.promote
    assert "5.0% of its bios are copies (limit 4.0%)" in copier.why


def test_the_first_model_needs_nothing_to_compare_with_but_others_need_enough() -> None:
    assert decide("m", 2.4, None, 0, 0.0, 0.0).promote
    unsure = decide("m", 2.3, 2.4, MIN_COMPARED - 1, 0.0, 0.0)
    assert not unsure.promote
    assert "49 held-out bios are unlike what either model was trained on" in unsure.why
    assert "import 1,000 bios or more that are not made after one pattern, or name a file" in unsure.why


def test_copies_are_equal_texts_and_runs_of_forty_characters_that_at_most_two_bios_hold(tmp_path: Path) -> None:
    once = "a lighthouse keeper who only ever reads cookbooks by moonlight"
    twice = "quiet drummer of the seventh valley, allergic to applause"
    thrice = "professional napper, amateur juggler, full time cloud watcher"
    people = ["ann", "bob", "cem"]
    bios = [once, *(f"{twice} {each}" for each in people[:2]), *(f"{thrice} {each}" for each in people), "he/him"]
    index.build(bios, tmp_path / "fingerprints.idx")
    seen = index.Index.open(tmp_path / "fingerprints.idx")

    def share(*texts: str) -> float:
        return report.verbatim(texts, seen)[0]

    assert share(once.upper()) == 1
    assert share(f"today {once[:45]} zzz") == 1
    assert share(f"today {once[:34]}; zzz") == 0
    assert share(f"{twice} dot") == 1
    assert share(f"{thrice} dot") == 0
    assert share(f"{thrice} ann") == 1
    assert report.verbatim(["he/him", once], seen) == (1, len(once))  # of fewer than 40 bytes, nobody's
    assert report.verbatim([], seen) == (0.0, 0)


def test_a_model_that_copies_more_or_passes_less_says_so_even_when_it_becomes_active() -> None:
    def card(copies: float, passing: float) -> dict[str, object]:
        report = [{"temperature": 0.6, "accepted": 1.0}, {"temperature": 0.8, "accepted": passing}]
        return {"verbatim_rate": copies, "report": report}

    said = beside(card(0.231, 0.265), card(0.127, 0.435), promote=True)
    assert "copies more (23.1%, the active model 12.7%)" in said
    assert "fewer of its bios pass the filters (26.5%, the active model 43.5%)" in said
    assert said.startswith("; but it copies")
    assert beside(card(0.231, 0.265), card(0.127, 0.435), promote=False).startswith("; besides, it copies")
    assert beside(card(0.1, 0.5), card(0.2, 0.4), promote=True) == ""
    assert beside(card(0.1, 0.5), {}, promote=True) == ""
    assert beside(card(0.1, 0.5), {"verbatim_rate": 0.2, "report": "nonsense"}, promote=True) == ""
