"""What a reader sees as one character is never torn."""

from __future__ import annotations

import pytest

from biobot.text.graphemes import split, whole

SEEN_AS_ONE = [
    "a",
    "é",
    "e\u0301",
    "👨\u200d👩\u200d👧",
    "🇵🇹",
    "🇩🇪",
    "👍🏽",
    "1\ufe0f\u20e3",
    "\u1100\u1161\u11a8",
    "क्ष",
    "กำ",
    "\r\n",
]


def test_a_text_is_split_into_what_a_reader_sees() -> None:
    assert list(split("".join(SEEN_AS_ONE))) == SEEN_AS_ONE


@pytest.mark.parametrize(
    ("cut", "left"),
    [
        ("café".encode()[:-1], "caf"),
        ("x🌻".encode()[:-1], "x"),
        ("x👨\u200d👩".encode()[:-4], "x👨"),
        ("x👨\u200d👩".encode()[:-1], "x👨"),
        ("x🇵🇹🇩🇪".encode()[:-4], "x🇵🇹"),
        ("x🇵🇹🇩🇪".encode(), "x🇵🇹🇩🇪"),
        ("🇵🇹".encode() * 40 + "🇩".encode(), "🇵🇹" * 40),
        (b"", ""),
    ],
)
def test_what_is_left_of_a_cut_text_ends_with_a_whole_character_flag_and_joined_emoji(cut: bytes, left: str) -> None:
    assert whole(cut) == left
