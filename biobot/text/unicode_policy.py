"""Which characters may appear in a text that is shown, in one that is sampled, and on a terminal.

Each class of characters is listed once; `problem`, the sampler's automaton and `terminal.clean` combine them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

Spans = tuple[tuple[int, int], ...]
"""Code points, as (first, last)."""

SURROGATES: Spans = ((0xD800, 0xDFFF),)
CARRIAGE_RETURN = (0x0D, 0x0D)
CONTROLS: Spans = ((0x00, 0x09), (0x0B, 0x0C), CARRIAGE_RETURN, (0x0E, 0x1F), (0x7F, 0x9F), (0x2028, 0x2029))
"""Control characters other than the line feed, and the line and paragraph separators."""
DIRECTION_CONTROLS: Spans = ((0x202A, 0x202E), (0x2066, 0x2069))
"""Bidi embeddings, overrides and isolates: they reorder the text around them."""
DIRECTION_MARKS: Spans = ((0x061C, 0x061C), (0x200E, 0x200F))
"""Bidi marks: invisible letters with a direction, which people who write Hebrew, Arabic or Persian need."""
NONCHARACTERS: Spans = (
    *((0xFDD0, 0xFDEF), (0xFEFF, 0xFEFF)),
    *((plane << 16 | 0xFFFE, plane << 16 | 0xFFFF) for plane in range(17)),
)
"""Code points that Unicode will never assign, and the byte order mark."""
ANNOTATIONS: Spans = ((0xFFF9, 0xFFFB),)
TAGS: Spans = ((0xE0000, 0xE007F),)

FORBIDDEN: dict[str, Spans] = {
    "half a character (a lone surrogate)": SURROGATES,
    "a control character": CONTROLS,
    "a character that changes the direction of writing": DIRECTION_CONTROLS,
    "a replacement character, where something was lost": ((0xFFFD, 0xFFFD),),
    "a code point that is not a character": NONCHARACTERS,
    "a deprecated format character": ((0x206A, 0x206F), *ANNOTATIONS),
}
"""What no text may hold, by its name in an objection; besides, TAGS that do not spell a flag."""

UNSAMPLED: Spans = tuple(
    span
    for spans in (SURROGATES, CONTROLS, DIRECTION_CONTROLS, DIRECTION_MARKS, NONCHARACTERS, ANNOTATIONS)
    for span in spans
    if span != CARRIAGE_RETURN
)
"""What the sampler never draws. A change of it changes what a seed draws, so that old posts cannot be replayed.

Direction marks are here because a model puts them anywhere. Carriage returns are not, since real bios hold them;
in what is sampled they become line feeds.
"""

INVISIBLE: Spans = (
    *((0x0A, 0x0A), (0x0D, 0x0D), (0x20, 0x20), (0xA0, 0xA0), (0xAD, 0xAD), (0x034F, 0x034F), (0x061C, 0x061C)),
    *((0x115F, 0x1160), (0x1680, 0x1680), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2000, 0x200F), (0x202F, 0x202F)),
    *((0x205F, 0x2065), (0x206A, 0x206F), (0x2800, 0x2800), (0x3000, 0x3000), (0x3164, 0x3164), (0xFE00, 0xFE0F)),
    *((0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0xFFFC, 0xFFFC), (0x1BCA0, 0x1BCA3), (0x1D159, 0x1D159)),
    *((0x1D173, 0x1D17A), (0xE0000, 0xE0FFF)),
)
"""White space, Unicode's default ignorable code points, and symbols that show nothing (the blank Braille cell)."""

_MARKS_IN_A_ROW = 4


def character_class(spans: Iterable[tuple[int, int]]) -> str:
    """Return the pattern that matches one character of `spans`."""
    return "[" + "".join(rf"\U{first:08x}-\U{last:08x}" for first, last in spans) + "]"


_REASONS = (*FORBIDDEN, "invisible tag characters")
_FORBIDDEN = re.compile(
    "|".join(f"({character_class(spans)})" for spans in FORBIDDEN.values())
    + rf"|((?<![\U0001f3f4\U000e0020-\U000e007f]){character_class(TAGS)})"  # they may follow a black flag or each other
)
_INVISIBLE = re.compile(character_class(INVISIBLE))


def problem(text: str) -> str | None:
    """Return why `text` is not fit to be shown, or None.

    Refused are the FORBIDDEN characters, more than four combining marks in a row, more than two for each visible
    character, and texts of which more than half is INVISIBLE (F26).
    """
    text = text.strip(" \n")
    if match := _FORBIDDEN.search(text):
        return f"it holds {_REASONS[(match.lastindex or 1) - 1]}"
    invisible = set(_INVISIBLE.findall(text))
    visible = blanks = marks = row = 0
    for character in text:
        row = row + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if row > _MARKS_IN_A_ROW:
            return "it holds too many combining marks in a row"
        if row:
            marks += 1
        elif character not in invisible:
            visible += 1
        elif not TAGS[0][0] <= ord(character) <= TAGS[0][1]:  # tags spell a flag's name
            blanks += 1
    if not visible:
        return "it shows nothing"
    if marks > 2 * visible:
        return "it holds more combining marks than letters can carry"
    return "more than half of it is blank" if blanks > visible else None
