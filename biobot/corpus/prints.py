"""The fingerprint of a text: enough to recognise it, a near copy, or a part of it; not enough to read it.

Three layers, all of the folded text:
- exact: a 64-bit hash;
- near: 256 MinHashes of its 3-grams, of which one bit each is the *sketch* (two texts that share a part J of
  their 3-grams agree in (1 + J) / 2 of the bits), and eight pairs of full ones are *keys* by which to look up;
- copied: winnowed 20-grams: of every 9 that follow each other at least one, so that any run of 28 characters
  that two texts share leaves at least one equal 40-bit hash in both.

The same numbers come out of `of` (one text, plain Python) and of `of_many` (numpy); they are part of the
format of the index, so changing anything here needs a new version of it.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from biobot.text.fold import fold

if TYPE_CHECKING:
    import numpy

LANES = 256
"""MinHash functions, and so bits of a sketch."""
TABLES = 8
"""Pairs of MinHashes that serve as keys."""
KEY_BITS = 14
GRAM = 20
"""Characters of a winnowed gram."""
WINDOW = 9
GRAM_BITS = 40

_WORD = (1 << 64) - 1
_BASE = 0x9E3779B97F4A7C15
_TOP = pow(_BASE, GRAM, 1 << 64)
_MIX = 0xD6E8FEB86659FD93
_KEY = 0x9E3B
_EACH = sum(1 << (16 * lane) for lane in range(LANES))
_GUARDS = _EACH << 15
_VALUES = _EACH * 0x7FFF
_DIGITS = bytes(ord("0") + (value & 1) for value in range(256))


@dataclass(frozen=True, slots=True)
class Print:
    """A text's fingerprint.

    `exact` has 64 bits and `sketch` LANES bits; `keys` are TABLES numbers of KEY_BITS bits; `grams` pairs each
    winnowed gram's GRAM_BITS-bit hash with its place in the folded text. A text of fewer than 3 characters has
    no keys, one of fewer than GRAM characters has no grams.
    """

    exact: int
    sketch: int
    keys: tuple[int, ...]
    grams: tuple[tuple[int, int], ...]


def of(text: str) -> Print:
    """Take one text's fingerprint, without numpy."""
    folded = fold(text)
    sketch, keys = _near(folded)
    return Print(_exact(folded), sketch, keys, tuple(_winnow(folded)))


def agreement(one: int, other: int) -> float:
    """Estimate from two sketches which share of 3-grams their texts have in common, 0 to 1."""
    return max(0.0, 1 - 2 * (one ^ other).bit_count() / LANES)


def pack(mark: Print) -> bytes:
    """Write a fingerprint as bytes, without its grams' places; `unpack` reads them."""
    grams = sorted({gram for gram, _ in mark.grams})
    head = struct.pack("<QB", mark.exact, len(mark.keys)) + mark.sketch.to_bytes(LANES // 8, "little")
    return head + struct.pack(f"<{len(mark.keys)}H{len(grams)}Q", *mark.keys, *grams)


def unpack(packed: bytes) -> Print:
    """Read what `pack` wrote; raise ValueError for anything else."""
    start = 9 + LANES // 8
    if len(packed) < start or packed[8] not in (0, TABLES) or (len(packed) - start - 2 * packed[8]) % 8:
        raise ValueError("this is no fingerprint")
    exact, keys = struct.unpack_from("<QB", packed)
    sketch = int.from_bytes(packed[9:start], "little")
    grams = (len(packed) - start - 2 * keys) // 8
    numbers = struct.unpack_from(f"<{keys}H{grams}Q", packed, start)
    return Print(exact, sketch, numbers[:keys], tuple((gram, 0) for gram in numbers[keys:]))


def _exact(folded: str) -> int:
    return int.from_bytes(hashlib.blake2b(folded.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


@lru_cache(maxsize=4096)
def _lanes(character: str) -> tuple[int, int, int]:
    """Give a character's 256 random 15-bit numbers as first, second and third of a 3-gram: three big numbers."""
    first, second, third = (_VALUES & int.from_bytes(row, "little") for row in _rows(character))
    return first, second, third


def _rows(character: str) -> tuple[bytes, bytes, bytes]:
    noise = hashlib.shake_128(character.encode("utf-8", "surrogatepass")).digest(6 * LANES)
    return noise[: 2 * LANES], noise[2 * LANES : 4 * LANES], noise[4 * LANES :]


def _near(folded: str) -> tuple[int, tuple[int, ...]]:
    """Take all MinHashes at once: each big number below holds 256 lanes of 16 bits, of which the top one is spare."""
    if len(folded) < 3:
        return 0, ()
    lanes = [_lanes(character) for character in folded]
    least = _VALUES
    for first, second, third in zip(lanes, lanes[1:], lanes[2:], strict=False):
        value = first[0] ^ second[1] ^ third[2]
        larger = ((least | _GUARDS) - value) & _GUARDS  # the guard bit survives where least >= value
        least ^= (least ^ value) & (larger - (larger >> 15))
    row = least.to_bytes(2 * LANES, "little")
    values = struct.unpack_from(f"<{2 * TABLES}H", row)
    keys = tuple(_key(one, other) for one, other in zip(values[::2], values[1::2], strict=True))
    return int(row[::2].translate(_DIGITS), 2), keys


def _key(first: Any, second: Any) -> Any:
    """Mix two 15-bit MinHashes (numbers, or arrays of uint64) into a key."""
    return (((first << 15 | second) * _MIX & _WORD) >> 40) & ((1 << KEY_BITS) - 1)


def _winnow(folded: str) -> Iterator[tuple[int, int]]:
    hashes: list[int] = []
    value = 0
    codes = [ord(character) for character in folded]
    for at, code in enumerate(codes):
        value = (value * _BASE + code) & _WORD
        if at >= GRAM:
            value = (value - codes[at - GRAM] * _TOP) & _WORD
        if at >= GRAM - 1:
            mixed = (value ^ value >> 32) * _MIX & _WORD
            hashes.append((mixed ^ mixed >> 29) >> (64 - GRAM_BITS))
    chosen: set[int] = set()
    for start in range(max(len(hashes) - WINDOW + 1, min(len(hashes), 1))):
        window = hashes[start : start + WINDOW]
        least = min(window)
        chosen.update(start + at for at, each in enumerate(window) if each == least)
    yield from ((hashes[at], at) for at in sorted(chosen))


@dataclass(frozen=True, slots=True)
class Prints:
    """Many texts' fingerprints as arrays, one row a text; `owners` says which row each of `grams` belongs to.

    exact uint64 (n), sketches uint8 (n, LANES / 8), keys uint16 (n, TABLES), keyed bool (n), grams uint64 (m),
    owners uint32 (m).
    """

    exact: numpy.ndarray
    sketches: numpy.ndarray
    keys: numpy.ndarray
    keyed: numpy.ndarray
    grams: numpy.ndarray
    owners: numpy.ndarray


def of_many(texts: Sequence[str]) -> Prints:
    """Take the fingerprints of many texts at once; some ten thousand at a time keep memory small."""
    import numpy as np

    folded = [fold(text) for text in texts]
    lengths = np.array([len(text) for text in folded], dtype=np.int64)
    codes = np.frombuffer("".join(folded).encode("utf-32-le", "surrogatepass"), dtype="<u4")
    sketches, keys = _near_of_many(codes, lengths)
    grams, owners = _winnow_many(codes, lengths)
    exact = np.array([_exact(text) for text in folded], dtype=np.uint64)
    return Prints(exact, sketches, keys, lengths >= 3, grams, owners)


_BATCH = 256


def _near_of_many(codes: numpy.ndarray, lengths: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    import numpy as np

    alphabet, letters = np.unique(codes, return_inverse=True)
    rows = [_rows(chr(code)) for code in alphabet]
    tables = [
        np.frombuffer(b"".join(each), dtype="<u2").reshape(-1, LANES) & 0x7FFF for each in zip(*rows, strict=True)
    ]
    starts = np.concatenate(([0], np.cumsum(lengths)))[:-1]
    least = np.full((len(lengths), LANES), 0x7FFF, dtype=np.uint16)
    order = np.argsort(-lengths, kind="stable")
    value, other = (np.empty((_BATCH, LANES), dtype=np.uint16) for _ in range(2))
    for begin in range(0, len(order), _BATCH):
        # texts of like lengths side by side, the longest first: step by step, all their 3-grams at one place
        some = order[begin : begin + _BATCH]
        low = np.full((len(some), LANES), 0x7FFF, dtype=np.uint16)
        for at in range(max(int(lengths[some[0]]) - 2, 0)):
            count = int(np.searchsorted(-lengths[some], -(at + 2)))
            here = starts[some[:count]] + at
            np.take(tables[0], letters[here], axis=0, out=value[:count])
            for place in (1, 2):
                np.take(tables[place], letters[here + place], axis=0, out=other[:count])
                np.bitwise_xor(value[:count], other[:count], out=value[:count])
            np.minimum(low[:count], value[:count], out=low[:count])
        least[some] = low
    wide = least[:, : 2 * TABLES].astype(np.uint64)
    keys = _key(wide[:, ::2], wide[:, 1::2]).astype(np.uint16)
    sketches = np.packbits((least & 1).astype(np.uint8), axis=1)
    sketches[lengths < 3] = 0
    return sketches, keys


def _winnow_many(codes: numpy.ndarray, lengths: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    import numpy as np

    mixer = np.uint64(_MIX)
    value = np.zeros(max(len(codes) - GRAM + 1, 0), dtype=np.uint64)
    for place in range(GRAM):
        value *= np.uint64(_BASE)
        value += codes[place : place + len(value)]
    mixed = (value ^ value >> np.uint64(32)) * mixer
    hashes = (mixed ^ mixed >> np.uint64(29)) >> np.uint64(64 - GRAM_BITS)
    owners = np.repeat(np.arange(len(lengths), dtype=np.uint32), lengths)[: len(hashes)]
    ends = np.cumsum(lengths)
    places = np.arange(len(hashes)) - (ends - lengths)[owners]
    counts = (lengths - GRAM + 1)[owners]
    real = places < counts
    hashes[~real] = _WORD
    # a gram is chosen when it is the least of some window of its text: the greatest of the windows' leasts is it
    leasts = _slide(np.minimum, hashes, WINDOW, _WORD)
    leasts[~(real & ((places == 0) | (places <= counts - WINDOW)))] = 0
    greatest = _slide(np.maximum, leasts[::-1], WINDOW, 0)[::-1]
    chosen = real & (greatest == hashes)
    return hashes[chosen], owners[chosen]


def _slide(better: Any, values: numpy.ndarray, width: int, beyond: int) -> numpy.ndarray:
    """Give the best of values[i : i + width] for every i; beyond the end there is only `beyond`."""
    import numpy as np

    best = np.concatenate((values, np.full(width - 1, beyond, dtype=values.dtype)))
    reach = 1
    while reach < width:
        step = min(reach, width - reach)
        best = better(best[:-step], best[step:])
        reach += step
    return best
