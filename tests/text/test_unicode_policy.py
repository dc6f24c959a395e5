"""What is never shown to a reader (F26)."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biobot.text.terminal import clean
from biobot.text.unicode_policy import UNSAMPLED, problem


@pytest.mark.parametrize(
    "text",
    [
        *("", "   ", "\n\n", "\u200b\u200d\u2060", "\u2800\u3164", "\u0301\u0301", "\ue0001"[:0], "\u200e \u200f"),
        *("a\u2800\u2800\u2800b", "\u2800 \u2800\n\u2800 .", "\u115f\u1160\u3164\uffa0 \u3164 x", "o" + " " * 40 + "o"),
        *("\u3000 \u2003 \u00a0 *", "\U0001d159" * 9 + "!", "\ufffc\ufffc\n\ufffc", "\u200b" * 30 + "Lisbon"),
        *("half \ud83d", "\udc80 bytes", "nul \x00", "bell \a", "tab\tbed", "cr\r\nlf", "line\u2028separator"),
        *(
            "turned \u202eround",
            "isolated \u2066x\u2069",
            "lost \ufffd",
            "bom \ufeff",
            "no \ufdd0 character",
            "\U0001fffe x",
        ),
        *(
            "storm a\u0301\u0302\u0303\u0304\u0305",
            "H\u0310\u0310\u0310e\u0310\u0310\u0310",
            "hidden \U000e0041\U000e0042 tags",
        ),
    ],
)
def test_refuses_what_is_no_text_to_a_reader(text: str) -> None:
    assert problem(text)


@pytest.mark.parametrize(
    "text",
    [
        "A baker from Lisbon.\nSay hello!",
        "👨\u200d👩\u200d👧 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f 1\ufe0f\u20e3 🇩🇪",
        "e\u0301 Tiê\u0301ng Việt ภาษาไทยที่นี่ هَذَا نَصٌّ שָׁלוֹם",
        "می\u200cخواهم \u200fעברית (RLM)",
        "हिन्दी में क्षत्रिय",
        "w i d e\n\u2800l\u2800e\u2800t\u2800t\u2800e\u2800r\u2800s",
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    ],
)
def test_lets_every_writing_pass(text: str) -> None:
    assert problem(text) is None


@pytest.mark.parametrize("mark", "\u061c\u200e\u200f")
def test_a_direction_mark_may_be_written_is_never_sampled_and_is_shown_by_its_code(mark: str) -> None:
    assert problem(f"שלום{mark}!") is None
    assert any(first <= ord(mark) <= last for first, last in UNSAMPLED)
    assert clean(f"a{mark}b") == f"a<{ord(mark):02X}>b"


def test_neither_the_sampler_nor_a_terminal_lets_through_what_steers_a_reader() -> None:
    for mark in map(chr, (0, 7, 27, 0x7F, 0x85, 0x9B, 0x2028, 0x2029, 0x202E, 0x2066, 0x2069, 0xD800)):
        assert problem(f"a{mark}b")
        assert any(first <= ord(mark) <= last for first, last in UNSAMPLED)
        assert clean(f"a{mark}b") == f"a<{ord(mark):02X}>b"


def drawn(character: str) -> bool:
    """Return whether a reader sees a character by itself; some format characters are: the Arabic number sign."""
    category = unicodedata.category(character)
    if category == "Cf":
        return unicodedata.bidirectional(character) in ("AN", "AL", "L") and character not in "\u061c\u200e"
    return category[0] not in "CZM" or category in ("Mc", "Co", "Cn")


@given(st.text(st.characters(codec="utf-8")))
def test_what_passes_can_be_written_and_has_something_to_see(text: str) -> None:
    if problem(text) is None:
        text.encode()
        assert any(map(drawn, text))
