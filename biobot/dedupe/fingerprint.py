"""The fingerprint of a text: enough to recognise it, a near copy, or a part of it; not enough to read it.

Three layers, all of the folded text:
- exact: a 64-bit hash;
- near: 256 MinHashes of its 3-grams, of which one bit each is the *sketch*: two texts that share a part J of
  their 3-grams agree in (1 + J) / 2 of the bits;
- copied: 24-grams as 31-bit hashes. Of a text that was seen some are kept, of every 9 that follow each other at
  least one (winnowing), so that any run of 32 characters that another text shares holds one. With each lie 12
  bits of the 8 characters before it and 12 of the 8 after: how far a run goes on, to the character.

A short text (below SHORT characters) has few 3-grams and no long run, so more is kept of it: its *line*, one bit a
character, by which edits are counted; and its *pieces*, 16-grams as 26-bit hashes with their places, winnowed too,
from which the line tells how far a run goes on.

The same numbers come out of `of` (one text, plain Python) and of `of_many` (numpy); they are part of the
format of the index, so changing anything here needs a new version of it.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from biobot.text.normalize import fold

if TYPE_CHECKING:
    import numpy

LANES = 256
"""MinHash functions, and so bits of a sketch."""
SHORT = 64
"""A text of fewer characters has a line and pieces."""
KEY_LANES = ((34, 127), (10, 56), (73, 68), (84, 194), (134, 22), (110, 91), (55, 39))
"""Pairs of MinHashes to look up texts by (`Prints.keys`): those whose values the fewest bios share (measured)."""
KEY_BITS = 14
GRAM = 24
"""Characters of a gram."""
WINDOW = 9
GRAM_BITS = 31
SIDE = WINDOW - 1
"""Characters beside a gram of which something is known; each second one gets two bits, the others one."""
SIDE_BITS = 3 * SIDE
RUN = GRAM + SIDE
"""Characters of a run that is sure to hold a kept gram."""
PIECE = 16
"""Characters of a piece."""
PIECE_WINDOW = 3
PIECE_BITS = 26
PLACE_BITS = 6
LONGEST = 511
"""Longer texts count as this long."""

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

    `length` in characters, `exact` of 64 bits, `sketch` of LANES bits (0 for a text of fewer than 3 characters);
    `line` has a bit for each character, the first the lowest; `pieces` and `grams` are the hashes of all 16-grams and
    24-grams in their order; `blocks` are 2-bit hashes of every 4 characters that follow each other. A text of more
    than twice SHORT characters has neither line nor pieces.
    """

    length: int
    exact: int
    sketch: int
    line: int
    pieces: tuple[int, ...]
    grams: tuple[int, ...]
    blocks: tuple[int, ...]

    def side(self, place: int) -> int:
        """Return SIDE_BITS bits of what stands beside the gram at `place`; beyond the text there are zeros."""
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
    """What is kept of a text that was seen.

    As `Print`, but `pieces` and `grams` are winnowed: each of `pieces` is a hash over its place, each of `grams` one
    over its side. Only a short text has a `line` and `pieces`; `length` is at most LONGEST.
    """

    length: int
    exact: int
    sketch: int
    line: int
    pieces: tuple[int, ...]
    grams: tuple[int, ...]


def of(text: str) -> Print:
    """Take one text's fingerprint, without numpy."""
    folded = fold(text)
    heads = _heads(folded)
    close = folded if len(folded) <= 2 * SHORT else ""  # half of a short text is a small part of a longer one
    return Print(
        length=len(folded),
        exact=_exact(folded),
        sketch=_sketch(folded),
        line=int("".join(map(_bit, reversed(close))) or "0", 2),
        pieces=_rolled(heads if close else [], PIECE, PIECE_BITS),
        grams=_rolled(heads, GRAM, GRAM_BITS),
        blocks=_rolled(heads, _BLOCK, 2),
    )


def keep(mark: Print) -> Kept:
    """Choose what is kept of a text: of every so many grams that follow each other at least one, by its hash."""
    short = mark.length < SHORT
    pieces = (mark.pieces[at] << PLACE_BITS | at for at in _winnow(mark.pieces, PIECE_WINDOW) if short)
    grams = (mark.grams[at] << SIDE_BITS | mark.side(at) for at in _winnow(mark.grams, WINDOW))
    return Kept(
        min(mark.length, LONGEST), mark.exact, mark.sketch, mark.line if short else 0, tuple(pieces), tuple(grams)
    )


def _winnow(hashes: Sequence[int], width: int) -> list[int]:
    """Return the places of those that are the least of some `width` that follow each other, in their order."""
    chosen: set[int] = set()
    for start in range(max(len(hashes) - width + 1, min(len(hashes), 1))):
        window = hashes[start : start + width]
        least = min(window)
        chosen.update(start + at for at, each in enumerate(window) if each == least)
    return sorted(chosen)


def compared(length: int) -> int:
    """Return how many sketch bits to compare for a text of this length: half are enough for a long one."""
    return LANES if length < SHORT else LANES // 2


def left_by(edits: int, length: int) -> float:
    """Return the share of equal 3-grams that so many edits leave of a text: each takes three, and brings three."""
    return max(0.0, (length - 3 * edits) / (length + 3 * edits))


def edits(one: int, width: int, other: int, length: int) -> int:
    """Count the characters to replace, insert or delete between two lines of so many bits: at most those of the texts.

    A column of the table of distances at once, as bits that tell where it goes up or down (Myers 1999).
    """
    every = (1 << width) - 1
    equal = ~one & every, one
    up, down, distance = every, 0, width
    for place in range(length):
        here = equal[other >> place & 1]
        across = ((here & up) + up ^ up) | here
        risen, fallen = down | ~(across | up) & every, up & across
        distance += (risen >> width - 1 & 1) - (fallen >> width - 1 & 1)
        risen, fallen = (risen << 1 | 1) & every, fallen << 1 & every
        up, down = fallen | ~(here | down | risen) & every, risen & (here | down)
    return distance


def run(mark: Print, at: int, line: int, length: int, place: int) -> int:
    """Return how long the run is that holds the piece at `at` of a text and at `place` of another; 0 if it was none.

    Of the other there are the line and the length. By chance it may be measured a character or two too long.
    """
    ahead = at - place
    differ = (mark.line >> ahead if ahead >= 0 else mark.line << -ahead) ^ line
    differ |= -1 << min(length, mark.length - ahead)
    if ahead < 0:
        differ |= (1 << -ahead) - 1
    begin = (differ & ((1 << place) - 1)).bit_length()
    rest = differ >> place
    end = place + (rest & -rest).bit_length() - 1
    return end - begin if end - place >= PIECE else 0


_PACKED = struct.Struct("<2sHQQB")
_MARK = b"b2"


def pack(kept: Kept) -> bytes:
    """Write what is kept of a text as bytes; `unpack` reads them."""
    head = _PACKED.pack(_MARK, kept.length, kept.exact, kept.line, len(kept.pieces))
    rest = struct.pack(f"<{len(kept.pieces)}I{len(kept.grams)}Q", *kept.pieces, *kept.grams)
    return head + kept.sketch.to_bytes(LANES // 8, "little") + rest


def unpack(packed: bytes) -> Kept:
    """Read what `pack` wrote; raise ValueError for anything else."""
    start = _PACKED.size + LANES // 8
    if len(packed) < start or packed[:2] != _MARK:
        raise ValueError("this is no fingerprint")
    _, length, exact, line, pieces = _PACKED.unpack_from(packed)
    grams, left = divmod(len(packed) - start - 4 * pieces, 8)
    if grams < 0 or left:
        raise ValueError("this is no fingerprint")
    numbers = struct.unpack_from(f"<{pieces}I{grams}Q", packed, start)
    sketch = int.from_bytes(packed[_PACKED.size : start], "little")
    return Kept(length, exact, sketch, line, numbers[:pieces], numbers[pieces:])


def _exact(folded: str) -> int:
    return int.from_bytes(hashlib.blake2b(folded.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


@lru_cache(maxsize=4096)
def _bit(character: str) -> str:
    return str(_mix(ord(character)) >> 63)


@lru_cache(maxsize=4096)
def _lanes(character: str) -> tuple[int, int, int]:
    """Return a character's 256 random 15-bit numbers as first, second and third of a 3-gram: three big numbers."""
    first, second, third = (_VALUES & int.from_bytes(row, "little") for row in _rows(character))
    return first, second, third


def _rows(character: str) -> tuple[bytes, bytes, bytes]:
    noise = hashlib.shake_128(character.encode("utf-8", "surrogatepass")).digest(6 * LANES)
    return noise[: 2 * LANES], noise[2 * LANES : 4 * LANES], noise[4 * LANES :]


def _sketch(folded: str) -> int:
    """Take all MinHashes at once: each big number below holds 256 lanes of 16 bits, of which the top one is spare."""
    if len(folded) < 3:
        return 0
    lanes = [_lanes(character) for character in folded]
    least = _VALUES
    for first, second, third in zip(lanes, lanes[1:], lanes[2:], strict=False):
        value = first[0] ^ second[1] ^ third[2]
        larger = ((least | _GUARDS) - value) & _GUARDS  # the guard bit survives where least >= value
        least ^= (least ^ value) & (larger - (larger >> 15))
    return int(least.to_bytes(2 * LANES, "little")[::2].translate(_DIGITS), 2)


def _key(first: Any, second: Any) -> Any:
    """Mix two 15-bit MinHashes (numbers, or arrays of uint64) into a key."""
    return (((first << 15 | second) * _ODD & _WORD) >> 40) & ((1 << KEY_BITS) - 1)


def _heads(text: str) -> list[int]:
    """Return the polynomial hashes of the first 0, 1, 2, … characters."""
    return list(accumulate(map(ord, text), lambda value, code: (value * _BASE + code) & _WORD, initial=0))


def _rolled(heads: list[int], width: int, bits: int) -> tuple[int, ...]:
    """Return `bits` bits of the mixed polynomial hash of every `width` characters that follow each other."""
    top, shift = pow(_BASE, width, 1 << 64), 64 - bits
    pairs = zip(heads, heads[width:], strict=False)
    return tuple(_mix((last - first * top) & _WORD) >> shift for first, last in pairs)


def _mix(value: Any) -> Any:
    """Scatter the bits of a number below 2 ** 64, or of an array of uint64."""
    value = (value ^ value >> 32) * _ODD & _WORD
    return value ^ value >> 29


def longest(mark: Print, sides: Callable[[int], Sequence[int]]) -> int:
    """Return the length of the longest run that a text shares with what `sides` knows.

    `sides(hash)` gives what stood beside a gram of that hash wherever it was seen. One gram and what goes on
    beside it tell of a run up to GRAM + 2 * SIDE; longer ones are those that overlap. A run that is at least
    RUN long is found and not measured shorter, as long as the gram that winnowing kept of it is no common one; by
    chance one may be measured a character or two too long. Of shorter ones, which it would find by luck, it gives 0.
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
    return whole if best >= RUN else 0


def _run(mark: Print, place: int, there: int) -> tuple[int, int]:
    """Return the first and the last gram of the run around the gram at `place`, beside which `there` stood."""
    differ, half = mark.side(place) ^ there, SIDE_BITS // 2
    before, after = _reach(differ >> half), _reach(differ & ((1 << half) - 1))
    return max(place - before, 0), min(place + after, len(mark.grams) - 1)


def _least(grams: Sequence[int], place: int, first: int, last: int) -> bool:
    """Return whether a gram is the least of some window inside a run: if the run is real, that one was kept."""
    starts = range(max(first, place - WINDOW + 1), min(place, last - WINDOW + 1) + 1)
    return any(min(grams[start : start + WINDOW]) == grams[place] for start in starts)


def _reach(differ: int) -> int:
    """Return how many characters are equal, from the bits in which two sides differ."""
    return _REACH[(differ & -differ).bit_length() - 1] if differ else SIDE


@dataclass(frozen=True, slots=True)
class Prints:
    """Many texts' fingerprints as arrays, one row a text; the owners say which row each piece or gram belongs to.

    lengths int64 (n), at most LONGEST; exact uint64 (n); sketches uint8 (n, LANES / 8); keys uint16 (n, pairs of
    KEY_LANES); keyed bool (n): has it 3 characters; lines uint64 (n); pieces uint64 (k), grams uint64 (m), their
    owners int64.
    """

    lengths: numpy.ndarray
    exact: numpy.ndarray
    sketches: numpy.ndarray
    keys: numpy.ndarray
    keyed: numpy.ndarray
    lines: numpy.ndarray
    pieces: numpy.ndarray
    piece_owners: numpy.ndarray
    grams: numpy.ndarray
    owners: numpy.ndarray


def of_many(texts: Sequence[str]) -> Prints:
    """Take the fingerprints of many texts at once; some ten thousand at a time keep memory small."""
    import numpy as np

    folded = [fold(text) for text in texts]
    lengths = np.array([len(text) for text in folded], dtype=np.int64)
    codes = np.frombuffer("".join(folded).encode("utf-32-le", "surrogatepass"), dtype="<u4")
    sketches, keys = _near_of_many(codes, lengths)
    short = np.flatnonzero(lengths < SHORT)
    of_short = codes[np.repeat(lengths < SHORT, lengths)]
    lines = np.zeros(len(texts), dtype=np.uint64)
    lines[short] = _lines(of_short, lengths[short])
    pieces, piece_owners = _pieces(of_short, lengths[short])
    grams, owners = _grams(codes, lengths)
    return Prints(
        lengths=np.minimum(lengths, LONGEST),
        exact=np.array([_exact(text) for text in folded], dtype=np.uint64),
        sketches=sketches,
        keys=keys,
        keyed=lengths >= 3,
        lines=lines,
        pieces=pieces,
        piece_owners=short[piece_owners],
        grams=grams,
        owners=owners,
    )


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


def _lines(codes: numpy.ndarray, lengths: numpy.ndarray) -> numpy.ndarray:
    """Return the line of each of these short texts, as uint64."""
    import numpy as np

    ends = np.cumsum(lengths)
    places = np.arange(len(codes)) - np.repeat(ends - lengths, lengths)
    bits = (_mix(_roll(codes, 1)) >> 63) << places.astype(np.uint64)
    lines = np.zeros(len(lengths), dtype=np.uint64)
    filled = np.flatnonzero(lengths)
    if len(filled):
        lines[filled] = np.bitwise_or.reduceat(bits, (ends - lengths)[filled])
    return lines


def _pieces(codes: numpy.ndarray, lengths: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    import numpy as np

    chosen = _chosen(codes, lengths, PIECE, PIECE_BITS, PIECE_WINDOW)
    return chosen.hashes << PLACE_BITS | chosen.places.astype(np.uint64), chosen.owners


def _grams(codes: numpy.ndarray, lengths: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    import numpy as np

    chosen = _chosen(codes, lengths, GRAM, GRAM_BITS, WINDOW)
    blocks = _mix(_roll(codes, _BLOCK)) >> 62
    sides = []
    for room, first, ahead in ((chosen.places, 0, -1), (chosen.after, GRAM - _BLOCK, 1)):
        side, shift = np.zeros(len(chosen.at), dtype=np.uint64), 0
        for step in range(1, SIDE + 1):
            there = room >= step
            bits = blocks[np.where(there, chosen.at + first + ahead * step, 0)] & (1 if step % 2 else 3)
            side |= np.where(there, bits, 0) << shift
            shift += 1 if step % 2 else 2
        sides.append(side)
    grams = (chosen.hashes << (SIDE_BITS // 2) | sides[0]) << (SIDE_BITS // 2) | sides[1]
    return grams, chosen.owners


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The grams that winnowing keeps: where in all characters, their text, their place in it and how many follow."""

    at: numpy.ndarray
    hashes: numpy.ndarray
    owners: numpy.ndarray
    places: numpy.ndarray
    after: numpy.ndarray


def _chosen(codes: numpy.ndarray, lengths: numpy.ndarray, width: int, bits: int, window: int) -> _Chosen:
    """Winnow the texts' grams of `width` characters by hashes of `bits` bits."""
    import numpy as np

    hashes = _mix(_roll(codes, width)) >> (64 - bits)
    owners = np.repeat(np.arange(len(lengths)), lengths)[: len(hashes)]
    ends = np.cumsum(lengths)
    places = np.arange(len(hashes)) - (ends - lengths)[owners]
    counts = (lengths - width + 1)[owners]
    real = places < counts
    hashes[~real] = _WORD
    # a gram is chosen when it is the least of some window of its text: the greatest of the windows' leasts is it
    leasts = _slide(np.minimum, hashes, window, _WORD)
    leasts[~(real & ((places == 0) | (places <= counts - window)))] = 0
    greatest = _slide(np.maximum, leasts[::-1], window, 0)[::-1]
    at = np.flatnonzero(real & (greatest == hashes))
    return _Chosen(at, hashes[at], owners[at], places[at], counts[at] - 1 - places[at])


def _roll(codes: numpy.ndarray, width: int) -> numpy.ndarray:
    """Return the polynomial hash of every `width` codes that follow each other, not yet mixed."""
    import numpy as np

    value = np.zeros(max(len(codes) - width + 1, 0), dtype=np.uint64)
    for place in range(width):
        value *= np.uint64(_BASE)
        value += codes[place : place + len(value)]
    return value


def _slide(better: Any, values: numpy.ndarray, width: int, beyond: int) -> numpy.ndarray:
    """Return the best of values[i : i + width] for every i; beyond the end there is only `beyond`."""
    import numpy as np

    best = np.concatenate((values, np.full(width - 1, beyond, dtype=values.dtype)))
    reach = 1
    while reach < width:
        step = min(reach, width - reach)
        best = better(best[:-step], best[step:])
        reach += step
    return best
