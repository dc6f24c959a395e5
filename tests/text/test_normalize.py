"""What two texts that look the same have in common."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biobot.text.normalize import fold


@pytest.mark.parametrize(
    "text",
    [
        "ＡＢＣ  def",
        "АВС\u200b dеf",
        "a\u0301bc de\u0301f",
        "abc\n\tdef",
        "𝐚𝐛𝐜 𝐝𝐞𝐟",
        "🅰🅱c ⓓⓔⓕ",
        "🄰🅑🅲 def",
        "a\u20ddƄc def",
        "a\u00adb\u2060c d\u200def",
    ],
)
def test_levels_what_a_reader_does_not_see(text: str) -> None:
    assert fold(text) == "abc def"


def test_keeps_texts_apart_that_differ_to_a_reader() -> None:
    assert fold("nurse, baker") != fold("nurse & baker")
    assert fold("🌻") != fold("🌹")
    assert fold("Straße") == fold("STRASSE")
    assert fold("각") == fold("\u1100\u1161\u11a8") == "각"


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)
