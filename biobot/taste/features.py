"""What the ranker looks at in a text: its words, its form, and what it is about."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from biobot.candidate import Candidate
from biobot.taste import lexicon
from biobot.taste.lexicon import END, START, hashed

FORM = (
    "characters",
    "words",
    "share of known words",
    "rarest word",
    "common words",
    "least likely step between words",
    "likely steps between words",
    "share of known pairs of words",
    "longest run of unknown pairs",
    "share of known triples of words",
    "likely ending",
    "capitals",
    "digits",
    "signs",
    "emoji and symbols",
    "line breaks",
    "hashtags",
    "sentences",
    "commas",
    "bars and slashes",
    "exclamations and questions",
    "repeated words",
    "I and you",
    "small words",
    "one topic",
    "bits per byte",
    "entropy",
)
"""The numbers in `Features.form`, in their order; the last two are NaN for a text without a model."""

UNCOMMON = 3.5
"""Words rarer than exp(-UNCOMMON) of the bios have a meaning worth comparing."""

_TERM = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|[^\w\s]")
_PERSONAL = frozenset(["i", "my", "me", "i'm", "im", "you", "your"])
_SMALL = frozenset(["the", "a", "an", "of", "in", "to", "and", "for", "with", "is", "at", "on"])


@dataclass(frozen=True, slots=True)
class Features:
    """A text as the ranker sees it.

    `terms` counts words, signs, and pairs of these, by their hashes; `meanings` has for each uncommon word the rows of
    the lexicon's vectors that mean nearly the same, and how nearly, scaled to unit length over the text; `form` is
    float32 (FORM), `topic` float32 (DIMENSIONS) and `words` the number of words that the lexicon knows.
    """

    terms: dict[int, int]
    meanings: dict[int, tuple[np.ndarray, np.ndarray]]
    form: np.ndarray
    topic: np.ndarray
    words: int


def features(candidate: Candidate) -> Features:
    """Return the features of a candidate; deterministic, some 0.2 ms."""
    known, text = lexicon.load(), candidate.text
    words = lexicon.words(text)
    terms: dict[int, int] = {}
    for term in _terms(text):
        terms[hashed(*term)] = terms.get(hashed(*term), 0) + 1
    seen = [hashed(word) in known.counts for word in words]
    return Features(terms, _meanings(words, known), _form(candidate, words, seen, known), known.topic(words), sum(seen))


def term_names(text: str) -> dict[str, int]:
    """Return the terms of a text as people read them, with their hashes."""
    return {" ".join(term): hashed(*term) for term in _terms(text)}


def _terms(text: str) -> list[tuple[str, ...]]:
    single = _TERM.findall(text.lower().replace("’", "'"))
    return [*((each,) for each in single), *pairwise(single)]


def _meanings(words: list[str], known: lexicon.Lexicon) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    found = {}
    for word in set(words):
        row = known.rows.get(hashed(word))
        rarity = -known.log_frequency(word)
        if row is not None and rarity > UNCOMMON:
            rows, likeness = known.near(row)
            found[hashed(word)] = rows, rarity * likeness
    length = math.sqrt(sum(float(values @ values) for _, values in found.values())) or 1.0
    return {word: (rows, values / length) for word, (rows, values) in sorted(found.items())}


def _form(candidate: Candidate, words: list[str], seen: list[bool], known: lexicon.Lexicon) -> np.ndarray:
    text, length = candidate.text, max(len(candidate.text), 1)
    count = max(len(words), 1)
    frequencies = [known.log_frequency(word) for word in words] or [-12.0]
    ends = [START, *words, END]
    steps = [known.log_transition(*pair) for pair in pairwise(ends)]
    pairs = [hashed(*pair) in known.pairs for pair in pairwise(ends)]
    triples = [hashed(*each) in known.triples for each in zip(ends, ends[1:], ends[2:], strict=False)]
    rows = [known.rows[hashed(word)] for word in words if hashed(word) in known.rows and word not in _SMALL]
    vectors = known.vectors[rows]
    likeness = (vectors @ vectors.T)[np.triu_indices(len(rows), 1)] if len(rows) > 1 else np.zeros(1)
    return np.array(
        [
            math.log1p(len(text)),
            math.log1p(len(words)),
            sum(seen) / count,
            min(frequencies),
            sum(frequencies) / len(frequencies),
            min(steps),
            sum(steps) / len(steps),
            sum(pairs) / len(pairs),
            _longest(pairs, False),
            sum(triples) / len(triples) if triples else 0.0,
            steps[-1],
            sum(map(str.isupper, text)) / length,
            sum(map(str.isdigit, text)) / length,
            sum(not c.isalnum() and not c.isspace() for c in text) / length,
            sum(ord(c) > 0x2000 for c in text) / length,
            text.count("\n"),
            text.count("#"),
            text.count(".") + text.count("!") + text.count("?"),
            text.count(","),
            text.count("|") + text.count("/"),
            text.count("!") + text.count("?"),
            1 - len(set(words)) / count,
            sum(word in _PERSONAL for word in words) / count,
            sum(word in _SMALL for word in words) / count,
            float(likeness.mean()),
            candidate.bits / len(text.encode()) if candidate.bits is not None and text else math.nan,
            candidate.entropy if candidate.entropy is not None else math.nan,
        ],
        dtype=np.float32,
    )


def _longest(flags: list[bool], value: bool) -> int:
    longest = run = 0
    for flag in flags:
        run = run + 1 if flag is value else 0
        longest = max(longest, run)
    return longest
