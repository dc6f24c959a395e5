"""Whether a text is one at all: what no reader should ever be shown, whatever the filters say."""

from __future__ import annotations

import re
import unicodedata

_FORBIDDEN = {
    "half a character (a lone surrogate)": "[\ud800-\udfff]",
    "a control character": "[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]",
    "a sign that turns the direction of writing": "[\u202a-\u202e\u2066-\u2069]",
    "a replacement character, where something was lost": "\ufffd",
    "a code point that is no character": "[\ufdd0-\ufdef\ufeff"
    + "".join(chr(plane << 16 | end) for plane in range(17) for end in (0xFFFE, 0xFFFF))
    + "]",
    "invisible tag characters": "(?<![\U0001f3f4\U000e0020-\U000e007f])[\U000e0000-\U000e007f]",
    "an old format character": "[\u206a-\u206f\ufff9-\ufffb]",
}
_ANY = re.compile("|".join(_FORBIDDEN.values()))
_EMPTY = frozenset("\u115f\u1160\u3164\uffa0\u2800\U0001d159\ufffc")
"""Fillers, the blank Braille cell and the like: letters and symbols by category, nothing to the eye."""
_TAGS = range(0xE0020, 0xE0080)
_MARKS_IN_A_ROW = 4


def problem(text: str) -> str | None:
    """Say why `text` is not fit to be shown, or return None.

    Refused are lone surrogates, control characters other than the line feed, bidi overrides and isolates,
    non-characters, storms of combining marks, and texts of which more than half is blank: spaces, line feeds,
    fillers, invisible signs (F26).
    """
    text = text.strip(" \n")
    if text.isascii() and text.isprintable():
        return _blank(len(text) - text.count(" "), text.count(" "))
    if _ANY.search(text):
        return "it holds " + next(name for name, pattern in _FORBIDDEN.items() if re.search(pattern, text))
    visible = blanks = marks = row = 0
    for character in text:
        category = unicodedata.category(character)
        if category in ("Mn", "Me"):
            marks, row = marks + 1, row + 1
            if row > _MARKS_IN_A_ROW:
                return "it holds a storm of combining marks"
            continue
        row = 0
        if character in _EMPTY or (category[0] in "ZC" and category not in ("Co", "Cn")):
            blanks += ord(character) not in _TAGS  # those spell a flag's name
        else:
            visible += 1
    if marks > 2 * visible > 0:
        return "it holds a storm of combining marks"
    return _blank(visible, blanks)


def _blank(visible: int, blanks: int) -> str | None:
    if not visible:
        return "there is nothing to see in it"
    return "it is blank for the most part" if blanks > visible else None
