"""The fingerprint of a text: enough to recognise the text, a near copy or a part of it; too little to read it.

Three layers, all of the folded text:

- exact: a 64-bit hash;
- near: a sketch of 256 one-bit MinHashes of its 3-grams (Li and König 2010): two texts whose sets of 3-grams have the
  Jaccard similarity J agree in (1 + J) / 2 of the bits;
- copied: 31-bit hashes of 24-grams, winnowed (Schleimer, Wilkerson and Aiken 2003): of every 9 consecutive ones at
  least one is stored, so that any run of 32 characters that two texts share holds a stored one. The context stored
  with each, 12 bits of the 8 characters before it and 12 of the 8 after, tells how far a run extends.

A short text (below SHORT characters) has few 3-grams and no long run, so more of it is stored: its `char_bits`, one bit
a character, on which edits are counted; and its short n-grams, winnowed 26-bit hashes of 16-grams with their positions,
whose runs are measured on the same bits.

All these numbers are part of the format of `biobot.dedupe.index`: whoever changes one raises that format's version.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from hashlib import blake2b, shake_128
from typing import Any

import numpy as np

from biobot.text.normalize import fold

Array = np.ndarray[Any, np.dtype[Any]]

MINHASH_SLOTS = 256
"""MinHash functions, and so bits of a sketch."""
SHORT = 64
"""A text of fewer characters has `char_bits` and short n-grams."""
NGRAM, NGRAM_BITS, WINDOW = 24, 31, 9
SHORT_NGRAM, SHORT_NGRAM_BITS, SHORT_WINDOW = 16, 26, 3
"""Characters of an n-gram, bits of its hash, and of how many consecutive n-grams at least one is stored."""
POSITION_BITS = 6
CONTEXT = WINDOW - 1
"""Characters on either side of an n-gram that its context covers."""
CONTEXT_BITS = 24
"""On either side one bit for the nearest character, two for the next, and so on in turns."""
MIN_RUN = NGRAM + CONTEXT
"""Characters of the shortest run that is sure to be found."""
MAX_LENGTH = 511
"""Longer texts count as this long."""

_WORD = (1 << 64) - 1
_BASE = 0x9E3779B97F4A7C15
_MULTIPLIER = 0xD6E8FEB86659FD93
_BLOCK = 4
_NO_MINHASH = 0x7FFF
_CONTEXT_MASKS = np.array((1, 3, 1, 3, 1, 3, 1, 3), dtype=np.uint16)
_CONTEXT_SHIFTS = np.array((0, 1, 3, 4, 6, 7, 9, 10), dtype=np.uint16)
_EQUAL_CHARACTERS = np.array((0, 1, 1, 2, 3, 3, 4, 5, 5, 6, 7, 7, 8))
"""How many characters are equal when this many of the lowest bits of a context's half are."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The fingerprint of one text to look up, with all its n-grams.

    `codes` uint32 (length), the folded text; `exact` uint64; `sketch` uint64 (4), None for a text of fewer than 3
    characters; `ngrams` uint64 (length - 23). Only a text of at most twice SHORT characters has `char_bits`, uint8
    (length), and `short_ngrams`, uint64 (length - 15): half of a short text is too small a part of a longer one.
    """

    length: int
    codes: Array
    exact: np.uint64
    sketch: Array | None
    char_bits: Array
    short_ngrams: Array
    ngrams: Array


@dataclass(frozen=True, slots=True)
class StoredFingerprints:
    """What is stored of n texts: a row for each, and for each n-gram the row of its owner.

    `lengths` int64 (n), at most MAX_LENGTH; `exact` uint64 (n); `sketches` uint8 (n, 32), 0 for fewer than 3
    characters; `char_bits` uint64 (n), the first character's the lowest bit, 0 for long texts; `short_ngrams` uint64,
    each a hash above its position; `ngrams` uint64, each a hash above its context; their owners int64.
    """

    lengths: Array
    exact: Array
    sketches: Array
    char_bits: Array
    short_ngrams: Array
    short_owners: Array
    ngrams: Array
    owners: Array


def concatenate(parts: Sequence[StoredFingerprints]) -> StoredFingerprints:
    """Return the fingerprints of one part or more as one."""
    columns = {each.name: [getattr(part, each.name) for part in parts] for each in fields(StoredFingerprints)}
    firsts = np.cumsum([0, *map(len, columns["lengths"])])
    for name in ("short_owners", "owners"):
        columns[name] = [owners + first for owners, first in zip(columns[name], firsts, strict=False)]
    return StoredFingerprints(**{name: np.concatenate(column) for name, column in columns.items()})


def compute(text: str) -> Fingerprint:
    """Return the fingerprint by which to look a text up."""
    folded = fold(text)
    codes, length = _codes(folded), len(folded)
    close = codes if length <= 2 * SHORT else codes[:0]
    return Fingerprint(
        length=length,
        codes=codes,
        exact=np.uint64(exact(folded)),
        sketch=sketches(minhash_slots([folded]))[0].view(np.uint64) if length >= 3 else None,
        char_bits=_hashes(close, 1, 1).astype(np.uint8),
        short_ngrams=_hashes(close, SHORT_NGRAM, SHORT_NGRAM_BITS),
        ngrams=_hashes(codes, NGRAM, NGRAM_BITS),
    )


def compute_batch(texts: Sequence[str]) -> StoredFingerprints:
    """Return what to store of many texts; memory stays small with some ten thousand at a time."""
    folded = [fold(text) for text in texts]
    codes, lengths = _codes("".join(folded)), np.array([len(text) for text in folded], dtype=np.int64)
    sketch = sketches(minhash_slots(folded))
    sketch[lengths < 3] = 0
    short_lengths = np.where(lengths < SHORT, lengths, 0)
    short_codes = codes[np.repeat(lengths < SHORT, lengths)]
    char_bits = np.zeros(len(texts), dtype=np.uint64)
    owners, positions = _places(short_lengths)
    np.bitwise_or.at(char_bits, owners, _hashes(short_codes, 1, 1) << positions.astype(np.uint64))
    short = _winnow(short_codes, short_lengths, SHORT_NGRAM, SHORT_NGRAM_BITS, SHORT_WINDOW)
    _, short_hashes, short_owners, short_positions = short
    at, hashes, owners, positions = _winnow(codes, lengths, NGRAM, NGRAM_BITS, WINDOW)
    return StoredFingerprints(
        lengths=np.minimum(lengths, MAX_LENGTH),
        exact=np.array([exact(text) for text in folded], dtype=np.uint64),
        sketches=sketch,
        char_bits=char_bits,
        short_ngrams=short_hashes << POSITION_BITS | short_positions.astype(np.uint64),
        short_owners=short_owners,
        ngrams=hashes << CONTEXT_BITS | _contexts(codes, at, positions, lengths[owners] - NGRAM - positions),
        owners=owners,
    )


def exact(folded: str) -> int:
    """Return the 64-bit hash of a folded text."""
    return int.from_bytes(blake2b(folded.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def minhash_slots(folded: Sequence[str]) -> Array:
    """Return the MinHashes of folded texts' 3-grams: uint16 (n, MINHASH_SLOTS), each of 15 bits."""
    codes = _codes("".join(folded))
    alphabet = distinct(codes)
    letters = np.searchsorted(alphabet, codes)
    tables = np.array([_random_slots(chr(code)) for code in alphabet]).reshape(-1, 3, MINHASH_SLOTS).swapaxes(0, 1)
    slots = np.full((len(folded), MINHASH_SLOTS), _NO_MINHASH, dtype=np.uint16)
    end = 0
    for row, text in enumerate(folded):
        begin, end = end, end + len(text)
        if len(text) >= 3:
            at = letters[begin:end]
            values = tables[0, at[:-2]]
            values ^= tables[1, at[1:-1]]
            values ^= tables[2, at[2:]]
            values.min(axis=0, out=slots[row])
    return slots


@lru_cache(maxsize=2048)
def _random_slots(character: str) -> Array:
    """Return random 15-bit numbers for a character as first, second and third of a 3-gram: (3, MINHASH_SLOTS)."""
    noise = shake_128(character.encode("utf-8", "surrogatepass")).digest(6 * MINHASH_SLOTS)
    return np.frombuffer(noise, dtype="<u2").reshape(3, MINHASH_SLOTS) & np.uint16(_NO_MINHASH)


def sketches(slots: Array) -> Array:
    """Return the sketches that MinHashes make, one bit each: uint8 (n, 32)."""
    return np.packbits((slots & 1).astype(np.uint8), axis=1)


def compared_words(length: int) -> int:
    """Return how many 64-bit words of the sketches to compare for a text of this length; of a long one half will do."""
    return MINHASH_SLOTS // 64 if length < SHORT else MINHASH_SLOTS // 128


def similarity_after(edits: int, length: int) -> float:
    """Return the similarity of 3-grams after that many edits, each of which removes three and adds three."""
    return max(0.0, (length - 3 * edits) / (length + 3 * edits))


def count_edits(one: int, width: int, other: int, length: int) -> int:
    """Return the edit distance of two strings of that many bits, a lower bound for that of the texts they stand for.

    The distance table is computed column by column, as bits for its steps up and down (Myers 1999).
    """
    every = (1 << width) - 1
    equal = ~one & every, one
    up, down, distance = every, 0, width
    for position in range(length):
        here = equal[other >> position & 1]
        across = ((here & up) + up ^ up) | here
        risen, fallen = down | ~(across | up) & every, up & across
        distance += (risen >> width - 1 & 1) - (fallen >> width - 1 & 1)
        risen, fallen = (risen << 1 | 1) & every, fallen << 1 & every
        up, down = fallen | ~(here | down | risen) & every, risen & (here | down)
    return distance


def short_runs(mark: Fingerprint, at: Array, char_bits: Array, lengths: Array, positions: Array) -> Array:
    """Return how long the run around each shared short n-gram is: int64 (k), 0 where the characters' bits differ.

    The n-grams stand at `at` in this text and at `positions` in texts with those `char_bits` and `lengths`, each (k).
    A run may by chance be measured a character or two too long.
    """
    place = np.arange(SHORT)
    theirs = np.unpackbits(char_bits.astype("<u8").view(np.uint8).reshape(-1, 8), axis=1, bitorder="little")
    ours = (at - positions)[:, None] + place
    inside = (ours >= 0) & (ours < mark.length) & (place < lengths[:, None])
    differ = ~inside | (mark.char_bits[ours.clip(0, mark.length - 1)] != theirs)
    before = np.where(differ & (place < positions[:, None]), place, -1).max(axis=1)
    after = np.where(differ & (place >= positions[:, None]), place, SHORT).min(axis=1)
    return np.where(after - positions >= SHORT_NGRAM, after - before - 1, 0)


def longest_run(mark: Fingerprint, at: Array, contexts: Array) -> int:
    """Return the length of the longest run that a text shares with others: n-grams at `at`, and their contexts there.

    An n-gram with its context shows a run of up to 40 characters; longer runs are n-grams whose runs overlap. A run of
    MIN_RUN or more is found, and not measured shorter, as long as the n-gram that winnowing chose from it is stored; it
    may by chance be measured a character or two too long. Shorter ones would be found only by luck: they give 0.
    """
    if not len(at):
        return 0
    differ, half = _contexts(mark.codes, at, at, len(mark.ngrams) - 1 - at) ^ contexts, CONTEXT_BITS // 2
    first = np.maximum(at - _equal_characters(differ >> half), 0)
    last = np.minimum(at + _equal_characters(differ & ((1 << half) - 1)), len(mark.ngrams) - 1)
    # a real run of WINDOW n-grams had this one chosen: it is the least of some window inside the run
    left, right = _none_smaller(mark.ngrams), _none_smaller(mark.ngrams[::-1])[::-1]
    window = np.minimum(last, at + right[at]) - np.maximum(first, at - left[at])
    sure = (last - first < WINDOW - 1) | (window >= WINDOW - 1)
    if NGRAM + np.minimum(last - first, WINDOW - 2 + sure).max() < MIN_RUN:
        return 0
    order = np.argsort(first, kind="stable")
    first, end = first[order], np.maximum.accumulate(last[order])
    begins = np.flatnonzero(np.append(True, first[1:] > end[:-1]))
    return int(NGRAM + (end[np.append(begins[1:], len(end)) - 1] - first[begins]).max())


def _equal_characters(differ: Array) -> Array:
    """Return how many characters are equal next to the n-gram, from the bits in which halves of contexts differ."""
    equal_bits = np.bitwise_count((differ & -differ) - np.uint64(1))
    return _EQUAL_CHARACTERS[np.minimum(equal_bits, CONTEXT_BITS // 2)]


def _none_smaller(values: Array) -> Array:
    """Return how many consecutive values before each one, at most WINDOW - 1, are not smaller: int64 (n)."""
    count, unbroken = np.zeros(len(values), dtype=np.int64), np.ones(len(values), dtype=bool)
    for step in range(1, WINDOW):
        unbroken[:step] = False
        unbroken[step:] &= values[:-step] >= values[step:]
        count += unbroken
    return count


_PACKED = struct.Struct(f"<2sHQQB{MINHASH_SLOTS // 8}s")
_MAGIC = b"b2"


def pack(text: str) -> bytes:
    """Pack the stored fingerprint of one text; `unpack` reads it."""
    stored = compute_batch([text])
    (length,), (exact,), (char_bits,), sketch = stored.lengths, stored.exact, stored.char_bits, stored.sketches[0, ::-1]
    head = _PACKED.pack(_MAGIC, length, exact, char_bits, len(stored.short_ngrams), sketch.tobytes())
    return head + stored.short_ngrams.astype("<u4").tobytes() + stored.ngrams.astype("<u8").tobytes()


def unpack(packed: bytes) -> StoredFingerprints:
    """Return the one fingerprint that `pack` wrote; raise ValueError for anything else."""
    size = _PACKED.size
    magic, length, exact, char_bits, count, sketch = _PACKED.unpack(packed[:size].ljust(size, b"\0"))
    short, ngrams = packed[size : size + 4 * count], packed[size + 4 * count :]
    if magic != _MAGIC or len(short) != 4 * count or len(ngrams) % 8 or length > MAX_LENGTH:
        raise ValueError("not a fingerprint")
    return StoredFingerprints(
        lengths=np.array([length]),
        exact=np.array([exact], dtype=np.uint64),
        sketches=np.frombuffer(sketch[::-1], dtype=np.uint8).reshape(1, -1),
        char_bits=np.array([char_bits], dtype=np.uint64),
        short_ngrams=np.frombuffer(short, dtype="<u4").astype(np.uint64),
        short_owners=np.zeros(count, dtype=np.int64),
        ngrams=np.frombuffer(ngrams, dtype="<u8").astype(np.uint64),
        owners=np.zeros(len(ngrams) // 8, dtype=np.int64),
    )


def distinct(values: Array) -> Array:
    """Return the different values in ascending order: as `numpy.unique`, but fast where nearly all differ."""
    ascending = np.sort(values)
    first: Array = np.append(True, ascending[1:] != ascending[:-1])[: len(ascending)]
    return ascending[first]


def _places(lengths: Array) -> tuple[Array, Array]:
    """Return for each character of many texts in a row its text and its position there: int32."""
    owners = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    return owners, np.arange(len(owners), dtype=np.int32) - (np.cumsum(lengths) - lengths).astype(np.int32)[owners]


def _winnow(codes: Array, lengths: Array, width: int, bits: int, window: int) -> tuple[Array, Array, Array, Array]:
    """Choose of every `window` consecutive n-grams of a text those with the least hash.

    Return for each its place in `codes`, its hash, its text and its position in the text.
    """
    hashes = _hashes(codes, width, bits)
    owners, positions = (each[: len(hashes)] for each in _places(lengths))
    counts = (lengths - width + 1).astype(np.int32)[owners]
    real = positions < counts  # the others reach into the next text
    hashes[~real] = _WORD
    # an n-gram is chosen when it is the least of some window of its text: the greatest of the windows' minima is it
    minima = _slide(np.minimum, hashes, window, _WORD)
    minima[~(real & ((positions == 0) | (positions <= counts - window)))] = 0
    at = np.flatnonzero(real & (_slide(np.maximum, minima[::-1], window, 0)[::-1] == hashes))
    return at, hashes[at], owners[at], positions[at]


def _slide(better: np.ufunc, values: Array, width: int, beyond: int) -> Array:
    """Return the best of values[i : i + width] for every i; positions past the end count as `beyond`."""
    best: Array = values
    padded = np.append(values, np.full(width - 1, beyond, dtype=values.dtype))
    for step in range(1, width):
        best = better(best, padded[step : step + len(values)])
    return best


def _contexts(codes: Array, at: Array, before: Array, after: Array) -> Array:
    """Return CONTEXT_BITS bits of what stands beside the n-grams at `at`: uint64 (k).

    Their text has `before` characters before each and `after` behind it; beyond there are zeros.
    """
    blocks, distance = _hashes(codes, _BLOCK, 2).astype(np.uint16), np.arange(1, CONTEXT + 1)
    context = np.zeros(len(at), dtype=np.uint64)
    for room, first, direction, shift in ((before, 0, -1, CONTEXT_BITS // 2), (after, NGRAM - _BLOCK, 1, 0)):
        inside = room[:, None] >= distance
        bits = blocks[np.where(inside, at[:, None] + (first + direction * distance), 0)] & _CONTEXT_MASKS
        half = np.bitwise_or.reduce(np.where(inside, bits, 0) << _CONTEXT_SHIFTS, axis=1)
        context |= half.astype(np.uint64) << shift
    return context


def _codes(text: str) -> Array:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _hashes(codes: Array, width: int, bits: int) -> Array:
    """Return `bits` bits of the mixed polynomial hash of every `width` consecutive characters: uint64."""
    value = _polynomial(codes.astype(np.uint64), width)
    value = (value ^ value >> 32) * np.uint64(_MULTIPLIER)
    mixed: Array = (value ^ value >> 29) >> (64 - bits)
    return mixed


def _polynomial(values: Array, width: int) -> Array:
    if width == 1 or len(values) < width:
        return values[: max(len(values) - width + 1, 0)]
    if width % 2:
        return _polynomial(values, width - 1)[:-1] * np.uint64(_BASE) + values[width - 1 :]
    half = width // 2
    value = _polynomial(values, half)
    return value[:-half] * np.uint64(pow(_BASE, half, 1 << 64)) + value[half:]
