"""What a fake network remembers: posts, counted calls, money, and the faults it has been told to commit.

It is kept in SQLite, so that it can outlive a process and be shared; in memory if there is no file.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from biobot import storage
from biobot.text.normalize import composed

_TABLES = """
CREATE TABLE IF NOT EXISTS post (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, text TEXT NOT NULL, plain TEXT NOT NULL,
    created REAL NOT NULL, visible REAL NOT NULL, deleted INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS calls (
    route TEXT NOT NULL, window INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (route, window)
) STRICT;
CREATE TABLE IF NOT EXISTS tally (name TEXT PRIMARY KEY, amount REAL NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS memo (
    kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, key)
) STRICT;
CREATE TABLE IF NOT EXISTS fault (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, route TEXT NOT NULL,
    remaining INTEGER NOT NULL, seconds REAL NOT NULL
) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Post:
    """A post that was accepted; `visible` is when the timeline first shows it."""

    id: str
    text: str
    created: datetime
    visible: datetime
    deleted: bool


@dataclass(frozen=True, slots=True)
class Scripted:
    """A fault that the next matching call meets; `seconds` is its argument (a lag, a wait), if it has one."""

    name: str
    seconds: float


class State:
    """A fake network's memory, for many threads and, in a file, for many processes."""

    def __init__(self, file: Path | None = None) -> None:
        self._lock = threading.RLock()
        if file is not None:
            storage.make_file(file)
        self._db = sqlite3.connect(
            file or ":memory:", isolation_level=None, check_same_thread=False, timeout=10, cached_statements=32
        )
        self._db.execute("PRAGMA journal_mode = TRUNCATE")
        self._db.execute(
            "PRAGMA synchronous = OFF"
        )  # a rehearsal has to survive a crash of the process, not of the machine
        with self.transaction():
            for statement in _TABLES.split(";"):
                self._db.execute(statement)

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the block in one transaction, exclusive among threads and processes."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            with storage.transaction(self._db):
                yield

    # -- posts ---------------------------------------------------------------------------------------

    def add(self, text: str, now: datetime, lag: float = 0.0, id: str = "") -> Post:  # noqa: A002
        """Accept a post; the timeline shows it after `lag` seconds. Without an `id` it is numbered as X does."""
        with self.transaction():
            (number,) = self._row("SELECT coalesce(max(number), 0) + 1 FROM post")
            id = id or str(((int(now.timestamp() * 1000) - 1288834974657) << 22) + number)  # noqa: A001
            moment = now.timestamp()
            self._db.execute(
                "INSERT INTO post VALUES (?, ?, ?, ?, ?, ?, 0)",
                (number, id, text, composed(text), moment, moment + lag),
            )
            return self.posts()[0]

    def posts(self) -> list[Post]:
        """Return every post ever accepted, newest first, including deleted and not yet visible ones."""
        with self._lock:
            rows = self._db.execute(
                "SELECT id, text, created, visible, deleted FROM post ORDER BY number DESC"
            ).fetchall()
        return [
            Post(id, text, datetime.fromtimestamp(created, UTC), datetime.fromtimestamp(visible, UTC), bool(deleted))
            for id, text, created, visible, deleted in rows  # noqa: A001
        ]

    def has(self, text: str) -> bool:
        """Return whether a post with the same text exists that is not deleted."""
        return self._row("SELECT count(*) FROM post WHERE plain = ? AND NOT deleted", composed(text))[0] > 0

    def delete(self, id: str) -> bool:  # noqa: A002
        """Delete a post; return False if there is none."""
        with self._lock:
            return self._db.execute("UPDATE post SET deleted = 1 WHERE id = ? AND NOT deleted", (id,)).rowcount > 0

    def bring_back(self, id: str) -> None:  # noqa: A002
        """Undo a deletion."""
        with self._lock:
            self._db.execute("UPDATE post SET deleted = 0 WHERE id = ?", (id,))

    def remember(self, kind: str, key: str, value: Any) -> None:
        """Keep what a network knows besides: anything that JSON can hold, by kind and key."""
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO memo VALUES (?, ?, ?)", (kind, key, json.dumps(value)))

    def recall(self, kind: str, key: str) -> Any:
        """Return what was kept; None if nothing was."""
        with self._lock:
            row = self._db.execute("SELECT value FROM memo WHERE kind = ? AND key = ?", (kind, key)).fetchone()
        return json.loads(row[0]) if row else None

    # -- counting ------------------------------------------------------------------------------------

    def call(self, route: str, window: int) -> int:
        """Count a call to a route in a window of time, and return the count."""
        with self._lock:
            (count,) = self._row(
                "INSERT INTO calls VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1 RETURNING count",
                route,
                window,
            )
            return int(count)

    def calls(self) -> int:
        """Return the number of admitted calls, to all routes."""
        return int(self._row("SELECT coalesce(sum(count), 0) FROM calls")[0])

    def count(self, name: str, amount: float = 1.0) -> None:
        """Add to a tally, such as `posts`, `repeats`, `reads`, `usd` or `faults/timeout-after`."""
        with self._lock:
            self._db.execute(
                "INSERT INTO tally VALUES (?, ?) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
                (name, amount),
            )

    def tally(self, name: str) -> float:
        """Return one tally."""
        return float(self._row("SELECT coalesce(sum(amount), 0) FROM tally WHERE name = ?", name)[0])

    def tallies(self) -> dict[str, float]:
        """Return every tally."""
        with self._lock:
            return dict(self._db.execute("SELECT name, amount FROM tally ORDER BY name").fetchall())

    # -- faults --------------------------------------------------------------------------------------

    def script(self, name: str, route: str, times: int, seconds: float) -> None:
        """Let the next `times` calls to `route` meet this fault."""
        with self._lock:
            self._db.execute(
                "INSERT INTO fault (name, route, remaining, seconds) VALUES (?, ?, ?, ?)", (name, route, times, seconds)
            )

    def next_fault(self, route: str) -> Scripted | None:
        """Remove and return the oldest fault that waits for this route, or None."""
        with self.transaction():
            row = self._db.execute(
                "SELECT number, name, seconds FROM fault WHERE route = ? AND remaining > 0 ORDER BY number LIMIT 1",
                (route,),
            ).fetchone()
            if row is None:
                return None
            self._db.execute("UPDATE fault SET remaining = remaining - 1 WHERE number = ?", (row[0],))
        self.count(f"faults/{row[1]}")
        return Scripted(row[1], row[2])

    def waiting(self) -> bool:
        """Return whether any scripted fault is still waiting."""
        return self._row("SELECT coalesce(sum(remaining), 0) FROM fault")[0] > 0

    def clear_faults(self) -> None:
        """Delete every fault that has not happened yet."""
        with self._lock:
            self._db.execute("DELETE FROM fault")

    def _row(self, statement: str, *values: object) -> tuple[float, ...]:
        with self._lock, closing(self._db.execute(statement, values)) as cursor:
            row: tuple[float, ...] = cursor.fetchone()
            return row
