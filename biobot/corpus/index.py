"""What was seen before, as fingerprints: a training set's file that ships with its model, or texts in memory.

The file is written in one linear pass (with numpy) and read through a memory map (without). It holds no text,
yet it can confirm a guess: who has a bio can ask whether the model learnt it.

Layout, little-endian but for rows of 3 and 5 bytes: a header of 64 bytes (magic, format, bios, bios with keys,
grams, CRC-32 of the rest); 64-bit hashes of the folded bios, sorted, whose order numbers the bios; a sketch for
each; for each of the TABLES keys the start of every bucket, then for each the 3-byte numbers of its bios; and the
rare grams, in buckets by the upper 16 bits of their hashes, each as 5 bytes: the lower 16 bits, and the 24 of what
stood beside it.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from biobot.bio import Layer, Match, Source
from biobot.corpus import prints
from biobot.corpus.prints import LANES, TABLES, Kept, Print
from biobot.errors import CorpusError

if TYPE_CHECKING:
    import numpy

MAGIC = b"BIOSEEN\n"
FORMAT = 1
RARE = 3
"""A gram that more bios than this hold is a common phrase, and no theft."""

_HEAD = struct.Struct("<8sIQQQI")
_START = 64
_SKETCH = LANES // 8
_BUCKETS = 1 << prints.KEY_BITS
_GRAM_BUCKETS = 1 << 16
_REST = prints.GRAM_BITS - 16 + prints.SIDE_BITS
_GRAM = _REST // 8
_MOST = 1 << 24


# -- looking up --------------------------------------------------------------------------------------


class Index:
    """A training set's fingerprints, mapped from a file; a context manager."""

    def __init__(self, path: Path, memory: mmap.mmap) -> None:
        self.path = path
        self._memory = memory
        _, _, self.bios, keyed, grams, _ = _HEAD.unpack_from(memory)
        view = memoryview(memory)
        sizes = _sizes(self.bios, keyed, grams)
        ends = [_START + sum(sizes[: at + 1]) for at in range(len(sizes))]
        parts = [view[end - size : end] for end, size in zip(ends, sizes, strict=True)]
        self._exact = parts[0].cast("Q")
        self._key_starts, self._gram_starts = parts[2].cast("I"), parts[3].cast("I")
        self._sketch_at, self._ids_at, self._grams_at = (ends[at] - sizes[at] for at in (1, 4, 5))
        self._keyed = keyed

    @classmethod
    def open(cls, path: Path) -> Index:
        """Map an index; raise CorpusError if it is missing, cut short, damaged, or of another format."""
        try:
            with path.open("rb") as file:
                memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise CorpusError(f"cannot read the index {path}: {getattr(error, 'strerror', None) or error}") from None
        problem = _problem(memory)
        if problem:
            memory.close()
            raise CorpusError(f"the index {path} {problem}; take it again from its model, or train anew")
        return cls(path, memory)

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        for view in (self._exact, self._key_starts, self._gram_starts):
            view.release()
        self._memory.close()

    def matches(self, text: str) -> tuple[Match, ...]:
        """Give every resemblance of `text` to what was learnt, the strongest of each layer."""
        return self.look_up(prints.of(text))

    def look_up(self, mark: Print) -> tuple[Match, ...]:
        """Do as `matches`, for a fingerprint that was already taken."""
        at = bisect_left(self._exact, mark.exact)
        known = at < self.bios and self._exact[at] == mark.exact
        return _matches("learnt", known, mark, self._sketches(mark), self._sides)

    def _sketches(self, mark: Print) -> Iterator[int]:
        """Give the sketch of each bio that shares a key, which is where the near ones are."""
        memory = self._memory
        for table, key in enumerate(mark.keys):
            bucket = table * (_BUCKETS + 1) + key
            start = self._ids_at + 3 * table * self._keyed
            begin, end = self._key_starts[bucket], self._key_starts[bucket + 1]
            ids = memory[start + 3 * begin : start + 3 * end]
            for place in range(0, len(ids), 3):
                row = self._sketch_at + _SKETCH * int.from_bytes(ids[place : place + 3], "big")
                yield int.from_bytes(memory[row : row + _SKETCH], "big")

    def _sides(self, gram: int) -> list[int]:
        """Give what stood beside each rare gram of this hash."""
        bucket = gram >> 16
        begin, end = self._gram_starts[bucket], self._gram_starts[bucket + 1]
        rows = self._memory[self._grams_at + _GRAM * begin : self._grams_at + _GRAM * end]
        sought = (gram & 0xFFFF).to_bytes(2, "big")
        sides = []
        at = rows.find(sought)
        while at >= 0:
            if at % _GRAM == 0:
                sides.append(int.from_bytes(rows[at + 2 : at + _GRAM], "big"))
            at = rows.find(sought, at + 1)
        return sides


class TextIndex:
    """Texts in memory: what was posted, what waits, or who opted out; fingerprints are taken on first use."""

    def __init__(self, texts: Iterable[str], source: Source) -> None:
        self._marks: Callable[[], Iterator[Kept]] = lambda: (prints.keep(prints.of(text)) for text in texts)
        self._source = source
        self._ready = False

    @classmethod
    def read(cls, path: Path, source: Source) -> TextIndex:
        """Read what `append` wrote; a file that is not there holds nothing; a damaged one is a CorpusError."""
        try:
            lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
            marks = [prints.unpack(bytes.fromhex(line)) for line in lines]
        except OSError as error:
            raise CorpusError(f"cannot read {path}: {error.strerror}") from None
        except ValueError:
            raise CorpusError(f"{path} is damaged: it holds something else than fingerprints") from None
        index = cls((), source)
        index._marks = lambda: iter(marks)
        return index

    def matches(self, text: str) -> tuple[Match, ...]:
        """Give every resemblance of `text`, the strongest of each layer."""
        return self.look_up(prints.of(text))

    def look_up(self, mark: Print) -> tuple[Match, ...]:
        """Do as `matches`, for a fingerprint that was already taken."""
        if not self._ready:
            self._take()
        near = (sketch for keyed in enumerate(mark.keys) for sketch in self._sketches.get(keyed, ()))
        return _matches(self._source, mark.exact in self._exact, mark, near, lambda gram: self._sides.get(gram, ()))

    def _take(self) -> None:
        self._exact: set[int] = set()
        self._sketches: dict[tuple[int, int], list[int]] = defaultdict(list)
        self._sides: dict[int, list[int]] = defaultdict(list)
        for mark in self._marks():
            self._exact.add(mark.exact)
            for gram in mark.grams:
                self._sides[gram >> prints.SIDE_BITS].append(gram & ((1 << prints.SIDE_BITS) - 1))
            for keyed in enumerate(mark.keys):
                self._sketches[keyed].append(mark.sketch)
        self._ready = True


def append(path: Path, texts: Iterable[str]) -> None:
    """Add the fingerprints of `texts`, not the texts, to a file that `TextIndex.read` reads: one line each."""
    old = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    new = [prints.pack(prints.keep(prints.of(text))).hex() for text in texts]
    whole = "".join(f"{line}\n" for line in dict.fromkeys(old + new))
    _replace(path, [whole.encode("ascii")])


def _matches(
    source: Source, known: bool, mark: Print, sketches: Iterable[int], sides: Callable[[int], Sequence[int]]
) -> tuple[Match, ...]:
    amounts: dict[Layer, float] = {
        "exact": 1.0 if known else 0.0,
        "near": max((prints.agreement(mark.sketch, sketch) for sketch in sketches), default=0.0),
        "copied": prints.longest(mark, sides),
    }
    return tuple(Match(source, layer, amount) for layer, amount in amounts.items() if amount)


# -- building ----------------------------------------------------------------------------------------


def build(bios: Iterable[str], path: Path, chunk: int = 20_000) -> None:
    """Write the index of `bios`, in memory that grows by some 150 bytes a bio; raise CorpusError if it cannot be."""
    import numpy as np

    parts: list[prints.Prints] = []
    rows = 0
    left = iter(bios)
    while some := list(islice(left, chunk)):
        part = prints.of_many(some)
        part.owners[:] += np.uint32(rows)
        rows += len(some)
        parts.append(part)
    parts = parts or [prints.of_many([])]
    exact, sketches, keys, keyed, grams, owners = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("exact", "sketches", "keys", "keyed", "grams", "owners")
    )
    del parts
    # a bio that comes twice counts once: only the grams of its first row do
    exact, first = np.unique(exact, return_index=True)
    once = np.zeros(rows, dtype=bool)
    once[first] = True
    grams = _rare(grams[once[owners]], owners[once[owners]])
    _write(path, exact, sketches[first], keys[first], keyed[first], grams)


def merge(paths: Sequence[Path], path: Path) -> None:
    """Write the index of all that the indexes at `paths` hold; a gram that is rare in one of them stays."""
    import numpy as np

    parts = []
    for each in paths:
        with Index.open(each) as index:
            parts.append(_arrays(index))
    exact, sketches, keys, keyed, grams = (np.concatenate(column) for column in zip(*parts, strict=True))
    exact, first = np.unique(exact, return_index=True)
    _write(path, exact, sketches[first], keys[first], keyed[first], np.unique(grams))


def _rare(grams: numpy.ndarray, owners: numpy.ndarray) -> numpy.ndarray:
    """Give each gram that at most RARE bios hold, sorted."""
    import numpy as np

    hashes = grams >> np.uint64(prints.SIDE_BITS)
    order = np.lexsort((owners, hashes))
    hashes, owners = hashes[order], owners[order]
    new = np.concatenate(([True], hashes[1:] != hashes[:-1]))[: len(hashes)]
    another = new | np.concatenate(([True], owners[1:] != owners[:-1]))[: len(hashes)]
    which = np.cumsum(new) - 1
    holders = np.bincount(which, weights=another)
    return np.unique(grams[order[holders[which] <= RARE]]) if len(grams) else grams


def _write(
    path: Path,
    exact: numpy.ndarray,
    sketches: numpy.ndarray,
    keys: numpy.ndarray,
    keyed: numpy.ndarray,
    grams: numpy.ndarray,
) -> None:
    import numpy as np

    if len(exact) >= _MOST:
        raise CorpusError(f"an index holds at most {_MOST - 1} bios, not {len(exact)}")
    numbers = np.flatnonzero(keyed)
    starts, ids = [], []
    for table in range(TABLES):
        column = keys[numbers, table]
        starts.append(_starts(column, _BUCKETS))
        ids.append(_last_bytes(numbers[np.argsort(column, kind="stable")], 3))
    gram_starts = _starts(grams >> np.uint64(_REST), _GRAM_BUCKETS)
    body = [exact.astype("<u8"), sketches, *starts, gram_starts, *ids, _last_bytes(grams, _GRAM)]
    crc = 0
    for array in body:
        crc = zlib.crc32(np.ascontiguousarray(array).data, crc)
    head = _HEAD.pack(MAGIC, FORMAT, len(exact), len(numbers), len(grams), crc)
    _replace(path, [head.ljust(_START, b"\0"), *(np.ascontiguousarray(array).data for array in body)])


def _starts(buckets: numpy.ndarray, count: int) -> numpy.ndarray:
    """Give where each bucket begins, and where the last one ends."""
    import numpy as np

    sizes = np.bincount(buckets.astype(np.int64), minlength=count)
    return np.concatenate(([0], np.cumsum(sizes))).astype("<u4")


def _last_bytes(numbers: numpy.ndarray, count: int) -> numpy.ndarray:
    """Keep the lowest `count` bytes of each number, as rows of bytes, the highest first."""
    return numbers.astype(">u8").view("u1").reshape(-1, 8)[:, 8 - count :]


def _arrays(index: Index) -> tuple[numpy.ndarray, ...]:
    """Read an index back as the arrays that `_write` takes."""
    import numpy as np

    memory, bios, keyed_count = index._memory, index.bios, index._keyed
    exact = np.array(index._exact, dtype=np.uint64)
    sketches = np.frombuffer(memory[index._sketch_at : index._sketch_at + _SKETCH * bios], dtype=np.uint8)
    keys, keyed = np.zeros((bios, TABLES), dtype=np.uint16), np.zeros(bios, dtype=bool)
    starts = np.array(index._key_starts, dtype=np.int64).reshape(TABLES, _BUCKETS + 1)
    for table in range(TABLES):
        begin = index._ids_at + 3 * table * keyed_count
        ids = _numbers(memory[begin : begin + 3 * keyed_count], 3).astype(np.int64)
        keys[ids, table] = np.repeat(np.arange(_BUCKETS), np.diff(starts[table]))
        keyed[ids] = True
    gram_starts = np.array(index._gram_starts, dtype=np.int64)
    rests = _numbers(memory[index._grams_at :], _GRAM)
    upper = np.repeat(np.arange(_GRAM_BUCKETS, dtype=np.uint64), np.diff(gram_starts))
    return exact, sketches.reshape(-1, _SKETCH), keys, keyed, upper << np.uint64(_REST) | rests


def _numbers(rows: bytes, count: int) -> numpy.ndarray:
    """Read back what `_last_bytes` wrote."""
    import numpy as np

    wide = np.zeros((len(rows) // count, 8), dtype=np.uint8)
    wide[:, 8 - count :] = np.frombuffer(rows, dtype=np.uint8).reshape(-1, count)
    return wide.view(">u8").ravel().astype(np.uint64)


# -- the file ----------------------------------------------------------------------------------------


def _sizes(bios: int, keyed: int, grams: int) -> tuple[int, ...]:
    """Give the bytes of each part: hashes, sketches, starts of keys and of grams, numbers, grams."""
    starts = 4 * TABLES * (_BUCKETS + 1), 4 * (_GRAM_BUCKETS + 1)
    return 8 * bios, _SKETCH * bios, *starts, 3 * TABLES * keyed, _GRAM * grams


def _replace(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write a file in one step: a reader sees the old one or the new one."""
    fresh = path.with_name(path.name + ".new")
    try:
        with fresh.open("wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise CorpusError(f"cannot write {path}: {error.strerror}") from None


def _problem(memory: mmap.mmap) -> str | None:
    if len(memory) < _START or memory[: len(MAGIC)] != MAGIC:
        return "is no index of biobot's"
    _, version, bios, keyed, grams, crc = _HEAD.unpack_from(memory)
    if version != FORMAT:
        return f"has format {version}, and this biobot reads format {FORMAT}"
    size = _START + sum(_sizes(bios, keyed, grams))
    if len(memory) != size:
        return f"is cut short or damaged ({len(memory)} bytes, not {size})"
    with memoryview(memory) as view, view[_START:] as body:
        return None if zlib.crc32(body) == crc else "is damaged (its checksum does not fit)"
