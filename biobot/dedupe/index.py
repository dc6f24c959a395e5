"""What was seen before, as fingerprints: a training set's file that ships with its model, or texts in memory.

The file is written in linear time and small memory (with numpy) and read through a memory map (without). It holds
no text, yet it can confirm a guess: who has a bio can ask whether the model learnt it.

Bios are numbered by length, then by hash. Layout, little-endian but for rows of 5 bytes: a header of 64 bytes (magic,
format, bios, short bios, pieces, grams, CRC-32 of the rest); where the bios of each length begin; their 64-bit
hashes; their sketches by column, first everybody's first bit, so that all of like length are compared at once; the
lines of the short ones; and in buckets by the upper 16 bits of their hashes the rare pieces, each the other 10 bits,
the number of its bio and the place in it, and the rare grams, each the other 15 bits, a bit that tells whether more
than FEW bios hold it, and the 24 of what stood beside it.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
import zlib
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from biobot.candidate import Layer, Match, Source
from biobot.dedupe import fingerprint
from biobot.dedupe.fingerprint import LANES, LONGEST, SHORT, Kept, Print
from biobot.errors import CorpusError

if TYPE_CHECKING:
    import numpy

MAGIC = b"BIOSEEN\n"
FORMAT = 2
RARE = 3
"""A gram that more bios than this hold is a common phrase, and no theft."""
RARE_PIECE = 1
"""A piece that more short bios hold than this is likewise nobody's."""
FEW = 2
"""A gram that at most so many bios hold makes a run verbatim."""
REACH = 5
"""Characters that a near copy may be longer or shorter by, a sixth of a shorter text: more are rare after six edits."""
CLOSEST = 100
"""So many whose sketches are the most alike are looked at: of bios after one pattern there may be thousands."""
LEAST = 0.35
"""The least likeness that is told: below it are thousands by chance."""
HALF = 0.47
"""The part of a short bio from which on a run is told."""

_HEAD = struct.Struct("<8sIQQQQI")
_START = 64
_BUCKETS = 1 << 16
_PIECE_REST = fingerprint.PIECE_BITS - 16
_GRAM_REST = fingerprint.GRAM_BITS - 16
_NUMBER_BITS = 24
_MOST = 1 << _NUMBER_BITS
_ROW = 5
_ROW_BITS = 8 * _ROW
_DIFFERING = (1 - LEAST) / 2


# -- looking up --------------------------------------------------------------------------------------


class Index:
    """A training set's fingerprints, mapped from a file; a context manager."""

    def __init__(self, path: Path, memory: mmap.mmap) -> None:
        self.path = path
        self._memory = memory
        _, _, self.bios, *counts, _ = _HEAD.unpack_from(memory)
        self._width = (self.bios + 7) // 8
        view, end, parts = memoryview(memory), _START, []
        for size in _sizes(self.bios, *counts):
            parts.append((end, view[end : end + size]))
            end += size
        starts, exact, columns, lines, piece_starts, pieces, gram_starts, grams = parts
        self._starts, self._exact, self._lines = starts[1].cast("I"), exact[1].cast("Q"), lines[1].cast("Q")
        self._columns_at = columns[0]
        self._pieces = _Rows(memory, piece_starts[1].cast("I"), pieces[0])
        self._grams = _Rows(memory, gram_starts[1].cast("I"), grams[0])

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
        for view in (self._starts, self._exact, self._lines, self._pieces.starts, self._grams.starts):
            view.release()
        self._memory.close()

    def matches(self, text: str) -> tuple[Match, ...]:
        """Return every resemblance of `text` to what was learnt, the strongest of each layer."""
        return self.look_up(fingerprint.of(text))

    def look_up(self, mark: Print) -> tuple[Match, ...]:
        """Do as `matches`, for a fingerprint that was already taken."""
        return _matches(
            "learnt",
            self._knows(mark),
            _likeness(mark, self._alike(mark)),
            fingerprint.longest(mark, lambda gram: self._sides(gram, RARE)),
            _half(mark, self._places),
        )

    def verbatim(self, text: str) -> tuple[bool, int]:
        """Return whether `text` was learnt, and how long the longest run in it is that at most FEW bios hold."""
        mark = fingerprint.of(text)
        return self._knows(mark), fingerprint.longest(mark, lambda gram: self._sides(gram, FEW))

    def _knows(self, mark: Print) -> bool:
        begin, end = self._numbers(mark.length, mark.length)
        at = bisect_left(self._exact, mark.exact, begin, end)
        return at < end and self._exact[at] == mark.exact

    def _numbers(self, shortest: int, longest: int) -> tuple[int, int]:
        """Return the range of numbers of the bios of these lengths."""
        return self._starts[min(max(shortest, 0), LONGEST)], self._starts[min(longest, LONGEST) + 1]

    def _alike(self, mark: Print) -> Iterator[tuple[float, int, int]]:
        """Yield in which share the sketch of each bio that may be a near copy differs, its length and line; ascending.

        Each number below has a bit for every bio of like length; there are as many such numbers as bits in a sketch,
        and adding them up compares with all those bios at once.
        """
        reach = _reach(mark.length)
        begin, end = self._numbers(mark.length - reach, mark.length + reach)
        if begin == end or not mark.sketch:
            return
        first, last = begin // 8, (end + 7) // 8
        every = (1 << 8 * (last - first)) - 1
        memory, at, columns = self._memory, self._columns_at + first, []
        lanes = fingerprint.compared(mark.length)
        for bit in f"{mark.sketch:0{LANES}b}"[:lanes]:
            column = int.from_bytes(memory[at : at + last - first], "little")
            columns.append(column ^ every if bit == "1" else column)
            at += self._width
        planes = _added_up(columns)
        within = _at_most(planes, int(lanes * _DIFFERING), every) & (((1 << end - begin) - 1) << (begin - 8 * first))
        for differing, place in _ascending(planes, within):
            number = place + 8 * first
            length = bisect_right(self._starts, number) - 1
            yield differing / lanes, length, self._lines[number] if length < SHORT else 0

    def _sketches(self, first: int, count: int) -> numpy.ndarray:
        """Return the sketches of the bios from number `first` (a multiple of 8) on, a row each."""
        import numpy as np

        begins = range(self._columns_at + first // 8, self._columns_at + LANES * self._width, self._width)
        columns = b"".join(self._memory[begin : begin + (count + 7) // 8] for begin in begins)
        bits = np.unpackbits(np.frombuffer(columns, np.uint8).reshape(LANES, -1), axis=1, bitorder="little")
        return np.packbits(bits[:, :count].T, axis=1)

    def _places(self, piece: int) -> list[tuple[int, int, int]]:
        """Return where pieces of this hash stood: the length and the line of the bio, and the place in it."""
        rest = piece & ((1 << _PIECE_REST) - 1)
        found = []
        for row in self._pieces.of(piece >> _PIECE_REST, rest >> _PIECE_REST - 8):
            if row >> _NUMBER_BITS + fingerprint.PLACE_BITS == rest:
                number = row >> fingerprint.PLACE_BITS & (_MOST - 1)
                length = bisect_right(self._starts, number) - 1
                found.append((length, self._lines[number], row & ((1 << fingerprint.PLACE_BITS) - 1)))
        return found

    def _sides(self, gram: int, most: int) -> list[int]:
        """Return what stood beside each gram of this hash that at most so many bios hold: FEW or RARE."""
        rest = gram & ((1 << _GRAM_REST) - 1)
        heads = (rest << 1, rest << 1 | 1) if most > FEW else (rest << 1,)
        rows = self._grams.of(gram >> _GRAM_REST, rest >> _GRAM_REST - 8)
        return [row & ((1 << fingerprint.SIDE_BITS) - 1) for row in rows if row >> fingerprint.SIDE_BITS in heads]


class _Rows:
    """Rows of 5 bytes in sorted buckets."""

    def __init__(self, memory: mmap.mmap, starts: memoryview[int], at: int) -> None:
        self.starts = starts
        self._memory = memory
        self._at = at

    def of(self, bucket: int, head: int) -> list[int]:
        """Return the rows of a bucket whose first byte is `head`, as numbers."""
        rows = self._memory[self._at + _ROW * self.starts[bucket] : self._at + _ROW * self.starts[bucket + 1]]
        found = []
        at = rows.find(head)
        while at >= 0:
            if at % _ROW == 0:
                found.append(int.from_bytes(rows[at : at + _ROW], "big"))
            at = rows.find(head, at + 1)
        return found

    def all(self) -> Iterator[numpy.ndarray]:
        """Yield all rows with their buckets in front, as numbers, block by block."""
        import numpy as np

        starts = np.array(self.starts)
        for first in range(0, int(starts[-1]), _BLOCK):
            last = min(first + _BLOCK, int(starts[-1]))
            wide = np.zeros((last - first, 8), dtype=np.uint8)
            rows = self._memory[self._at + _ROW * first : self._at + _ROW * last]
            wide[:, 8 - _ROW :] = np.frombuffer(rows, dtype=np.uint8).reshape(-1, _ROW)
            buckets = np.searchsorted(starts, np.arange(first, last), "right") - 1
            yield buckets.astype(np.uint64) << _ROW_BITS | wide.view(">u8").ravel().astype(np.uint64)


class TextIndex:
    """Texts in memory: what was posted, what waits, or who opted out; fingerprints are taken on first use."""

    def __init__(self, texts: Iterable[str], source: Source) -> None:
        self._marks: Callable[[], Iterator[Kept]] = lambda: (fingerprint.keep(fingerprint.of(text)) for text in texts)
        self._source = source
        self._ready = False

    @classmethod
    def read(cls, path: Path, source: Source) -> TextIndex:
        """Read what `append` wrote; a file that is not there holds nothing; a damaged one is a CorpusError."""
        try:
            lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
            marks = [fingerprint.unpack(bytes.fromhex(line)) for line in lines]
        except OSError as error:
            raise CorpusError(f"cannot read {path}: {error.strerror}") from None
        except ValueError:
            raise CorpusError(
                f"{path} is damaged, or an older biobot wrote it; move it away and forget those texts again"
            ) from None
        index = cls((), source)
        index._marks = lambda: iter(marks)
        return index

    def matches(self, text: str) -> tuple[Match, ...]:
        """Return every resemblance of `text`, the strongest of each layer."""
        return self.look_up(fingerprint.of(text))

    def look_up(self, mark: Print) -> tuple[Match, ...]:
        """Do as `matches`, for a fingerprint that was already taken."""
        if not self._ready:
            self._take()
        return _matches(
            self._source,
            mark.exact in self._exact,
            _likeness(mark, sorted(self._alike(mark))),
            fingerprint.longest(mark, lambda gram: self._sides.get(gram, ())),
            _half(mark, lambda piece: self._places.get(piece, ())),
        )

    def _alike(self, mark: Print) -> Iterator[tuple[float, int, int]]:
        lanes = fingerprint.compared(mark.length)
        reach = _reach(mark.length)
        lengths = range(mark.length - reach, mark.length + reach + 1)
        for length in {min(each, LONGEST) for each in lengths} if mark.sketch else ():
            for sketch, line in self._sketches.get(length, ()):
                differing = ((sketch ^ mark.sketch) >> LANES - lanes).bit_count() / lanes
                if differing <= _DIFFERING:
                    yield differing, length, line

    def _take(self) -> None:
        self._exact: set[int] = set()
        self._sketches: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self._sides: dict[int, list[int]] = defaultdict(list)
        self._places: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
        for mark in self._marks():
            self._exact.add(mark.exact)
            self._sketches[mark.length].append((mark.sketch, mark.line))
            for gram in mark.grams:
                self._sides[gram >> fingerprint.SIDE_BITS].append(gram & ((1 << fingerprint.SIDE_BITS) - 1))
            for piece in mark.pieces:
                place = piece & ((1 << fingerprint.PLACE_BITS) - 1)
                self._places[piece >> fingerprint.PLACE_BITS].append((mark.length, mark.line, place))
        self._ready = True


def append(path: Path, texts: Iterable[str]) -> None:
    """Add the fingerprints of `texts`, not the texts, to a file that `TextIndex.read` reads: one line each."""
    old = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    new = [fingerprint.pack(fingerprint.keep(fingerprint.of(text))).hex() for text in texts]
    whole = "".join(f"{line}\n" for line in dict.fromkeys(old + new))
    _replace(path, [whole.encode("ascii")])


def _reach(length: int) -> int:
    return min(REACH, length // 6)


def _matches(source: Source, known: bool, likeness: float, run: int, half: int) -> tuple[Match, ...]:
    amounts: dict[Layer, float] = {"exact": float(known), "near": likeness, "copied": max(run, half)}
    return tuple(Match(source, layer, amount) for layer, amount in amounts.items() if amount)


def _likeness(mark: Print, others: Iterable[tuple[float, int, int]]) -> float:
    """Return the greatest likeness to some texts: in which share their sketches differ (ascending), lengths and lines.

    The sketches estimate the share of equal 3-grams, roughly where these are few; so between short texts edits are
    counted, too, and the likeness is no greater than so many would leave.
    """
    best = 0.0
    for differing, length, line in islice(others, CLOSEST):
        share = 1 - 2 * differing
        if share <= best:
            break
        if mark.length < SHORT and length < SHORT:
            share = min(
                share, fingerprint.left_by(fingerprint.edits(mark.line, mark.length, line, length), mark.length)
            )
        best = max(best, share)
    return best


def _half(mark: Print, places: Callable[[int], Sequence[tuple[int, int, int]]]) -> int:
    """Return the longest run that is HALF of a short text, or more: `places(hash)` tells where a piece stood."""
    best = 0
    for at, piece in enumerate(mark.pieces):
        for length, line, place in places(piece):
            run = fingerprint.run(mark, at, line, length, place)
            if run >= HALF * length:
                best = max(best, run)
    return best


def _added_up(columns: Sequence[int]) -> list[int]:
    """Add numbers bit by bit: of what each place adds up to, give the lowest bits, the next, and so on."""
    planes = []
    while columns:
        total, rest = columns[0], iter(columns[1:])
        columns = []
        for one in rest:
            other = next(rest, 0)
            half = total ^ one
            columns.append(total & one | half & other)
            total = half ^ other
        planes.append(total)
    return planes


def _at_most(planes: list[int], most: int, every: int) -> int:
    """Return at which places `_added_up` came to at most so much, as one bit each."""
    below, equal = 0, every
    for level in reversed(range(max(len(planes), most.bit_length()))):
        plane = planes[level] if level < len(planes) else 0
        if most >> level & 1:
            below |= equal & ~plane
            equal &= plane
        else:
            equal &= ~plane
    return below | equal


def _ascending(planes: list[int], places: int) -> Iterator[tuple[int, int]]:
    """Yield what `_added_up` came to at some places (one bit each), and the place, the least first."""
    while places:
        least, amount = places, 0
        for level in reversed(range(len(planes))):
            lower = least & ~planes[level]
            if lower:
                least = lower
            else:
                amount |= 1 << level
        places ^= least
        while least:
            place = least.bit_length() - 1
            least ^= 1 << place
            yield amount, place


# -- building ----------------------------------------------------------------------------------------


def build(bios: Iterable[str], path: Path, chunk: int = 10_000) -> None:
    """Write the index of `bios`, sorting on disk: memory stays small; raise CorpusError if it cannot be."""
    left = iter(bios)
    with _Spill(path) as spill:
        while some := list(islice(left, chunk)):
            spill.add(fingerprint.of_many(some))
        spill.write()


def merge(paths: Sequence[Path], path: Path) -> None:
    """Write the index of all that the indexes at `paths` hold; a gram that is rare in one of them stays."""
    with _Spill(path) as spill:
        for each in paths:
            with Index.open(each) as index:
                spill.take(index)
        spill.write()


_BLOCK = 1 << 15
_PARTS_BITS = 6


class _Spill:
    """Fingerprints on their way to `path`: in files by length or by hash, each small enough to be sorted in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> _Spill:
        try:
            self._folder = tempfile.TemporaryDirectory(prefix=".index-", dir=self._path.parent)
        except OSError as error:
            raise CorpusError(f"cannot write {self._path}: {error.strerror}") from None
        folder = Path(self._folder.name)
        self._bios = _Parts(folder / "bios", [("exact", "<u8"), ("line", "<u8"), ("sketch", "u1", LANES // 8)])
        self._pieces = _Parts(folder / "pieces", [("piece", "<u8"), ("length", "<u2"), ("exact", "<u8")])
        self._grams = _Parts(folder / "grams", [("gram", "<u8"), ("owner", "<u8")])
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def add(self, part: fingerprint.Prints) -> None:
        """Take some bios."""
        self._bios.add(part.lengths, exact=part.exact, line=part.lines, sketch=part.sketches)
        self._add_pieces(part.pieces, part.lengths[part.piece_owners], part.exact[part.piece_owners])
        self._add_grams(part.grams, part.exact[part.owners])

    def take(self, index: Index) -> None:
        """Take all that an index holds."""
        import numpy as np

        starts, every, lines = (np.array(each) for each in (index._starts, index._exact, index._lines))
        for first in range(0, index.bios, _BLOCK):
            numbers = np.arange(first, min(first + _BLOCK, index.bios))
            line = np.zeros(len(numbers), dtype=np.uint64)
            short = lines[first : first + _BLOCK]
            line[: len(short)] = short
            self._bios.add(
                np.searchsorted(starts, numbers, "right") - 1,
                exact=every[numbers],
                line=line,
                sketch=index._sketches(first, len(numbers)),
            )
        for rows in index._pieces.all():
            numbers = (rows >> fingerprint.PLACE_BITS & (_MOST - 1)).astype(np.int64)
            places = rows & ((1 << fingerprint.PLACE_BITS) - 1)
            pieces = rows >> (_NUMBER_BITS + fingerprint.PLACE_BITS) << fingerprint.PLACE_BITS | places
            self._add_pieces(pieces, np.searchsorted(starts, numbers, "right") - 1, every[numbers])
        for rows in index._grams.all():
            hashes, many = rows >> (fingerprint.SIDE_BITS + 1), rows >> fingerprint.SIDE_BITS & 1
            grams = hashes << fingerprint.SIDE_BITS | rows & ((1 << fingerprint.SIDE_BITS) - 1)
            for owner in range(RARE):  # who held it is not known any more, but whether FEW or more
                some = grams if owner == 0 else grams[many == 1]
                self._add_grams(some, np.full(len(some), owner))

    def write(self) -> None:
        """Write the index of all that was taken."""
        import numpy as np

        folder = Path(self._folder.name)
        with ExitStack() as stack:
            files = [stack.enter_context((folder / f"section{at}").open("w+b")) for at in range(8)]
            begins, hashes, columns, lines, *tables = files
            sketches = stack.enter_context((folder / "sketches").open("w+b"))
            sizes, short = np.zeros(LONGEST + 1, dtype=np.int64), {}
            for length, part in self._bios:
                exact, first = np.unique(part["exact"], return_index=True)  # a bio that comes twice counts once
                sizes[length] = len(exact)
                hashes.write(exact.tobytes())
                sketches.write(part["sketch"][first].tobytes())
                if length < SHORT:
                    lines.write(part["line"][first].tobytes())
                    short[length] = exact
            starts = np.concatenate(([0], np.cumsum(sizes)))
            if starts[-1] >= _MOST:
                raise CorpusError(f"an index holds at most {_MOST - 1} bios, not {starts[-1]}")
            begins.write(starts.astype("<u4").tobytes())
            _turn(sketches, columns, int(starts[-1]))
            pieces = _write_rows(tables[0], tables[1], (_rare_pieces(part, starts, short) for _, part in self._pieces))
            grams = _write_rows(tables[2], tables[3], (_rare_grams(part) for _, part in self._grams))
            counts = int(starts[-1]), int(starts[SHORT]), pieces, grams
            crc = 0
            for block in _blocks(files):
                crc = zlib.crc32(block, crc)
            head = _HEAD.pack(MAGIC, FORMAT, *counts, crc).ljust(_START, b"\0")
            _replace(self._path, chain([head], _blocks(files)))

    def _add_pieces(self, pieces: numpy.ndarray, lengths: numpy.ndarray, exact: numpy.ndarray) -> None:
        top = fingerprint.PIECE_BITS + fingerprint.PLACE_BITS - _PARTS_BITS
        self._pieces.add(pieces >> top, piece=pieces, length=lengths, exact=exact)

    def _add_grams(self, grams: numpy.ndarray, owners: numpy.ndarray) -> None:
        self._grams.add(
            grams >> (fingerprint.GRAM_BITS + fingerprint.SIDE_BITS - _PARTS_BITS), gram=grams, owner=owners
        )


class _Parts:
    """Records on disk, in a file for each part; given back part by part, in order."""

    def __init__(self, folder: Path, fields: list[tuple[Any, ...]]) -> None:
        folder.mkdir()
        self._folder = folder
        self._fields = fields
        self._filled: set[int] = set()

    def add(self, which: numpy.ndarray, **columns: numpy.ndarray) -> None:
        """Add records to the parts that `which` tells."""
        import numpy as np

        records = np.empty(len(which), dtype=self._fields)
        order = np.argsort(which, kind="stable")
        for name, column in columns.items():
            records[name] = column[order]
        parts, begins = np.unique(which[order], return_index=True)
        for part, begin, end in zip(parts, begins, np.append(begins, len(which))[1:], strict=True):
            with (self._folder / str(part)).open("ab") as file:
                file.write(records[begin:end].tobytes())
        self._filled.update(map(int, parts))

    def __iter__(self) -> Iterator[tuple[int, numpy.ndarray]]:
        import numpy as np

        for part in sorted(self._filled):
            yield part, np.fromfile(self._folder / str(part), dtype=self._fields)


def _turn(sketches: BinaryIO, columns: BinaryIO, count: int) -> None:
    """Write the sketches' bits by column instead of by bio."""
    import numpy as np

    width = (count + 7) // 8
    sketches.seek(0)
    for first in range(0, count, _BLOCK):
        rows = np.frombuffer(sketches.read(_BLOCK * LANES // 8), dtype=np.uint8).reshape(-1, LANES // 8)
        turned = np.packbits(np.unpackbits(rows, axis=1).T, axis=1, bitorder="little")
        for lane in range(LANES):
            columns.seek(lane * width + first // 8)
            columns.write(turned[lane].tobytes())


def _rare_pieces(part: numpy.ndarray, starts: numpy.ndarray, short: dict[int, numpy.ndarray]) -> numpy.ndarray:
    """Return the rows of the pieces that at most RARE_PIECE bios hold; `short` are the bios' hashes by length."""
    import numpy as np

    hashes = part["piece"] >> fingerprint.PLACE_BITS
    part = part[_holders(hashes, part["exact"]) <= RARE_PIECE]
    numbers = np.zeros(len(part), dtype=np.uint64)
    for length in np.unique(part["length"]):
        some = part["length"] == length
        numbers[some] = starts[length] + np.searchsorted(short[length], part["exact"][some])
    places = part["piece"] & ((1 << fingerprint.PLACE_BITS) - 1)
    return (part["piece"] >> fingerprint.PLACE_BITS << _NUMBER_BITS | numbers) << fingerprint.PLACE_BITS | places


def _rare_grams(part: numpy.ndarray) -> numpy.ndarray:
    """Return the rows of the grams that at most RARE bios hold."""
    hashes = part["gram"] >> fingerprint.SIDE_BITS
    holders = _holders(hashes, part["owner"])
    rare = holders <= RARE
    sides = part["gram"] & ((1 << fingerprint.SIDE_BITS) - 1)
    return ((hashes << 1 | (holders > FEW)) << fingerprint.SIDE_BITS | sides)[rare]


def _holders(hashes: numpy.ndarray, owners: numpy.ndarray) -> numpy.ndarray:
    """Return for each hash how many different owners it has in all."""
    import numpy as np

    order = np.lexsort((owners, hashes))
    hashes, owners = hashes[order], owners[order]
    new = np.ones(len(hashes), dtype=bool)
    new[1:] = hashes[1:] != hashes[:-1]
    another = new.copy()
    another[1:] |= owners[1:] != owners[:-1]
    which = np.cumsum(new) - 1
    holders = np.empty(len(hashes), dtype=np.int64)
    holders[order] = np.bincount(which, weights=another)[which] if len(hashes) else 0
    return holders


def _write_rows(starts: BinaryIO, rows: BinaryIO, parts: Iterable[numpy.ndarray]) -> int:
    """Write rows in ascending order, and where each bucket begins and the last ends; tell how many there are."""
    import numpy as np

    sizes = np.zeros(_BUCKETS, dtype=np.int64)
    for part in parts:
        part = np.unique(part)
        sizes += np.bincount((part >> _ROW_BITS).astype(np.int64), minlength=_BUCKETS)
        rows.write(part.astype(">u8").view("u1").reshape(-1, 8)[:, 8 - _ROW :].tobytes())
    starts.write(np.concatenate(([0], np.cumsum(sizes))).astype("<u4").tobytes())
    return int(sizes.sum())


def _blocks(files: Iterable[BinaryIO]) -> Iterator[bytes]:
    for file in files:
        file.seek(0)
        while block := file.read(1 << 20):
            yield block


# -- the file ----------------------------------------------------------------------------------------


def _sizes(bios: int, short: int, pieces: int, grams: int) -> tuple[int, ...]:
    """Return the bytes of each part: starts, hashes, columns, lines; starts and rows of pieces, and of grams."""
    starts = 4 * (_BUCKETS + 1)
    columns = LANES * ((bios + 7) // 8)
    return 4 * (LONGEST + 2), 8 * bios, columns, 8 * short, starts, _ROW * pieces, starts, _ROW * grams


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
    _, version, *counts, crc = _HEAD.unpack_from(memory)
    if version != FORMAT:
        return f"has format {version}, and this biobot reads format {FORMAT}"
    size = _START + sum(_sizes(*counts))
    if len(memory) != size:
        return f"is cut short or damaged ({len(memory)} bytes, not {size})"
    with memoryview(memory) as view, view[_START:] as body:
        return None if zlib.crc32(body) == crc else "is damaged (its checksum does not fit)"
