"""A model may speak when it is no worse and no copyist, and a refusal says how to overrule it."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from biobot.dedupe import index
from biobot.evaluation import curve, report
from biobot.evaluation.gate import FEWEST, decide


def test_a_better_model_goes_live_and_a_worse_one_does_not() -> None:
    assert decide("m", 2.3, 2.4, 500, 0.01, 0.01).promote
    assert decide("m", 2.4, 2.4, 500, 0.01, 0.01).promote
    worse = decide("m", 2.41, 2.4, 500, 0.01, 0.01)
    assert not worse.promote
    assert "2.410 bits per byte, the current model needs 2.400" in worse.why
    assert "biobot models use m" in worse.why


def test_a_copyist_is_refused_however_well_it_predicts() -> None:
    copyist = decide("m", 1.0, 2.4, 500, 0.05, 0.02)
    assert not copyist.promote
    assert "5.0% of its bios are copies, 4.0% may be" in copyist.why


def test_the_first_model_needs_nothing_to_compare_with_but_others_need_enough() -> None:
    assert decide("m", 2.4, None, 0, 0.0, 0.0).promote
    unsure = decide("m", 2.3, 2.4, FEWEST - 1, 0.0, 0.0)
    assert not unsure.promote
    assert "takes 50 bios that neither has learnt, and there are 49" in unsure.why
    assert "import 1,000 bios or more, or give others with --dev" in unsure.why


def test_copies_are_equal_texts_and_runs_of_forty_characters_that_at_most_two_bios_hold(tmp_path: Path) -> None:
    once = "a lighthouse keeper who only ever reads cookbooks by moonlight"
    twice = "quiet drummer of the seventh valley, allergic to applause"
    thrice = "professional napper, amateur juggler, full time cloud watcher"
    people = ["ann", "bob", "cem"]
    bios = [once, *(f"{twice} {each}" for each in people[:2]), *(f"{thrice} {each}" for each in people), "he/him"]
    index.build(bios, tmp_path / "seen.idx")
    with index.Index.open(tmp_path / "seen.idx") as seen:

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


def test_the_curve_is_drawn_from_top_left_to_bottom_right() -> None:
    points = curve.points([(1, 0, 5.0, 5.0), (2, 1_000_000, 4.0, 3.0), (3, 4_000_000, 3.0, 2.5)])
    lines = curve.lines(points, width=20, height=5)
    assert lines[0].strip().startswith("5.00")
    assert lines[0][7] != "\u2800" == lines[0][-1]
    assert lines[4][7] == "\u2800" != lines[4][-1]
    assert lines[-1].split() == ["0.0", "4.0", "MB"]
    assert curve.lines([]) == []


def test_the_curve_is_a_png_that_can_be_read_back() -> None:
    data = curve.png([(0.0, 3.0), (1.0, 2.0)], width=30, height=20)
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", data[16:24]) == (30, 20)
    size = struct.unpack(">I", data[33:37])[0]
    pixels = zlib.decompress(data[41 : 41 + size])
    assert len(pixels) == 20 * (1 + 30 * 3)
    assert curve.png([])[:8] == data[:8]
