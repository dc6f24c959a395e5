"""An index of fingerprints: a training set's file that ships with its model, or a bot's own texts.

The file is built in linear time and small memory, and read through a memory map. It holds no text, yet it can confirm
a guess: whoever has a text can ask whether it is there.

Texts are numbered by length, then by hash. After a header of 64 bytes (magic, format, counts of texts, short texts,
short n-grams and n-grams, CRC-32 of the rest, count of ids) come, little-endian: where the texts of each length begin;
their 64-bit hashes; their sketches; the character bits of the short ones; the short n-grams, each with the number of
its text and its position, and the n-grams, each with a bit that says whether more than FEW texts hold it and its
context, both as a `Table`; and in the index of a bot's own texts their ids, a digest of each, and whose each n-gram is.
Format 2, still read, has the sketches bit by bit: first every text's first bit.
"""

from __future__ import annotations

import struct
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate, islice
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from biobot.candidate import Layer, Match, Source
from biobot.dedupe import fingerprint
from biobot.dedupe.fingerprint import CONTEXT_BITS, MAX_LENGTH, MINHASH_SLOTS, POSITION_BITS, SHORT, Array
from biobot.errors import CorpusError
from biobot.storage import atomic_write

FORMAT = 3
RARE = 3
"""An n-gram that more texts than this hold is a common phrase, and no copy."""
RARE_SHORT = 1
"""So is a short n-gram that more short texts hold than this."""
FEW = 2
"""An n-gram that at most so many texts hold makes a run verbatim."""
LENGTH_REACH = 5
"""How many characters longer or shorter a near copy may be, at most a sixth of the text: more are rare in 6 edits."""
CLOSEST = 100
"""How many of the most similar sketches are looked at: of texts after one pattern there may be thousands."""
MIN_SIMILARITY = 0.35
"""Below this similarity thousands of texts match by chance."""
HALF = 0.47
"""The share of a short text from which on a run is reported."""
MAX_TEXTS = (1 << 24) - 1

_MAGIC = b"BIOSEEN\n"
_HEAD = struct.Struct("<8sIQQQQIQ")
_START = 64
_BUCKETS = 1 << 16
_ROW_BYTES = 5
_ROW_BITS = 8 * _ROW_BYTES
_NUMBER_BITS = 24
_CONTEXT = (1 << CONTEXT_BITS) - 1
_POSITION = (1 << POSITION_BITS) - 1
_PARTS_BITS = 6
_BLOCK = 1 << 15
_NONE = np.zeros(0, dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class Table:
    """Hashes of `bits` bits, each with what belongs to it, as ascending rows of 40 bits below the hash's upper 16.

    `rows` uint8 (k, 5), big-endian; `begins` uint32 (65537): the rows of hashes that begin with the 16 bits i are
    those from begins[i] to begins[i + 1].
    """

    bits: int
    begins: Array
    rows: Array

    @classmethod
    def of(cls, values: Array, bits: int) -> Table:
        """Return the table of ascending 56-bit values, a hash each and what belongs to it."""
        return cls(bits, _begins(np.bincount(_buckets(values), minlength=_BUCKETS)), _rows(values))

    def find(self, hashes: Array) -> tuple[Array, Array, Array]:
        """Return, for each row with one of these hashes, the place of the hash, the row's number and its value."""
        tail = self.bits - 16
        bucket = (hashes >> tail).astype(np.int64)
        begins = self.begins[bucket].astype(np.int64)
        counts = self.begins[bucket + 1] - begins
        which = np.repeat(np.arange(len(hashes)), counts)
        numbers = np.arange(len(which)) + np.repeat(begins - np.cumsum(counts) + counts, counts)
        rows = _numbers(self.rows[numbers])
        found = np.flatnonzero(rows >> (_ROW_BITS - tail) == (hashes & ((1 << tail) - 1))[which])
        return which[found], numbers[found], rows[found] & ((1 << _ROW_BITS - tail) - 1)

    def values(self) -> Iterator[Array]:
        """Yield all values, block by block."""
        for first in range(0, len(self.rows), _BLOCK):
            rows = _numbers(self.rows[first : first + _BLOCK])
            buckets = np.searchsorted(self.begins, np.arange(first, first + len(rows)), "right") - 1
            yield buckets.astype(np.uint64) << _ROW_BITS | rows


@dataclass(frozen=True, slots=True)
class Index:
    """Fingerprints, ready to be asked for a text; the top of this module says what the arrays hold."""

    begins: Array
    exact: Array
    sketches: Array
    char_bits: Array
    short_ngrams: Table
    ngrams: Table
    ids: Array = field(default_factory=_NONE.copy)
    digests: Array = field(default_factory=_NONE.copy)
    owners: Array = field(default_factory=_NONE.copy)

    @classmethod
    def open(cls, path: Path) -> Index:
        """Map an index; raise CorpusError if it is missing, cut short, damaged, or of another format."""
        try:
            return _read(np.memmap(path, np.uint8, "r").view(np.ndarray))
        except OSError as error:
            raise CorpusError(f"cannot read the index {path}: {error.strerror}") from None
        except ValueError as error:
            raise CorpusError(f"the index {path} {error}; copy it again with its model, or train anew") from None

    @classmethod
    def of(cls, stored: fingerprint.StoredFingerprints, ids: Array = _NONE, digests: Array = _NONE) -> Index:
        """Return the index of a bot's own texts: `ids` int64 and `digests` uint64, each (n), are kept with them."""
        order = np.lexsort((stored.exact, stored.lengths))
        numbers = np.argsort(order)
        begins = np.searchsorted(stored.lengths[order], np.arange(MAX_LENGTH + 2)).astype("<u4")
        short = _short_values(stored.short_ngrams, numbers[stored.short_owners])
        ngrams = _ngram_values(stored.ngrams, np.zeros(len(stored.ngrams), dtype=bool))
        ngram_order = np.argsort(ngrams)
        return cls(
            begins,
            stored.exact[order],
            stored.sketches[order],
            stored.char_bits[order][: begins[SHORT]],
            Table.of(np.sort(short), fingerprint.SHORT_NGRAM_BITS),
            Table.of(ngrams[ngram_order], fingerprint.NGRAM_BITS),
            ids[order] if len(ids) else ids,
            digests[order] if len(ids) else digests,
            numbers[stored.owners][ngram_order].astype("<u4"),
        )

    def save(self, path: Path) -> None:
        """Write the index of a bot's own texts; raise CorpusError if it cannot be."""
        short, ngrams = self.short_ngrams, self.ngrams
        arrays = (self.begins, self.exact, self.sketches, self.char_bits, short.begins, short.rows, ngrams.begins)
        own = (ngrams.rows, self.ids, self.digests, self.owners)
        counts = (len(self.exact), len(self.char_bits), len(short.rows), len(ngrams.rows), len(self.ids))
        with _told(path):
            _write(path, counts, ([array] for array in (*arrays, *own)))

    def lengths(self, numbers: Array | int) -> Array:
        """Return the lengths of the texts with these numbers."""
        return np.searchsorted(self.begins, numbers, "right") - 1

    def matches(self, text: str) -> tuple[Match, ...]:
        """Return every resemblance of `text` to the training set, the strongest of each layer."""
        return self.look_up(fingerprint.compute(text), "learnt")

    def verbatim(self, text: str) -> tuple[bool, int]:
        """Return whether `text` is in the training set, and its longest run that at most FEW texts contain."""
        mark = fingerprint.compute(text)
        return self._holds(mark, None), self._longest_run(mark, FEW, None)

    def look_up(self, mark: fingerprint.Fingerprint, source: Source, among: Array | None = None) -> tuple[Match, ...]:
        """Return the strongest resemblance of each layer to a text; `among`, bool (n), says which texts count."""
        amounts: dict[Layer, float] = {
            "exact": float(self._holds(mark, among)),
            "near": self._similarity(mark, among),
            "copied": max(self._longest_run(mark, RARE, among), self._longest_half(mark, among)),
        }
        return tuple(Match(source, layer, amount) for layer, amount in amounts.items() if amount)

    def _range(self, shortest: int, longest: int) -> tuple[int, int]:
        """Return the range of numbers of the texts of these lengths."""
        return int(self.begins[min(shortest, MAX_LENGTH)]), int(self.begins[min(longest, MAX_LENGTH) + 1])

    def _holds(self, mark: fingerprint.Fingerprint, among: Array | None) -> bool:
        begin, end = self._range(mark.length, mark.length)
        first, last = (begin + np.searchsorted(self.exact[begin:end], mark.exact, side) for side in ("left", "right"))
        return bool(first < last if among is None else among[first:last].any())

    def _similarity(self, mark: fingerprint.Fingerprint, among: Array | None) -> float:
        """Return the greatest similarity to a text of like length.

        The sketches estimate the share of equal 3-grams, roughly where these are few; so between short texts edits are
        counted, too, and the similarity is no greater than so many would leave.
        """
        reach = min(LENGTH_REACH, mark.length // 6)
        begin, end = self._range(mark.length - reach, mark.length + reach)
        if mark.sketch is None or begin == end:
            return 0.0
        words = fingerprint.compared_words(mark.length)
        unequal = np.bitwise_count(self.sketches[begin:end].view(np.uint64)[:, :words] ^ mark.sketch[:words])
        similarity = 1 - unequal.sum(axis=1) / (32 * words)
        close = np.flatnonzero(similarity >= MIN_SIMILARITY)
        close = close if among is None else close[among[begin + close]]
        close = close[np.argsort(-similarity[close], kind="stable")[:CLOSEST]]
        bits = int.from_bytes(np.packbits(mark.char_bits, bitorder="little").tobytes(), "little")
        best = 0.0
        for number, share in zip((begin + close).tolist(), similarity[close].tolist(), strict=True):
            if share <= best:
                break
            most = share
            if mark.length < SHORT and number < len(self.char_bits):
                length = int(self.lengths(number))
                edits = fingerprint.count_edits(bits, mark.length, int(self.char_bits[number]), length)
                most = min(share, fingerprint.similarity_after(edits, mark.length))
            best = max(best, most)
        return best

    def _longest_run(self, mark: fingerprint.Fingerprint, most: int, among: Array | None) -> int:
        """Return the length of the longest run that at most so many texts hold: FEW or RARE."""
        at, rows, rest = self.ngrams.find(mark.ngrams)
        if most == FEW:
            at, rest = at[rest <= _CONTEXT], rest[rest <= _CONTEXT]
        if among is not None:
            chosen = among[self.owners[rows]]
            at, rest = at[chosen], rest[chosen]
        return fingerprint.longest_run(mark, at, rest & _CONTEXT)

    def _longest_half(self, mark: fingerprint.Fingerprint, among: Array | None) -> int:
        """Return the length of the longest run that is HALF of a short text, or more."""
        at, _, rest = self.short_ngrams.find(mark.short_ngrams)
        if among is not None:
            chosen = among[rest >> POSITION_BITS]
            at, rest = at[chosen], rest[chosen]
        if not len(at):
            return 0
        numbers, positions = rest >> POSITION_BITS, (rest & _POSITION).astype(np.int64)
        lengths = self.lengths(numbers)
        runs = fingerprint.short_runs(mark, at, self.char_bits[numbers], lengths, positions)
        return int(runs[runs >= HALF * lengths].max(initial=0))


# -- building ----------------------------------------------------------------------------------------


def build(texts: Iterable[str], path: Path, chunk: int = 10_000) -> None:
    """Write the index of a training set, sorting on disk: memory stays small; raise CorpusError if it cannot be."""
    left = iter(texts)
    with _spilling(path) as spill:
        while some := list(islice(left, chunk)):
            spill.add(fingerprint.compute_batch(some))


def merge(paths: Sequence[Path], path: Path) -> None:
    """Write the index of all that the indexes at `paths` hold; an n-gram that is rare in one of them stays."""
    with _spilling(path) as spill:
        for each in paths:
            spill.take(Index.open(each))


@contextmanager
def _spilling(path: Path) -> Iterator[_Spill]:
    with _told(path), tempfile.TemporaryDirectory(prefix=".index-", dir=path.parent) as folder:
        spill = _Spill(Path(folder))
        yield spill
        spill.write(path)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CorpusError(f"cannot write {path}: {error.strerror}") from None


class _Spill:
    """Fingerprints on their way to an index: on disk, in parts small enough to be sorted in memory."""

    def __init__(self, folder: Path) -> None:
        ngram = [("value", "<u8"), ("owner", "<u8")]
        self._folder = folder
        self._texts = _Parts(folder / "texts", [("exact", "<u8"), ("char_bits", "<u8"), ("sketch", "u1", (32,))])
        self._short, self._ngrams = _Parts(folder / "short", ngram), _Parts(folder / "ngrams", ngram)

    def add(self, stored: fingerprint.StoredFingerprints) -> None:
        """Take some texts' fingerprints."""
        owners = _order(stored.lengths, stored.exact)
        self._texts.add(stored.lengths, exact=stored.exact, char_bits=stored.char_bits, sketch=stored.sketches)
        self._add_short(stored.short_ngrams, owners[stored.short_owners])
        self._add_ngrams(stored.ngrams, owners[stored.owners])

    def take(self, index: Index) -> None:
        """Take all that an index holds."""
        lengths, char_bits = index.lengths(np.arange(len(index.exact))), np.zeros(len(index.exact), dtype=np.uint64)
        char_bits[: len(index.char_bits)] = index.char_bits
        for first in range(0, len(lengths), _BLOCK):
            exact, bits, rows = (each[first : first + _BLOCK] for each in (index.exact, char_bits, index.sketches))
            self._texts.add(lengths[first : first + _BLOCK], exact=exact, char_bits=bits, sketch=rows)
        owners = _order(lengths, index.exact)
        for values in index.short_ngrams.values():
            head, position = values >> _NUMBER_BITS + POSITION_BITS << POSITION_BITS, values & _POSITION
            self._add_short(head | position, owners[values >> POSITION_BITS & MAX_TEXTS])
        for values in index.ngrams.values():
            ngrams = values >> CONTEXT_BITS + 1 << CONTEXT_BITS | values & _CONTEXT
            for owner in range(RARE):  # whose it was is not known any more, but whether FEW or more had it
                some = ngrams if owner == 0 else ngrams[values >> CONTEXT_BITS & 1 == 1]
                self._add_ngrams(some, np.full(len(some), owner))

    def _add_short(self, values: Array, owners: Array) -> None:
        bits = fingerprint.SHORT_NGRAM_BITS + POSITION_BITS
        self._short.add(values >> bits - _PARTS_BITS, value=values, owner=owners)

    def _add_ngrams(self, values: Array, owners: Array) -> None:
        self._ngrams.add(values >> fingerprint.NGRAM_BITS + CONTEXT_BITS - _PARTS_BITS, value=values, owner=owners)

    def write(self, path: Path) -> None:
        """Write the index of all that was taken."""
        sizes, short = np.zeros(MAX_LENGTH + 1, dtype=np.int64), [_NONE]
        for length, exact in self._column("exact"):
            sizes[length] = len(exact)
            if length < SHORT:
                short.append(_order(np.full(len(exact), length), exact))
        if sizes.sum() > MAX_TEXTS:
            raise CorpusError(f"an index holds at most {MAX_TEXTS:,} texts, not {sizes.sum():,}")
        order = np.concatenate(short)
        tables = (
            self._table("short_rows", (_rare_short(part, order) for _, part in self._short)),
            self._table("rows", (_rare_ngrams(part) for _, part in self._ngrams)),
        )
        (short_begins, short_rows), (begins, rows) = tables
        columns = [(each for _, each in self._column(name)) for name in ("exact", "sketch")]
        char_bits = (each for length, each in self._column("char_bits") if length < SHORT)
        sections = ([_begins(sizes)], *columns, char_bits, [short_begins], _blocks(short_rows), [begins], _blocks(rows))
        _write(path, (int(sizes.sum()), len(order), int(short_begins[-1]), int(begins[-1]), 0), sections)

    def _column(self, name: str) -> Iterator[tuple[int, Array]]:
        for length, part in self._texts:
            _, first = np.unique(part["exact"], return_index=True)  # a text that comes twice counts once
            yield length, part[name][first]

    def _table(self, name: str, parts: Iterable[Array]) -> tuple[Array, Path]:
        sizes, path = np.zeros(_BUCKETS, dtype=np.int64), self._folder / name
        with path.open("wb") as file:
            for part in parts:
                values = np.unique(part)
                sizes += np.bincount(_buckets(values), minlength=_BUCKETS)
                file.write(_rows(values).tobytes())
        return _begins(sizes), path


class _Parts:
    """Records on disk, in a file for each part; read back part by part, in order."""

    def __init__(self, folder: Path, fields: list[Any]) -> None:
        folder.mkdir()
        self._folder, self._fields = folder, np.dtype(fields)
        self._filled: set[int] = set()

    def add(self, which: Array, **columns: Array) -> None:
        """Add records, each to the part that `which` says."""
        records, order = np.empty(len(which), dtype=self._fields), np.argsort(which, kind="stable")
        for name, column in columns.items():
            records[name] = column[order]
        parts, begins = np.unique(which[order], return_index=True)
        for part, some in zip(parts.tolist(), np.split(records, begins[1:]), strict=False):
            with (self._folder / str(part)).open("ab") as file:
                file.write(some.tobytes())
            self._filled.add(part)

    def __iter__(self) -> Iterator[tuple[int, Array]]:
        for part in sorted(self._filled):
            yield part, np.fromfile(self._folder / str(part), dtype=self._fields)


def _order(lengths: Array, exact: Array) -> Array:
    """Return numbers, uint64 (n), that ascend as the texts in an index do, and tell texts apart."""
    return lengths.astype(np.uint64) << 55 | exact >> 9


def _rare_short(part: Array, order: Array) -> Array:
    """Return the values of the short n-grams that at most RARE_SHORT texts hold; `order` are those of short texts."""
    part = part[_holders(part["value"] >> POSITION_BITS, part["owner"]) <= RARE_SHORT]
    return _short_values(part["value"], np.searchsorted(order, part["owner"]))


def _rare_ngrams(part: Array) -> Array:
    """Return the values of the n-grams that at most RARE texts hold."""
    holders = _holders(part["value"] >> CONTEXT_BITS, part["owner"])
    return _ngram_values(part["value"], holders > FEW)[holders <= RARE]


def _holders(hashes: Array, owners: Array) -> Array:
    """Return how many owners each hash has in all."""
    order = np.lexsort((owners, hashes))
    hashes, owners = hashes[order], owners[order]
    new = np.append(True, hashes[1:] != hashes[:-1])
    another = new | np.append(True, owners[1:] != owners[:-1])
    which = np.cumsum(new) - 1
    holders = np.empty(len(hashes), dtype=np.int64)
    holders[order] = np.bincount(which, weights=another)[which]
    return holders


def _short_values(short_ngrams: Array, numbers: Array) -> Array:
    head = short_ngrams >> POSITION_BITS << _NUMBER_BITS | numbers.astype(np.uint64)
    return head << POSITION_BITS | short_ngrams & _POSITION


def _ngram_values(ngrams: Array, many: Array) -> Array:
    return (ngrams >> CONTEXT_BITS << 1 | many) << CONTEXT_BITS | ngrams & _CONTEXT


def _buckets(values: Array) -> Array:
    return (values >> _ROW_BITS).astype(np.int64)


def _begins(sizes: Array) -> Array:
    return np.append(0, np.cumsum(sizes)).astype("<u4")


def _rows(values: Array) -> Array:
    return values.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 8 - _ROW_BYTES :]


def _numbers(rows: Array) -> Array:
    wide = np.zeros((len(rows), 8), dtype=np.uint8)
    wide[:, 8 - _ROW_BYTES :] = rows
    return wide.view(">u8").ravel().astype(np.uint64)


# -- the file ----------------------------------------------------------------------------------------


def _write(path: Path, counts: Sequence[int], sections: Iterable[Iterable[Array]]) -> None:
    """Write an index; the counts are those of its header: texts, short texts, short n-grams, n-grams, ids."""
    crc = 0
    with atomic_write(path) as file:
        file.write(bytes(_START))
        for section in sections:
            for array in section:
                raw = array.tobytes()
                crc = zlib.crc32(raw, crc)
                file.write(raw)
        file.seek(0)
        file.write(_HEAD.pack(_MAGIC, FORMAT, *counts[:4], crc, counts[4]))


def _blocks(path: Path) -> Iterator[Array]:
    with path.open("rb") as file:
        while len(block := np.fromfile(file, np.uint8, 1 << 20)):
            yield block


def _read(memory: Array) -> Index:
    """Return the index in a file's bytes; ValueError says what is wrong with it."""
    if len(memory) < _START or memory[: len(_MAGIC)].tobytes() != _MAGIC:
        raise ValueError("is not one of biobot's")
    _, version, texts, short, short_ngrams, ngrams, crc, ids = _HEAD.unpack_from(memory.data)
    if version not in (2, FORMAT):
        raise ValueError(f"has format {version}, and this biobot reads format {FORMAT}")
    sketches = (texts, 32) if version == FORMAT else (MINHASH_SLOTS, (texts + 7) // 8)
    shapes: list[tuple[str, tuple[int, ...]]] = [("<u4", (MAX_LENGTH + 2,)), ("<u8", (texts,)), ("u1", sketches)]
    shapes += [("<u8", (short,)), ("<u4", (_BUCKETS + 1,)), ("u1", (short_ngrams, _ROW_BYTES))]
    shapes += [("<u4", (_BUCKETS + 1,)), ("u1", (ngrams, _ROW_BYTES))]
    shapes += [("<i8", (ids,)), ("<u8", (ids,)), ("<u4", (ngrams if ids else 0,))]
    ends = list(accumulate((int(kind[-1]) * prod(shape) for kind, shape in shapes), initial=_START))
    if len(memory) != ends[-1]:
        raise ValueError(f"is cut short or damaged ({len(memory)} bytes, not {ends[-1]})")
    if zlib.crc32(memory[_START:].data) != crc:
        raise ValueError("is damaged (its checksum does not match)")
    arrays = [
        memory[begin:end].view(kind).reshape(shape)
        for (kind, shape), begin, end in zip(shapes, ends, ends[1:], strict=False)
    ]
    begins, exact, rows, char_bits, short_begins, short_rows, ngram_begins, ngram_rows, *own = arrays
    for each, count in ((begins, texts), (short_begins, short_ngrams), (ngram_begins, ngrams)):
        if (
            each[0] != 0
            or each[-1] != count
            or (each[1:] < each[:-1]).any()
            or begins[SHORT] != short
            or ids not in (0, texts)
        ):
            raise ValueError("is damaged (its parts do not fit together)")
    short_table = Table(fingerprint.SHORT_NGRAM_BITS, short_begins, short_rows)
    table = Table(fingerprint.NGRAM_BITS, ngram_begins, ngram_rows)
    return Index(
        begins, exact, rows if version == FORMAT else _turned(rows, texts), char_bits, short_table, table, *own
    )


def _turned(columns: Array, texts: int) -> Array:
    """Return the sketches of format 2, which stores them bit by bit, text by text."""
    rows = np.empty((8 * columns.shape[1], 32), dtype=np.uint8)
    for first in range(0, columns.shape[1], _BLOCK // 8):
        block = np.unpackbits(columns[:, first : first + _BLOCK // 8], axis=1, bitorder="little")
        rows[8 * first : 8 * first + block.shape[1]] = np.packbits(block.T, axis=1)
    return rows[:texts]
