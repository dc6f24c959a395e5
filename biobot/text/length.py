"""A text's length as X counts it: most letters 1, CJK and emoji 2, every link 23, an emoji sequence as a whole 2.

Follows configuration v3 of twitter-text; a test compares it with version 3.1.0 of that library. An emoji sequence
that the library does not know counts as its parts, which is never too little.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from pathlib import Path

from biobot.text.links import links

URL = 23
"""The weight of a link of any length."""
_HEAVY = re.compile("[^\x00-\u10ff\u2000-\u200d\u2010-\u201f\u2032-\u2037]+")
_SECOND = re.compile("[\u200d\u20e3\ufe0f\U0001f1e6-\U0001f1ff\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]")
"""The second code point of an emoji sequence."""


def weighted_length(text: str) -> int:
    """Return the length of `text` as X counts it; a post may have 280."""
    if text.isascii() and "." not in text:
        return len(text)
    text = unicodedata.normalize("NFC", text)
    weight = end = 0
    for link in links(text):
        cut = link.text[-1] > "\uffff"  # a link may end within an emoji, whose other half then counts besides
        weight += _plain(text[end : link.start]) + URL + 2 * cut
        end = link.end
    return weight + _plain(text[end:])


def _plain(text: str) -> int:
    """Return the weight of a piece without links."""
    if text.isascii():
        return len(text)
    saved = end = 0
    for second in _SECOND.finditer(text):
        start = second.start() - 1
        for sequence in _sequences().get(text[start], ()) if start >= end else ():
            if text.startswith(sequence, start):
                end = start + len(sequence)
                saved += _weight(sequence) - 2
                break
    return _weight(text) - saved


def _weight(text: str) -> int:
    """Return the weight of a piece without links, each part of an emoji sequence counted by itself."""
    return len(text) + len("".join(_HEAVY.findall(text)))


@cache
def _sequences() -> dict[str, list[str]]:
    """Return the known emoji sequences by their first character, the longest first."""
    sequences: dict[str, list[str]] = {}
    for line in Path(__file__).with_name("emoji.txt").read_text(encoding="ascii").splitlines():
        if not line.startswith("#"):
            sequence = "".join(chr(int(code, 16)) for code in line.split())
            sequences.setdefault(sequence[0], []).append(sequence)
    for each in sequences.values():
        each.sort(key=len, reverse=True)
    return sequences
