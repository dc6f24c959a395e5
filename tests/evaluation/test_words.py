"""Real words are those that several people's bios hold, in whatever language."""

from __future__ import annotations

from pathlib import Path

import pytest

from biobot import fold
from biobot.evaluation import words


def test_takes_words_in_any_spaced_script_and_leaves_names_tags_and_links_out() -> None:
    assert words.words("I don't know @someone, señor! #blessed x.com/y https://example.org ПРИВЕТ 東京 42 a") == [
        "don't",
        "know",
        "senor",
        fold("привет"),
    ]


def test_tells_words_from_letters() -> None:
    assert words.share(["Writer, dreamer and mother of two. I love dogs.", "Passionné de musique et de cinéma"]) == 1
    assert words.share(["wqrtzl dramzer ohn mutherd kve"]) == 0
    assert words.share(["love wqrtzl"]) == 0.5
    assert words.share(["東京 ✨ 42", ""]) is None


def test_a_word_is_real_that_enough_bios_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bios = ["zorgle zorgle zorgle", *["Vimbat, again"] * words.MIN_BIOS]
    assert words.build(bios, tmp_path / "words.bin") == 2
    monkeypatch.setattr(words, "__file__", str(tmp_path / "words.py"))
    words._known.cache_clear()
    try:
        assert [words.share([each]) for each in ("vimbat", "again", "zorgle")] == [1, 1, 0]
    finally:
        words._known.cache_clear()
