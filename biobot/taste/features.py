"""What the ranker looks at in texts: their words, their form, and what they are about."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, pairwise

import numpy as np

from biobot.candidate import Candidate
from biobot.taste import lexicon
from biobot.taste.lexicon import END, SENSES, START, VECTORS, found, hashed, joined

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
"""The numbers of a text's form, in their order; the last two are NaN for a text without a model."""

UNCOMMON = 3.5
"""Words rarer than exp(-UNCOMMON) of the bios have a meaning worth comparing."""
RAREST = -12.0
"""The logarithmic frequency of the rarest word, for a text without words."""

_TERM = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|[^\w\s]")
_PERSONAL = frozenset(["i", "my", "me", "i'm", "im", "you", "your"])
_SMALL = frozenset(["the", "a", "an", "of", "in", "to", "and", "for", "with", "is", "at", "on"])
_CHARACTERS: Sequence[Callable[[str], bool]] = (
    str.isupper,
    str.isdigit,
    lambda c: not c.isalnum() and not c.isspace(),
    lambda c: ord(c) > 0x2000,
    lambda c: c == "\n",
    lambda c: c == "#",
    lambda c: c in ".!?",
    lambda c: c == ",",
    lambda c: c in "|/",
    lambda c: c in "!?",
)
"""The kinds of characters that FORM counts, from "capitals" on."""
_SHARES = 4
"""How many of them are counted as shares of the text."""


@dataclass(frozen=True, slots=True)
class Sparse:
    """A sparse matrix: in the row of the text `rows[at]`, the column `columns[at]` has the value `values[at]`."""

    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray

    def times(self, vector: np.ndarray, rows: int) -> np.ndarray:
        """Return the product with a vector, float64 (rows)."""
        return np.bincount(self.rows, self.values * vector[self.columns], rows)

    def back(self, vector: np.ndarray, columns: int = 0) -> np.ndarray:
        """Return the product of the transpose with a vector, float64 (columns, or more where an entry is there)."""
        return np.bincount(self.columns, self.values * vector[self.rows], columns)

    def dense(self, rows: np.ndarray) -> np.ndarray:
        """Return the given rows as float32, without empty columns."""
        kept = np.isin(self.rows, rows)
        columns, column = np.unique(self.columns[kept], return_inverse=True)
        found = np.zeros((len(rows), len(columns)), np.float32)
        np.add.at(found, (np.searchsorted(rows, self.rows[kept]), column), self.values[kept])
        return found


@dataclass(frozen=True, slots=True)
class Features:
    """Some texts as the ranker sees them.

    `terms` counts words, signs, and pairs of these: its columns are their hashes. The columns of `meanings` are rows of
    the lexicon: for each uncommon word those that mean nearly the same, valued by how nearly, each text scaled to unit
    length; `meaning_words` are the hashes of the words that they are there for. `form` is float32 (texts, FORM),
    `topic` float32 (texts, DIMENSIONS), `senses` float32 (texts, SENSES) whether a word stands for such a thing, and
    `words` says how many words of each text the lexicon knows.
    """

    terms: Sparse
    meanings: Sparse
    meaning_words: np.ndarray
    form: np.ndarray
    topic: np.ndarray
    senses: np.ndarray
    words: np.ndarray

    def __len__(self) -> int:
        return len(self.form)


def features(candidates: Sequence[Candidate]) -> Features:
    """Return the features of candidates; deterministic, some 0.05 ms a text where there are many."""
    known, count = lexicon.load(), len(candidates)
    terms = [_terms(each.text) for each in candidates]
    names = list(dict.fromkeys(chain((START, END), *terms)))
    number = {name: at for at, name in enumerate(names)}
    hashes = np.array([hashed(name) for name in names], np.uint64)
    # the words of each text, between its start and its end
    lines = [[START, *(term for term in each if term[0].isalnum()), END] for each in terms]
    owner, ids = _flat(lines, number)
    begins = np.searchsorted(owner, np.arange(count))
    before = np.arange(len(ids)) - 1
    rows = np.array([known.rows.get(each, -1) for each in hashes.tolist()], np.int64)[ids]
    starts = ids == number[START]
    is_word = ~starts & (ids != number[END])
    is_known = is_word & (rows >= 0)

    def total(values: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.add.reduceat(values, begins, axis=0, dtype=np.float32)
        return found

    def among(chosen: frozenset[str]) -> np.ndarray:
        members: np.ndarray = np.array([name in chosen for name in names], bool)[ids]
        return members

    length = total(is_word)
    words, steps = np.maximum(length, 1), length + 1
    frequency = np.where(is_word, known.log_frequency[rows], 0.0)
    pairs = joined(hashes[ids[before]], hashes[ids])
    pair_is_known, step = known.transitions(rows[before], rows, pairs)
    pair_is_known, step = pair_is_known & ~starts, np.where(starts, 0.0, step)
    triple_is_known = found(known.triples, joined(pairs[before], hashes[ids]))[1] & ~starts & ~starts[before]
    unbroken = np.maximum.accumulate(np.where(pair_is_known | starts, before, -1))  # where the last known pair ended
    vector = np.where(is_known & (rows < VECTORS), rows, VECTORS)
    weight = np.where(vector < VECTORS, 1e-2 / (1e-2 + known.counts[rows] / known.bios), 0)
    small = among(_SMALL)
    telling = np.where(small, VECTORS, vector)
    once = np.unique(owner[is_word] * len(names) + ids[is_word])  # each text's words, without repetition
    characters = np.array([len(each.text) for each in candidates])
    form = [
        np.log1p(characters),
        np.log1p(length),
        total(is_known) / words,
        np.where(length > 0, np.minimum.reduceat(frequency, begins), RAREST),
        np.where(length > 0, total(frequency) / words, RAREST),
        np.minimum.reduceat(step, begins),
        total(step) / steps,
        total(pair_is_known) / steps,
        np.maximum.reduceat(before - unbroken, begins),
        total(triple_is_known) / words,
        step[begins + steps.astype(np.int64)],
        *_characters("".join(each.text for each in candidates), characters).T,
        1 - np.bincount(once // len(names), minlength=count) / words,
        total(among(_PERSONAL)) / words,
        total(small) / words,
        _likeness(total(known.vectors[telling]), total(telling < VECTORS)),
        [np.nan if each.bits is None else each.bits / max(len(each.text.encode()), 1) for each in candidates],
        [np.nan if each.entropy is None else each.entropy for each in candidates],
    ]
    topic = total(weight.astype(np.float32)[:, None] * known.vectors[vector]) / np.maximum(total(weight), 1e-9)[:, None]
    meanings, meant = _meanings(once // len(names), hashes[once % len(names)], count, known)
    counts, matrix = _terms_of(*_flat(terms, number), hashes), np.column_stack(form).astype(np.float32)
    senses = np.zeros((count, len(SENSES) + 1), np.float32)
    senses[owner, known.senses[rows]] = 1
    return Features(counts, meanings, meant, matrix, topic, senses[:, 1:], total(is_known))


def term_names(text: str) -> dict[int, str]:
    """Return the terms of a text in readable form, by their hashes."""
    terms = _terms(text)
    hashes = np.array([hashed(term) for term in terms], np.uint64)
    pairs = joined(hashes[:-1], hashes[1:]).tolist()
    return dict(zip(hashes.tolist() + pairs, terms + [" ".join(each) for each in pairwise(terms)], strict=True))


def _terms(text: str) -> list[str]:
    """Return the words and signs of a text, in lower case."""
    return _TERM.findall(text.lower().replace("’", "'"))


def _flat(lines: Sequence[Sequence[str]], number: Mapping[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of all terms, one text after the other, and before them the numbers of their texts."""
    ids = np.array([number[term] for line in lines for term in line], np.int64)
    return np.repeat(np.arange(len(lines)), [len(line) for line in lines]), ids


def _terms_of(owner: np.ndarray, ids: np.ndarray, hashes: np.ndarray) -> Sparse:
    """Return how often each text has each term and each pair of terms."""
    within = np.flatnonzero(owner[:-1] == owner[1:])
    pairs = joined(hashes[ids[within]], hashes[ids[within + 1]])
    owners = np.concatenate([owner, owner[within]]).astype(np.uint64)
    keys, counts = np.unique(owners << np.uint64(32) | np.concatenate([hashes[ids], pairs]), return_counts=True)
    return Sparse((keys >> np.uint64(32)).astype(np.int64), keys.astype(np.uint32), counts)


def _meanings(owner: np.ndarray, words: np.ndarray, texts: int, known: lexicon.Lexicon) -> tuple[Sparse, np.ndarray]:
    """Return what the words mean, each text scaled to unit length, and the word that each entry is there for."""
    rows = np.array([known.rows.get(each, -1) for each in words.tolist()], np.int64)
    rarity = -known.log_frequency[rows]
    kept = (rows >= 0) & (rows < VECTORS) & (rarity > UNCOMMON)
    owner, rows, words = owner[kept], rows[kept], words[kept]
    single, inverse = np.unique(rows, return_inverse=True)
    near, likeness = known.near(single)
    values = rarity[kept, None] * likeness[inverse]
    lengths = np.sqrt(np.bincount(owner, (values**2).sum(axis=1), texts))
    values /= lengths[owner, None] + 1e-9
    each = near.shape[1]
    columns = near[inverse].ravel().astype(np.int64)
    return Sparse(np.repeat(owner, each), columns, values.ravel()), np.repeat(words, each)


def _characters(text: str, lengths: np.ndarray) -> np.ndarray:
    """Return how many of each of _CHARACTERS each of several texts has, given joined and by their lengths."""
    alphabet = "".join(sorted(set(text)))
    codes, known = (np.frombuffer(each.encode("utf-32-le", "surrogatepass"), np.uint32) for each in (text, alphabet))
    kinds = np.array([(False,) * len(_CHARACTERS), *map(_kinds, alphabet)])
    counted = np.cumsum(kinds[np.concatenate([[0], np.searchsorted(known, codes) + 1])], axis=0)
    ends = np.cumsum(lengths)
    number: np.ndarray = (counted[ends] - counted[ends - lengths]).astype(np.float32)
    number[:, :_SHARES] /= np.maximum(lengths, 1)[:, None]
    return number


@lru_cache(maxsize=10_000)
def _kinds(character: str) -> tuple[bool, ...]:
    return tuple(matches(character) for matches in _CHARACTERS)


def _likeness(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the mean cosine between `counts` vectors of unit length, from their sums; 0 for fewer than two."""
    pairs = counts * (counts - 1)
    found: np.ndarray = np.where(pairs > 0, ((sums**2).sum(axis=1) - counts) / np.maximum(pairs, 1), 0)
    return found
