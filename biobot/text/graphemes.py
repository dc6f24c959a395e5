"""Graphemes: what a reader sees as one character, however many code points it has."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import takewhile

JOINER = "\u200d"
"""ZERO WIDTH JOINER: makes one emoji of the two beside it."""


def split(text: str) -> Iterator[str]:
    """Yield the graphemes of `text`: a base with its marks, joined emoji, a pair of flag letters, a Hangul syllable.

    These are the extended grapheme clusters of Unicode's annex 29, but for prepended signs and Indic conjuncts.
    """
    cluster = ""
    for character in text:
        if cluster and not _joins(cluster, character):
            yield cluster
            cluster = ""
        cluster += character
    if cluster:
        yield cluster


def whole(text: bytes) -> str:
    """Return the whole graphemes of UTF-8 that was cut somewhere: no half character or flag, no loose joiner."""
    kept = text.decode(errors="ignore").rstrip(JOINER)
    flag_letters = sum(1 for _ in takewhile(_flag_letter, reversed(kept)))
    return kept[:-1] if flag_letters % 2 else kept


def width(grapheme: str) -> int:
    """Count the columns that a grapheme takes on a terminal: 0, 1 or 2."""
    first = grapheme[0]
    if _extends(first) or unicodedata.category(first) in ("Cf", "Cc"):
        return 0
    wide = unicodedata.east_asian_width(first) in "WF" or "\ufe0f" in grapheme or _flag_letter(first)
    return 2 if wide else 1


def right_to_left(text: str) -> bool:
    """Return whether `text` holds letters that are written from right to left."""
    return not text.isascii() and any(unicodedata.bidirectional(each) in ("R", "AL") for each in text)


def _joins(cluster: str, character: str) -> bool:
    if character.isascii():
        return cluster == "\r" and character == "\n"
    last = cluster[-1]
    if _extends(character):
        return last not in "\r\n"
    if _flag_letter(character):
        return len(cluster) % 2 == 1 and all(map(_flag_letter, cluster))
    if last == JOINER:
        return unicodedata.category(character) == "So"
    return _hangul(last, character)


def _extends(character: str) -> bool:
    """Return whether a code point belongs to the sign before it: marks, selectors, skin tones, tags, the joiner."""
    return (
        character == JOINER
        or "\U0001f3fb" <= character <= "\U0001f3ff"
        or "\U000e0020" <= character <= "\U000e007f"
        or unicodedata.category(character) in ("Mn", "Me", "Mc")
    )


def _flag_letter(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _hangul(last: str, character: str) -> bool:
    """Return whether two Hangul letters stand in one syllable: leading + vowel, then a trailing one."""
    before, after = _jamo(last), _jamo(character)
    return (before + after) in ("LL", "LV", "LS", "VV", "VT", "TT", "SV", "ST")


def _jamo(character: str) -> str:
    code = ord(character)
    if 0x1100 <= code <= 0x115F or 0xA960 <= code <= 0xA97C:
        return "L"
    if 0x1160 <= code <= 0x11A7 or 0xD7B0 <= code <= 0xD7C6:
        return "V"
    if 0x11A8 <= code <= 0x11FF or 0xD7CB <= code <= 0xD7FB:
        return "T"
    return "S" if 0xAC00 <= code <= 0xD7A3 else ""
