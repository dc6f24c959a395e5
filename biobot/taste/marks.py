"""An owner's marks: what they thought of texts, kept in the bot's home and nowhere else."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from biobot import storage
from biobot.candidate import Candidate
from biobot.errors import TasteError
from biobot.text.normalize import fold

BEST = 3.0
APPROVED, REJECTED = 2.0, 0.0
"""What approving or rejecting a draft says of it."""
EDIT = 1.0
"""By so much an edited text is taken to be better than the one before."""

_STEPS = (
    """
    CREATE TABLE mark (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at TEXT NOT NULL,                       -- UTC
        source TEXT NOT NULL,                   -- rate, approve, reject, edit, import
        text TEXT NOT NULL,
        folded TEXT NOT NULL,                   -- the newest mark of equal folds counts
        value REAL CHECK (value BETWEEN 0 AND 3),
        worse TEXT,                             -- or: `text` is better than this one
        bits REAL,
        entropy REAL,
        CHECK ((value IS NULL) <> (worse IS NULL))
    ) STRICT;
    CREATE INDEX mark_folded ON mark (folded);
    """,
)
EXAMPLE = '{"text": "…", "mark": 2}'
"""A line of a file of marks."""
_COLUMNS = "text, value, worse, bits, entropy, source"


@dataclass(frozen=True, slots=True)
class Mark:
    """What somebody thought of a candidate: a value from 0 to 3, or that it is better than the text `worse`."""

    candidate: Candidate
    value: float | None = None
    worse: str | None = None
    source: str = "import"

    @classmethod
    def of_decision(cls, text: str, approved: bool) -> Self:
        """Return the mark that a person's decision on a draft stands for."""
        value, source = (APPROVED, "approve") if approved else (REJECTED, "reject")
        return cls(Candidate(text), value, source=source)

    def as_dict(self) -> dict[str, Any]:
        """Return the object of `biobot taste export`."""
        if self.worse is not None:
            return {"better": self.candidate.text, "worse": self.worse}
        figures = {"bits": self.candidate.bits, "entropy": self.candidate.entropy}
        return {"text": self.candidate.text, "mark": self.value} | {
            name: value for name, value in figures.items() if value is not None
        }


class Marks:
    """The marks of one bot, in HOME/taste.db; raises TasteError when the file cannot be used."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        with storage.errors_as(TasteError, path):
            self._db = storage.open_read_only(path, _STEPS) if read_only else storage.open_read_write(path, _STEPS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def __len__(self) -> int:
        return int(self._query("SELECT count(*) FROM (SELECT 1 FROM mark GROUP BY folded, worse)")[0][0])

    @property
    def revision(self) -> str:
        """Return a value that changes with every mark made or undone."""
        count, newest = self._query("SELECT count(*), coalesce(max(id), 0) FROM mark")[0]
        return f"{count}-{newest}"

    def add(self, marks: Iterable[Mark], now: datetime) -> int:
        """Store marks, all or none, and return how many; a text's new mark takes the place of the one before."""
        at = now.astimezone(UTC).isoformat(timespec="seconds")
        rows = [
            (at, fold(one.text), one.text, each.value, each.worse, one.bits, one.entropy, each.source)
            for each in marks
            for one in [each.candidate]
        ]
        with storage.errors_as(TasteError, self._path), storage.transaction(self._db):
            self._db.executemany(f"INSERT INTO mark (at, folded, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        return len(rows)

    def newest(self, limit: int = -1) -> list[Mark]:
        """Return the newest `limit` marks that count (negative: all of them), the oldest first."""
        counting = "SELECT max(id) FROM mark GROUP BY folded, worse"
        rows = self._query(f"SELECT {_COLUMNS} FROM mark WHERE id IN ({counting}) ORDER BY id DESC LIMIT ?", limit)
        return [_mark(row) for row in reversed(rows)]

    def holds(self, text: str) -> bool:
        """Return whether somebody marked a text that is equal after folding."""
        return bool(self._query("SELECT 1 FROM mark WHERE folded = ? LIMIT 1", fold(text)))

    def undo(self, source: str) -> Mark | None:
        """Take the newest mark of a source back, and return it; an earlier mark of its text counts again."""
        with storage.errors_as(TasteError, self._path), storage.transaction(self._db):
            newest = "SELECT id FROM mark WHERE source = ? ORDER BY id DESC LIMIT 1"
            rows = self._db.execute(
                f"DELETE FROM mark WHERE id = ({newest}) RETURNING {_COLUMNS}", (source,)
            ).fetchall()
        return _mark(rows[0]) if rows else None

    def forget(self, matches: Callable[[str], bool]) -> int:
        """Delete every mark with a text that `matches`: its author opted out. Return how many."""
        with storage.errors_as(TasteError, self._path), storage.transaction(self._db):
            rows = self._db.execute("SELECT id, text, worse FROM mark").fetchall()
            gone = [(row,) for row, text, worse in rows if matches(text) or (worse is not None and matches(worse))]
            self._db.executemany("DELETE FROM mark WHERE id = ?", gone)
        return len(gone)

    def reset(self) -> int:
        """Delete all marks, and return how many there were."""
        return self.forget(lambda _: True)

    def _query(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with storage.errors_as(TasteError, self._path):
            return self._db.execute(query, values).fetchall()


def read(lines: Iterable[bytes], bad: Callable[[int, str], None]) -> Iterator[Mark]:
    """Yield the marks of JSON lines as `biobot taste export` writes them; `bad` is called with the number of any other.

    `bad` is also called where the lines break off, as those of a truncated gzip file do.
    """
    number = 0
    try:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    yield _read(json.loads(line.decode("utf-8-sig")))
                except (ValueError, TypeError, RecursionError) as error:
                    bad(number, str(error) if isinstance(error, _Invalid) else f"not an object such as {EXAMPLE}")
    except (OSError, EOFError, zlib.error) as error:
        bad(number + 1, f"and whatever follows cannot be read ({error})")


class _Invalid(ValueError):
    """A line is JSON, but no mark."""


def _read(found: Any) -> Mark:
    if not isinstance(found, dict):
        raise _Invalid(f"not an object such as {EXAMPLE}")
    texts = [found.get(name) for name in (("better", "worse") if "better" in found else ("text",))]
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise _Invalid("a text is missing")
        text.encode()  # half a surrogate pair cannot be stored
    bits, entropy = (None if found.get(name) is None else _number(found[name]) for name in ("bits", "entropy"))
    candidate = Candidate(str(texts[0]), bits=bits, entropy=entropy)
    if len(texts) == 2:
        return Mark(candidate, worse=str(texts[1]))
    value = _number(found.get("mark"))
    if not 0 <= value <= BEST:
        raise _Invalid(f"the mark {value:g} is not between 0 and 3")
    return Mark(candidate, value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _Invalid(f"{str(value)[:40]!r} is not a number")
    return float(value)


def _mark(row: tuple[Any, ...]) -> Mark:
    text, value, worse, bits, entropy, source = row
    return Mark(Candidate(text, bits=bits, entropy=entropy), value, worse, source)


def open_marks(home: Path, *, read_only: bool = False) -> Marks:
    """Open the marks of the bot whose home that is."""
    return Marks(home / "taste.db", read_only=read_only)
