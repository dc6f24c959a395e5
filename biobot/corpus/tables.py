"""Tables of delimited text: the delimiter recognised, and rows kept apart where the quoting is broken.

Python's csv parses each row, strictly. Where that fails (a quote that never closes, or closes by accident in somebody
else's row) the lines behind the one where the quote opens are given back and read as rows of their own.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Callable, Iterator
from itertools import pairwise

MAX_ROW_LINES = 300
"""A row of more lines is a quote that was never closed."""

DELIMITERS = ",;\t|"

Line = tuple[int, str]
Row = tuple[int, list[str] | str]
"""The number of a row's first line, and its cells, or why it cannot be read."""

Somebodys = Callable[[dict[str, str], dict[str, str]], bool | None]
"""Tells whether cells under their columns are of a row like the second one; None if none of them could show it."""

BLANK = "blank"
OPEN = "a quote opens here that this row does not close; the rows behind it are read"


class Table:
    """A table's header and rows; `known` rates a header, so that the delimiter that makes most sense is taken.

    `doubtful` counts the rows read so far that may hold others, though nothing shows it: the first is on line
    `first_doubtful`.
    """

    def __init__(self, lines: Iterator[Line], known: Callable[[list[str]], bool]) -> None:
        self.lines = _Lines(lines)
        first = self._first()
        given = re.fullmatch(r'"?sep=([^\w\s"]|\t)"?', first.strip("\r\n"), re.IGNORECASE)
        if given:
            first = self._first()
        split = {each: _split(first, each) for each in ([given[1]] if given else list(DELIMITERS))}
        self.delimiter = max(split, key=lambda each: (known(_stripped(split[each])), len(split[each])))
        cells = split[self.delimiter]
        self.header = _stripped(cells)
        self.doubtful = self.first_doubtful = 0
        self.spaced = len(cells) > 1 and all(cell.startswith(" ") for cell in cells[1:])

    def _first(self) -> str:
        """Return the first line that is not blank."""
        for line in self.lines:
            self.lines.used.clear()
            if line.strip("\ufeff \t\r\n"):
                return line.removeprefix("\ufeff")
        return ""

    def rows(self, somebodys: Somebodys) -> Iterator[Row]:
        """Yield each row but repetitions of the header."""
        lines, width = self.lines, len(self.header)
        strict = csv.reader(lines, delimiter=self.delimiter, strict=True, skipinitialspace=self.spaced)
        backslashed = csv.reader(
            map(_doubled, lines), delimiter=self.delimiter, strict=True, skipinitialspace=self.spaced
        )

        def taken(reader: Iterator[list[str]]) -> list[str] | None:
            """Return the next row if it is one, with as many cells as the header; cells beyond may be empty."""
            try:
                row = next(reader)
            except (csv.Error, _TooLong):
                return None
            if len(row) > width and not any(row[width:]):
                row = row[:width]
            if row and len(row) != width:
                return None
            if row and len(lines.used) > 1:
                swallows = self._swallows(row, somebodys)
                if swallows:
                    return None
                if swallows is None:
                    self.doubtful += 1
                    self.first_doubtful = self.first_doubtful or lines.used[0][0]
            return row

        while True:
            lines.used.clear()
            try:
                row = taken(strict)
            except StopIteration:
                return
            number, first = lines.used[0]
            if row is None and '\\"' in first:
                lines.give_back(0)
                row = taken(backslashed)
            if row is None:
                lines.give_back(1)
                row = _loose(first, self.delimiter, width)
                if len(row) != width:
                    yield number, self._trouble(first)
                    continue
            if not row:
                yield number, BLANK
            elif _stripped(row) != self.header:
                yield number, row

    def _swallows(self, row: list[str], somebodys: Somebodys) -> bool | None:
        """Return whether a cell of several lines holds another row, or the end of its own and the beginning of another.

        Then its quote closed by accident: in the same column of another row, or the cells would not be so many. None
        where a line has as many cells, and nothing shows whether these are somebody else's.
        """
        swallows: bool | None = False
        own = dict(zip(self.header, row, strict=True))
        for place, cell in enumerate(row):
            rest = self.header[place:]
            lines = (line.split(self.delimiter) for line in re.split(r"\r\n|\r|\n", cell))
            for line, next_line in pairwise(lines):
                if len(line) >= len(rest) and len(next_line) > place:
                    ends = dict(zip(rest, line[-len(rest) :], strict=True))
                    begins = dict(zip(self.header, next_line[: place + 1], strict=False))
                    shown = {somebodys(ends, own), somebodys(begins, own)}
                    if shown in ({True}, {True, None}):
                        return True
                    if (
                        shown == {None}
                        and place
                        and (self.spaced or not any(each[:1] == " " for each in next_line[1:]))
                    ):
                        swallows = None
        return swallows

    def _trouble(self, line: str) -> str:
        if not line.strip():
            return BLANK
        try:
            count = len(next(csv.reader([line], delimiter=self.delimiter, strict=True)))
        except csv.Error as error:
            return OPEN if "unexpected end" in str(error) else f"not CSV: {error}"
        return f"{count} columns where the header has {len(self.header)}" if count != len(self.header) else OPEN


class _TooLong(Exception):
    pass


class _Lines:
    """Lines for csv.reader: those that the row under way has used can be given back."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self.rest, self.pending, self.used = lines, deque[Line](), list[Line]()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self.used) == MAX_ROW_LINES:
            raise _TooLong
        line = self.pending.popleft() if self.pending else next(self.rest)
        self.used.append(line)
        return line[1]

    def give_back(self, kept: int) -> None:
        """Let all lines but the first `kept` of this row be read again."""
        self.pending.extendleft(reversed(self.used[kept:]))
        del self.used[kept:]


def _stripped(cells: list[str]) -> list[str]:
    return [cell.strip().removeprefix("\ufeff") for cell in cells]


def _split(line: str, delimiter: str) -> list[str]:
    """Split one line leniently; a quote that is open at its end is closed there."""
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def _doubled(line: str) -> str:
    r"""Write \" as "", as RFC 4180 has it (MySQL and Spark write it with a backslash)."""
    return re.sub(r'(?<!\\)((?:\\\\)*)\\"', r'\1""', line)


def _loose(line: str, delimiter: str, width: int) -> list[str]:
    """Split one line whose quotes are not doubled, or no quotes at all; [] if one stays open."""
    mark, text, cells, at = re.escape(delimiter), line.rstrip("\r\n"), [], 0
    if width == 1 and not text.startswith('"'):
        return [text]
    cell = re.compile(rf'"((?:[^"]|"(?!{mark}|$))*)"(?={mark}|$)|([^"{mark}][^{mark}]*|)(?={mark}|$)')
    while found := cell.match(text, at):
        cells.append(found[2] if found[1] is None else found[1].replace('""', '"'))
        at = found.end() + 1
        if at > len(text):
            return cells
    return text.split(delimiter) if text.count('"') % 2 == 0 else []
