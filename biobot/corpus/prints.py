"""The fingerprint of a text: enough to recognise it, a near copy, or a part of it; not enough to read it.

Three layers, all of the folded text:
- exact: a 64-bit hash;
- near: 256 MinHashes of its 3-grams, of which one bit each is the *sketch* (two texts that share a part J of
  their 3-grams agree in (1 + J) / 2 of the bits), and seven pairs of full ones are *keys* by which to look up;
- copied: 24-grams as 32-bit hashes. Of a text that was seen some are kept, of every 9 that follow each other at
  least one (winnowing), so that any run of 32 characters that another text shares holds one. With each lie 12
  bits of the 8 characters before it and 12 of the 8 after: how far a run goes on, to the character.

The same numbers come out of `of` (one text, plain Python) and of `of_many` (numpy); they are part of the
format of the index, so changing anything here needs a new version of it.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from biobot.text.fold import fold

if TYPE_CHECKING:
    import numpy

LANES = 256
"""MinHash functions, and so bits of a sketch."""
KEY_LANES = ((34, 127), (10, 56), (73, 68), (84, 194), (134, 22), (110, 91), (55, 39))
"""The pairs of MinHashes that serve as keys: those of the 256 whose values the fewest bios share (measured)."""
TABLES = len(KEY_LANES)
KEY_BITS = 14
GRAM = 24
"""Characters of a gram."""
WINDOW = 9
GRAM_BITS = 32
SIDE = WINDOW - 1
"""Characters beside a gram of which something is known; each second one gets two bits, the others one."""
SIDE_BITS = 3 * SIDE

_WORD = (1 << 64) - 1
_BASE = 0x9E3779B97F4A7C15
_BLOCK = 4
_REACH = (0, 1, 1, 2, 3, 3, 4, 5, 5, 6, 7, 7, 8)
_ODD = 0xD6E8FEB86659FD93
_KEY = 0x9E3B
_EACH = sum(1 << (16 * lane) for lane in range(LANES))
_GUARDS = _EACH << 15
_VALUES = _EACH * 0x7FFF
_DIGITS = bytes(ord("0") + (value & 1) for value in range(256))


@dataclass(frozen=True, slots=True)
class Print:
    """The fingerprint of a text that is compared.

    `exact` has 64 bits and `sketch` LANES bits; `keys` are TABLES numbers of KEY_BITS bits (none for a text of
    fewer than 3 characters); `grams` are the hashes of all grams in their order; `blocks` are 2-bit hashes of every
    4 characters that follow each other.
    """

    exact: int
    sketch: int
    keys: tuple[int, ...]
    grams: tuple[int, ...]
    blocks: tuple[int, ...]

    def side(self, place: int) -> int:
        """Give SIDE_BITS bits of what stands beside the gram at `place`; beyond the text there are zeros."""
        before = after = shift = 0
        for step in range(1, SIDE + 1):
            mask = 1 if step % 2 else 3
            if step <= place:
                before |= (self.blocks[place - step] & mask) << shift
            if step < len(self.grams) - place:
                after |= (self.blocks[place + GRAM - _BLOCK + step] & mask) << shift
            shift += 1 if step % 2 else 2
        return before << (SIDE_BITS // 2) | after


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a text that was seen: as `Print`, but each of `grams` is a winnowed one's hash over its side."""

    exact: int
    sketch: int
    keys: tuple[int, ...]
    grams: tuple[int, ...]


def of(text: str) -> Print:
    """Take one text's fingerprint, without numpy."""
    folded = fold(text)
    sketch, keys = _near(folded)
    codes = [ord(character) for character in folded]
    grams = tuple(value >> (64 - GRAM_BITS) for value in _rolled(codes, GRAM))
    return Print(_exact(folded), sketch, keys, grams, tuple(value >> 62 for value in _rolled(codes, _BLOCK)))


def keep(mark: Print) -> Kept:
    """Choose what is kept of a text: of every WINDOW grams that follow each other at least one, by its hash."""
    grams = mark.grams
    chosen: set[int] = set()
    for start in range(max(len(grams) - WINDOW + 1, min(len(grams), 1))):
        window = grams[start : start + WINDOW]
        least = min(window)
        chosen.update(start + at for at, each in enumerate(window) if each == least)
    kept = (grams[place] << SIDE_BITS | mark.side(place) for place in sorted(chosen))
    return Kept(mark.exact, mark.sketch, mark.keys, tuple(kept))


def agreement(one: int, other: int) -> float:
    """Estimate from two sketches which share of 3-grams their texts have in common, 0 to 1."""
    return max(0.0, 1 - 2 * (one ^ other).bit_count() / LANES)


def pack(kept: Kept) -> bytes:
    """Write what is kept of a text as bytes; `unpack` reads them."""
    head = struct.pack("<QB", kept.exact, len(kept.keys)) + kept.sketch.to_bytes(LANES // 8, "little")
    return head + struct.pack(f"<{len(kept.keys)}H{len(kept.grams)}Q", *kept.keys, *kept.grams)


def unpack(packed: bytes) -> Kept:
    """Read what `pack` wrote; raise ValueError for anything else."""
    start = 9 + LANES // 8
    if len(packed) < start or packed[8] not in (0, TABLES) or (len(packed) - start - 2 * packed[8]) % 8:
        raise ValueError("this is no fingerprint")
    exact, keys = struct.unpack_from("<QB", packed)
    sketch = int.from_bytes(packed[9:start], "little")
    grams = (len(packed) - start - 2 * keys) // 8
    numbers = struct.unpack_from(f"<{keys}H{grams}Q", packed, start)
    return Kept(exact, sketch, numbers[:keys], numbers[keys:])


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
    values = struct.unpack(f"<{LANES}H", row)
    keys = tuple(_key(values[one], values[other]) for one, other in KEY_LANES)
    return int(row[::2].translate(_DIGITS), 2), keys


def _key(first: Any, second: Any) -> Any:
    """Mix two 15-bit MinHashes (numbers, or arrays of uint64) into a key."""
    return (((first << 15 | second) * _ODD & _WORD) >> 40) & ((1 << KEY_BITS) - 1)


def _rolled(codes: Sequence[int], width: int) -> list[int]:
    """Give the mixed polynomial hash of every `width` codes that follow each other."""
    hashes, value = [], 0
    top = pow(_BASE, width, 1 << 64)
    for at, code in enumerate(codes):
        value = (value * _BASE + code) & _WORD
        if at >= width:
            value = (value - codes[at - width] * top) & _WORD
        if at >= width - 1:
            hashes.append(_mix(value))
    return hashes


def _mix(value: Any) -> Any:
    """Scatter the bits of a number below 2 ** 64, or of an array of uint64."""
    value = (value ^ value >> 32) * _ODD & _WORD
    return value ^ value >> 29


def longest(mark: Print, sides: Callable[[int], Sequence[int]]) -> int:
    """Give the length of the longest run that a text shares with what `sides` knows.

    `sides(hash)` gives what stood beside a gram of that hash wherever it was seen. One gram and what goes on
    beside it tell of a run up to GRAM + 2 * SIDE; longer ones are those that overlap. A run that is at least
    GRAM + SIDE long is found and not measured shorter, as long as the gram that winnowing kept of it is no
    common one; by chance one may be measured a character or two too long.
    """
    best = whole = start = end = 0
    for place, gram in enumerate(mark.grams):
        for there in sides(gram):
            first, last = _run(mark, place, there)
            sure = last - first < WINDOW - 1 or _least(mark.grams, place, first, last)
            best = max(best, GRAM + min(last - first, WINDOW - 1 if sure else WINDOW - 2))
            if first > end:
                start = first
            start, end = min(start, first), max(end, last)
            whole = max(whole, GRAM + end - start)
    return whole if best >= GRAM + SIDE else best


def _run(mark: Print, place: int, there: int) -> tuple[int, int]:
    """Give the first and the last gram of the run around the gram at `place`, beside which `there` stood."""
    differ, half = mark.side(place) ^ there, SIDE_BITS // 2
    before, after = _reach(differ >> half), _reach(differ & ((1 << half) - 1))
    return max(place - before, 0), min(place + after, len(mark.grams) - 1)


def _least(grams: Sequence[int], place: int, first: int, last: int) -> bool:
    """Tell whether a gram is the least of some window inside a run: if the run is real, that one was kept."""
    starts = range(max(first, place - WINDOW + 1), min(place, last - WINDOW + 1) + 1)
    return any(min(grams[start : start + WINDOW]) == grams[place] for start in starts)


def _reach(differ: int) -> int:
    """Give how many characters are equal, from the bits in which two sides differ."""
    return _REACH[(differ & -differ).bit_length() - 1] if differ else SIDE


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
    ones, others = (least[:, lanes].astype(np.uint64) for lanes in zip(*KEY_LANES, strict=True))
    keys = _key(ones, others).astype(np.uint16)
    sketches = np.packbits((least & 1).astype(np.uint8), axis=1)
    sketches[lengths < 3] = 0
    return sketches, keys


def _winnow_many(codes: numpy.ndarray, lengths: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    import numpy as np

    hashes = _mix(_roll(codes, GRAM)) >> (64 - GRAM_BITS)
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
    chosen = np.flatnonzero(real & (greatest == hashes))
    blocks = _mix(_roll(codes, _BLOCK)) >> 62
    sides = []
    for room, first, ahead in ((places, 0, -1), (counts - 1 - places, GRAM - _BLOCK, 1)):
        side, shift = np.zeros(len(chosen), dtype=np.uint64), 0
        for step in range(1, SIDE + 1):
            there = room[chosen] >= step
            bits = blocks[np.where(there, chosen + first + ahead * step, 0)] & (1 if step % 2 else 3)
            side |= np.where(there, bits, 0) << shift
            shift += 1 if step % 2 else 2
        sides.append(side)
    grams = (hashes[chosen] << (SIDE_BITS // 2) | sides[0]) << (SIDE_BITS // 2) | sides[1]
    return grams, owners[chosen]


def _roll(codes: numpy.ndarray, width: int) -> numpy.ndarray:
    """Give the polynomial hash of every `width` codes that follow each other, not yet mixed."""
    import numpy as np

    value = np.zeros(max(len(codes) - width + 1, 0), dtype=np.uint64)
    for place in range(width):
        value *= np.uint64(_BASE)
        value += codes[place : place + len(value)]
    return value


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
