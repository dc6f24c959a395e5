"""Variety: how much a text has in common with those that the bot posted lately or has waiting."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from biobot.taste.lexicon import words

RECENT = 60
"""How many of the newest posts a text is compared with, besides every waiting draft."""
COST = 3.0
"""What complete likeness takes off a score at `taste.variety` = 1: the whole range of marks."""
_OPENING = 3
_COMMON = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "but",
        "for",
        "i",
        "i'm",
        "im",
        "in",
        "is",
        "it",
        "me",
        "my",
        "not",
        "of",
        "on",
        "or",
        "so",
        "that",
        "the",
        "this",
        "to",
        "with",
        "you",
    ]
)


class Variety:
    """The texts that a new one should differ from."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._seen: list[tuple[tuple[str, ...], frozenset[str], frozenset[tuple[str, str]]]] = []
        for each in texts:
            self.add(each)

    def add(self, text: str) -> None:
        """Compare later texts with this one, too."""
        self._seen.append(_traits(text))

    def likeness(self, text: str) -> float:
        """Return how much `text` has in common with the text most like it, 0 to 1; the same opening counts as 1."""
        opening, own, pairs = _traits(text)
        best = 0.0
        for other_opening, others, other_pairs in self._seen:
            if opening and opening == other_opening:
                return 1.0
            shared = len(own & others) / max(min(len(own), len(others)), 3)
            best = max(best, shared, len(pairs & other_pairs) / max(min(len(pairs), len(other_pairs)), 4))
        return best


def _traits(text: str) -> tuple[tuple[str, ...], frozenset[str], frozenset[tuple[str, str]]]:
    """Return the first words of a text, its telling words, and its pairs of words."""
    found = words(text)
    return tuple(found[:_OPENING]), frozenset(found) - _COMMON, frozenset(pairwise(found))
