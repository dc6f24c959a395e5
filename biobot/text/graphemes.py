"""Graphemes: what a reader sees as one character, however many code points it has."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import takewhile

JOINER = "\u200d"
"""ZERO WIDTH JOINER: makes one emoji of the two beside it."""


def split(text: str) -> Iterator[str]:
    """Yield the graphemes of `text`: the extended grapheme clusters of Unicode's annex 29."""
    from wcwidth import iter_graphemes  # here, since its tables take 5 MB that few processes need

    return iter_graphemes(text)


def width(grapheme: str) -> int:
    """Return the number of columns that a grapheme takes on a terminal: 0, 1 or 2."""
    from wcwidth import width

    return width(grapheme)


def whole(text: bytes) -> str:
    """Return the whole graphemes of UTF-8 that was cut somewhere: no half character or flag, no loose joiner."""
    kept = text.decode(errors="ignore").rstrip(JOINER)
    flag_letters = sum(1 for _ in takewhile(lambda each: "\U0001f1e6" <= each <= "\U0001f1ff", reversed(kept)))
    return kept[:-1] if flag_letters % 2 else kept


def right_to_left(text: str) -> bool:
    """Return whether `text` holds letters that are written from right to left."""
    return not text.isascii() and any(unicodedata.bidirectional(each) in ("R", "AL") for each in text)
