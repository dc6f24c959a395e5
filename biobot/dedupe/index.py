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
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate, islice
from pathlib import Path

import numpy as np

from biobot.candidate import Layer, Match, Source
from biobot.dedupe import fingerprint
from biobot.dedupe.fingerprint import (
    CONTEXT_BITS,
    MAX_LENGTH,
    MINHASH_SLOTS,
    NGRAM_BITS,
    POSITION_BITS,
    SHORT,
    SHORT_NGRAM_BITS,
    Array,
    Fingerprint,
    StoredFingerprints,
)
from biobot.errors import CorpusError
from biobot.storage import atomic_write

FORMAT = 3
RARE = 3
"""An n-gram that more texts than this hold is a common phrase, and no copy."""
RARE_SHORT = 1
"""So is a short n-gram that more short texts hold than this."""
FEW = 2
"""A run is verbatim if at most this many texts contain one of its n-grams."""
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
_PARTS = 32
"""How many times an index is written some of: each part is small enough to be sorted in memory."""
_ROW_BYTES = 5
_ROW_BITS = 8 * _ROW_BYTES
_NUMBER_BITS = 24
_KEY_BITS = 55
_MANY = 1 << CONTEXT_BITS
_NONE = np.zeros(0, dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class Table:
    """Hashes of `bits` bits, each with what belongs to it: ascending values of 56 bits, of which 40 are stored.

    `rows` uint8 (k, 5), big-endian; `begins` uint32 (65537): the rows of values that begin with the 16 bits i are
    those from begins[i] to begins[i + 1].
    """

    bits: int
    begins: Array
    rows: Array

    @classmethod
    def of(cls, values: Array, bits: int) -> Table:
        """Return the table of ascending values."""
        return cls(bits, _begins(_sizes(values)), _rows(values))

    def find(self, hashes: Array) -> tuple[Array, Array, Array]:
        """Return, for each row with one of these hashes, the place of the hash, the row's number and its value."""
        tail = self.bits - 16
        which, numbers = self._in_buckets((hashes >> tail).astype(np.int64))
        rows = _numbers(self.rows[numbers])
        found = np.flatnonzero(rows >> (_ROW_BITS - tail) == (hashes & ((1 << tail) - 1))[which])
        return which[found], numbers[found], rows[found] & ((1 << _ROW_BITS - tail) - 1)

    def read(self, buckets: Array) -> tuple[Array, Array]:
        """Return the rows in these buckets: their numbers and values."""
        which, numbers = self._in_buckets(buckets)
        return numbers, buckets[which].astype(np.uint64) << _ROW_BITS | _numbers(self.rows[numbers])

    def _in_buckets(self, buckets: Array) -> tuple[Array, Array]:
        """Return of each row in these buckets which one it is in, and the row's number."""
        begins = self.begins[buckets].astype(np.int64)
        counts = self.begins[buckets + 1] - begins
        which = np.repeat(np.arange(len(buckets)), counts)
        return which, np.arange(len(which)) + np.repeat(begins - np.cumsum(counts) + counts, counts)


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
            return _map(path, check=True)
        except OSError as error:
            raise CorpusError(f"cannot read the index {path}: {error.strerror}") from None
        except ValueError as error:
            raise CorpusError(f"the index {path} {error}; copy it again with its model, or train anew") from None

    @classmethod
    def of(cls, stored: StoredFingerprints, ids: Array | None = None, digests: Array | None = None) -> Index:
        """Return the index of a bot's own texts, with their `ids`, int64 (n), and `digests`, uint64 (n), or zeros."""
        order = np.lexsort((stored.exact, stored.lengths))
        numbers, zeros = np.argsort(order), np.zeros(len(order), dtype=np.int64)
        begins = np.searchsorted(stored.lengths[order], np.arange(MAX_LENGTH + 2)).astype("<u4")
        short = _with_number(
            stored.short_ngrams >> POSITION_BITS << _NUMBER_BITS + POSITION_BITS
            | stored.short_ngrams & ((1 << POSITION_BITS) - 1),
            numbers[stored.short_owners],
        )
        ngrams = stored.ngrams >> CONTEXT_BITS << CONTEXT_BITS + 1 | stored.ngrams & (_MANY - 1)
        by_value = np.argsort(ngrams)
        return cls(
            begins,
            stored.exact[order],
            stored.sketches[order],
            stored.char_bits[order][: begins[SHORT]],
            Table.of(np.sort(short), SHORT_NGRAM_BITS),
            Table.of(ngrams[by_value], NGRAM_BITS),
            (zeros if ids is None else ids)[order],
            (zeros.astype(np.uint64) if digests is None else digests)[order],
            numbers[stored.owners][by_value].astype("<u4"),
        )

    def save(self, path: Path) -> None:
        """Write the index to a file; raise CorpusError if it cannot be."""
        short, ngrams = self.short_ngrams, self.ngrams
        sections = [self.begins, self.exact, self.sketches, self.char_bits, short.begins, short.rows]
        sections += [ngrams.begins, ngrams.rows, self.ids, self.digests, self.owners]
        with _told(path):
            _write(path, ([section] for section in sections))

    def lengths(self, numbers: Array | int) -> Array:
        """Return the lengths of the texts with these numbers."""
        return np.searchsorted(self.begins, numbers, "right") - 1

    def keys(self) -> Array:
        """Return what tells texts apart and sorts them: uint64 (n), the length above the upper bits of the hash."""
        lengths = self.lengths(np.arange(len(self.exact))).astype(np.uint64)
        return lengths << _KEY_BITS | self.exact >> (64 - _KEY_BITS)

    def matches(self, text: str) -> tuple[Match, ...]:
        """Return every resemblance of `text` to the training set, the strongest of each layer."""
        return self.look_up(fingerprint.compute(text), "learnt")

    def verbatim(self, text: str) -> tuple[bool, int]:
        """Return whether `text` was learnt, and how long the longest run in it is that at most FEW texts hold."""
        mark = fingerprint.compute(text)
        return self._holds(mark, None), self._longest_run(mark, FEW, None)

    def look_up(self, mark: Fingerprint, source: Source, among: Array | None = None) -> tuple[Match, ...]:
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

    def _holds(self, mark: Fingerprint, among: Array | None) -> bool:
        begin, end = self._range(mark.length, mark.length)
        first, last = (begin + np.searchsorted(self.exact[begin:end], mark.exact, side) for side in ("left", "right"))
        return bool(first < last if among is None else among[first:last].any())

    def _similarity(self, mark: Fingerprint, among: Array | None) -> float:
        """Return the greatest similarity to a text of like length.

        The sketches estimate the share of equal 3-grams, roughly where these are few; so between short texts edits are
        counted, too, and the similarity is no greater than that many would leave.
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

    def _longest_run(self, mark: Fingerprint, most: int, among: Array | None) -> int:
        """Return the length of the longest run that at most `most` texts contain: FEW or RARE."""
        at, rows, rest = self.ngrams.find(mark.ngrams)
        chosen = rest < (_MANY if most == FEW else 2 * _MANY)
        if among is not None:
            chosen &= among[self.owners[rows]]
        return fingerprint.longest_run(mark, at[chosen], rest[chosen] & (_MANY - 1))

    def _longest_half(self, mark: Fingerprint, among: Array | None) -> int:
        """Return the length of the longest run that is HALF of a short text, or more."""
        at, _, rest = self.short_ngrams.find(mark.short_ngrams)
        if among is not None:
            chosen = among[_number(rest)]
            at, rest = at[chosen], rest[chosen]
        if not len(at):
            return 0
        positions = (rest & ((1 << POSITION_BITS) - 1)).astype(np.int64)
        lengths = self.lengths(_number(rest))
        runs = fingerprint.short_runs(mark, at, self.char_bits[_number(rest)], lengths, positions)
        return int(runs[runs >= HALF * lengths].max(initial=0))


# -- building ----------------------------------------------------------------------------------------


def build(texts: Iterable[str], path: Path, base: Path | None = None, chunk: int = 10_000) -> None:
    """Write the index of a training set, and of all that the index at `base` holds: an n-gram that is rare there stays.

    Memory stays small: indexes of `chunk` texts each are merged on disk. Raises CorpusError if it cannot be written.
    """
    left, indexes = iter(texts), list[Path]()
    with _told(path), tempfile.TemporaryDirectory(prefix=".index-", dir=path.parent) as folder:
        if base is not None:
            indexes.append(Path(folder) / "base")
            Index.open(base).save(indexes[0])
        while some := list(islice(left, chunk)):
            indexes.append(Path(folder) / str(len(indexes)))
            Index.of(fingerprint.compute_batch(some)).save(indexes[-1])
        _merge(indexes, path, Path(folder))


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CorpusError(f"cannot write {path}: {error.strerror}") from None


def _merge(indexes: Sequence[Path], path: Path, folder: Path) -> None:
    """Write an index of all that indexes hold, part by part; each is mapped only while something is read from it."""
    sources = [(each, _map(each).keys()) for each in indexes]
    every = fingerprint.distinct(np.concatenate([_NONE, *(keys for _, keys in sources)]))  # a copy counts once
    if len(every) > MAX_TEXTS:
        raise CorpusError(f"an index holds at most {MAX_TEXTS:,} texts, not {len(every):,}")
    begins = np.searchsorted(every >> _KEY_BITS, np.arange(MAX_LENGTH + 2)).astype("<u4")

    def column(name: str, texts: Array) -> Iterator[Array]:
        for some in (each for each in np.array_split(texts, _PARTS) if len(each)):
            first, last = some[0], some[-1]
            ranges = [(each, keys, slice(*np.searchsorted(keys, (first, last + 1)))) for each, keys in sources]
            _, places = np.unique(np.concatenate([keys[at] for _, keys, at in ranges]), return_index=True)
            yield np.concatenate([getattr(_map(each), name)[at] for each, _, at in ranges])[places]

    def short_ngrams(buckets: Array) -> Array:
        found = [(_map(each).short_ngrams.read(buckets)[1], keys) for each, keys in sources]
        values = np.concatenate([_NONE, *(values for values, _ in found)])
        owners = np.concatenate([_NONE, *(keys[_number(values)] for values, keys in found)])
        rare = _count_owners(values >> _NUMBER_BITS + POSITION_BITS, owners) <= RARE_SHORT
        return _with_number(values, np.searchsorted(every, owners))[rare]

    def ngrams(buckets: Array) -> Array:
        values, owners = [_NONE], [_NONE]
        for each, keys in sources:
            index = _map(each)
            rows, found = index.ngrams.read(buckets)
            if len(index.owners):
                values, owners = [*values, found], [*owners, keys[index.owners[rows]]]
            for owner in range(0 if len(index.owners) else RARE):  # not known, but whether FEW or more there were
                values.append(found if owner == 0 else found[found & _MANY > 0])
                owners.append(np.full(len(values[-1]), owner, dtype=np.uint64))
        every_value = np.concatenate(values)
        count = _count_owners(every_value >> CONTEXT_BITS + 1, np.concatenate(owners))
        return (every_value & ~np.uint64(_MANY) | (count > FEW).astype(np.uint64) << CONTEXT_BITS)[count <= RARE]

    short = _spool(folder / "short", (_map(each).short_ngrams for each in indexes), short_ngrams)
    long = _spool(folder / "long", (_map(each).ngrams for each in indexes), ngrams)
    char_bits = column("char_bits", every[: begins[SHORT]])
    own = [[_NONE]] * 3
    _write(path, [[begins], column("exact", every), column("sketches", every), char_bits, *short, *long, *own])


def _spool(
    path: Path, tables: Iterable[Table], values: Callable[[Array], Array]
) -> tuple[list[Array], Iterator[Array]]:
    """Write the table of all these, some buckets at a time; return where its buckets begin, and its rows."""
    begins = sum((each.begins.astype(np.int64) for each in tables), np.zeros(_BUCKETS + 1, dtype=np.int64))
    bounds = np.searchsorted(begins[:-1], np.arange(1, _PARTS) * (begins[-1] // _PARTS))
    sizes = np.zeros(_BUCKETS, dtype=np.int64)
    with path.open("wb") as file:
        for buckets in np.split(np.arange(_BUCKETS), bounds):
            some = fingerprint.distinct(values(buckets))
            sizes += _sizes(some)
            file.write(_rows(some).tobytes())
    blocks = range(0, path.stat().st_size, 1 << 20)
    return [_begins(sizes)], (np.fromfile(path, np.uint8, 1 << 20, offset=at) for at in blocks)


def _count_owners(hashes: Array, owners: Array) -> Array:
    """Return how many owners each hash has in all."""
    order = np.lexsort((owners, hashes))
    hashes, owners = hashes[order], owners[order]
    new = np.append(True, hashes[1:] != hashes[:-1])[: len(hashes)]
    another = new | np.append(True, owners[1:] != owners[:-1])[: len(hashes)]
    which = np.cumsum(new) - 1
    counts = np.empty(len(hashes), dtype=np.int64)
    counts[order] = np.bincount(which, weights=another)[which]
    return counts


def _number(values: Array) -> Array:
    """Return the number of the text that each value of a short n-gram holds."""
    return values >> POSITION_BITS & MAX_TEXTS


def _with_number(values: Array, numbers: Array) -> Array:
    """Return values of short n-grams with their numbers replaced by these."""
    return values & ~np.uint64(MAX_TEXTS << POSITION_BITS) | numbers.astype(np.uint64) << POSITION_BITS


def _sizes(values: Array) -> Array:
    return np.bincount((values >> _ROW_BITS).astype(np.int64), minlength=_BUCKETS)


def _begins(sizes: Array) -> Array:
    return np.append(0, np.cumsum(sizes)).astype("<u4")


def _rows(values: Array) -> Array:
    return values.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 8 - _ROW_BYTES :]


def _numbers(rows: Array) -> Array:
    wide = np.zeros((len(rows), 8), dtype=np.uint8)
    wide[:, 8 - _ROW_BYTES :] = rows
    return wide.view(">u8").ravel().astype(np.uint64)


# -- the file ----------------------------------------------------------------------------------------


def _write(path: Path, sections: Iterable[Iterable[Array]]) -> None:
    """Write an index section by section, then its header."""
    crc, sizes = 0, list[int]()
    with atomic_write(path) as file:
        file.write(bytes(_START))
        for section in sections:
            begin = file.tell()
            for array in section:
                crc = zlib.crc32(raw := array.tobytes(), crc)
                file.write(raw)
            sizes.append(file.tell() - begin)
        _, exact, _, char_bits, _, short_rows, _, rows, ids, *_ = sizes
        file.seek(0)
        counts = exact // 8, char_bits // 8, short_rows // _ROW_BYTES, rows // _ROW_BYTES
        file.write(_HEAD.pack(_MAGIC, FORMAT, *counts, crc, ids // 8))


def _map(path: Path, *, check: bool = False) -> Index:
    """Map an index; with `check`, ValueError says what is wrong with it."""
    memory = np.memmap(path, np.uint8, "r").view(np.ndarray)
    if len(memory) < _START or memory[: len(_MAGIC)].tobytes() != _MAGIC:
        raise ValueError("is not one of biobot's")
    _, version, texts, short, short_rows, rows, crc, ids = _HEAD.unpack_from(memory.data)
    if version not in (2, FORMAT):
        raise ValueError(f"has format {version}, and this biobot reads format {FORMAT}")
    begins, sketches = 4 * (_BUCKETS + 1), MINHASH_SLOTS // 8 * (texts if version == FORMAT else (texts + 7) // 8 * 8)
    sizes = [4 * (MAX_LENGTH + 2), 8 * texts, sketches, 8 * short, begins, _ROW_BYTES * short_rows]
    sizes += [begins, _ROW_BYTES * rows, 8 * ids, 8 * ids, 4 * rows * bool(ids)]
    ends = list(accumulate(sizes, initial=_START))
    if len(memory) != ends[-1]:
        raise ValueError(f"is cut short or damaged ({len(memory)} bytes, not {ends[-1]})")
    kinds = ("<u4", "<u8", "u1", "<u8", "<u4", "u1", "<u4", "u1", "<i8", "<u8", "<u4")
    parts = [memory[begin:end].view(kind) for kind, begin, end in zip(kinds, ends, ends[1:], strict=False)]
    if check:
        if zlib.crc32(memory[_START:].data) != crc:
            raise ValueError("is damaged (its checksum does not match)")
        counts = (parts[0], texts), (parts[0][: SHORT + 1], short), (parts[4], short_rows), (parts[6], rows)
        for each, count in counts:
            if each[0] != 0 or each[-1] != count or (each[1:] < each[:-1]).any() or ids not in (0, texts):
                raise ValueError("is damaged (its parts do not fit together)")
    short_ngrams = Table(SHORT_NGRAM_BITS, parts[4], parts[5].reshape(-1, _ROW_BYTES))
    ngrams = Table(NGRAM_BITS, parts[6], parts[7].reshape(-1, _ROW_BYTES))
    by_text = parts[2].reshape(-1, 32) if version == FORMAT else _turned(parts[2].reshape(MINHASH_SLOTS, -1))[:texts]
    return Index(parts[0], parts[1], by_text, parts[3], short_ngrams, ngrams, *parts[8:])


def _turned(columns: Array) -> Array:
    """Return text by text the sketches that format 2 has bit by bit."""
    return np.concatenate(
        [
            np.packbits(np.unpackbits(some, axis=1, bitorder="little").T, axis=1)
            for some in np.array_split(columns, _PARTS, axis=1)
        ]
    )
