"""What collecting remembers in the corpus: how far each source was read (the frontier), and what was spent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from biobot.collect.sources import Kind, Source
from biobot.corpus.store import Store

MAX_REASON = 500
"""Characters of a reason that are kept."""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """How far a source was read: a configured one, or one that was found on the way from it (`depth` > 0)."""

    number: int
    kind: Kind
    target: str
    root: str
    depth: int
    account: int | None
    token: str | None
    state: str
    why: str
    people: int
    restarts: int
    changed: int

    @property
    def needs_account(self) -> bool:
        """Return whether the account's id must be looked up before this source can be read."""
        return self.account is None and self.kind in ("followers", "following", "friends")


_COLUMNS = ", ".join(SourceRow.__slots__)


class Ledger:
    """The frontier and the spending, in the store's file; writers have begun a transaction of the store."""

    def __init__(self, store: Store) -> None:
        self._db = store.db

    # -- the frontier --------------------------------------------------------------------------------

    def open(self, source: Source, now: datetime, again: timedelta) -> None:
        """Open a configured source that is new, that failed, or that was finished longer than `again` ago."""
        open_or_young = "SELECT 1 FROM source WHERE root = ? AND (state = 'open' OR changed > ?)"
        if not self._db.execute(open_or_young, (source.root, int((now - again).timestamp()))).fetchone():
            self._db.execute("DELETE FROM source WHERE root = ?", (source.root,))
        failed = "SELECT number FROM source WHERE root = ? AND depth = 0 AND state = 'failed'"
        for (number,) in self._db.execute(failed, (source.root,)).fetchall():
            self.reopen(number, now)
        account = int(source.target) if source.target.isdecimal() and source.kind != "lists" else None
        self.add([(source.kind, source.target, source.root, 0, account)], now)

    def add(self, rows: Iterable[tuple[Kind, str, str, int, int | None]], now: datetime) -> None:
        """Open sources (kind, target, root, depth, account) that are not there yet."""
        self._db.executemany(
            """INSERT OR IGNORE INTO source
               (kind, target, root, depth, account, state, why, people, restarts, changed)
               VALUES (?, ?, ?, ?, ?, 'open', '', 0, 0, ?)""",
            [(*row, int(now.timestamp())) for row in rows],
        )

    def next_open(self, source: Source) -> SourceRow | None:
        """Return what to read next under a configured source: the nearest first, then the oldest."""
        query = f"SELECT {_COLUMNS} FROM source WHERE root = ? AND state = 'open' ORDER BY depth, number LIMIT 1"
        found = self._db.execute(query, (source.root,)).fetchone()
        return SourceRow(*found) if found else None

    def rows(self, source: Source) -> list[SourceRow]:
        """Return everything under a configured source."""
        query = f"SELECT {_COLUMNS} FROM source WHERE root = ? ORDER BY depth, number"
        return [SourceRow(*found) for found in self._db.execute(query, (source.root,))]

    def without_account(self, sources: Iterable[Source], most: int) -> list[SourceRow]:
        """Return at most `most` of the rows to read next whose account's id is not known yet."""
        rows = map(self.next_open, sources)
        return [row for row in rows if row is not None and row.needs_account][:most]

    def set_account(self, number: int, account: int) -> None:
        """Note the id behind a handle."""
        self._db.execute("UPDATE source SET account = ? WHERE number = ?", (account, number))

    def advance(self, row: SourceRow, token: str | None, *, done: bool, people: int, now: datetime) -> None:
        """Note that a page was read, and where to go on."""
        self._db.execute(
            "UPDATE source SET token = ?, state = ?, people = people + ?, changed = ? WHERE number = ?",
            (token and _storable(token), "done" if done else "open", people, int(now.timestamp()), row.number),
        )

    def reopen(self, number: int, now: datetime) -> None:
        """Open a source again, to go on where it stopped."""
        self._db.execute(
            "UPDATE source SET state = 'open', why = '', restarts = 0, changed = ? WHERE number = ?",
            (int(now.timestamp()), number),
        )

    def restart(self, row: SourceRow, now: datetime) -> None:
        """Begin a source again from its first page: its token is worth nothing any more."""
        self._db.execute(
            "UPDATE source SET token = NULL, restarts = restarts + 1, changed = ? WHERE number = ?",
            (int(now.timestamp()), row.number),
        )

    def fail(self, number: int, why: str, now: datetime) -> None:
        """Abandon a source until the next run."""
        self._db.execute(
            "UPDATE source SET state = 'failed', why = ?, changed = ? WHERE number = ?",
            (_storable(why)[:MAX_REASON], int(now.timestamp()), number),
        )

    def drop(self, number: int) -> None:
        """Remove a source."""
        self._db.execute("DELETE FROM source WHERE number = ?", (number,))

    # -- spending ------------------------------------------------------------------------------------

    def charge_users(self, users: Iterable[int], price: float, now: datetime) -> float:
        """Record that users were read, each once a UTC day as X charges them; return what that cost in dollars."""
        day = _day(now)
        self._db.execute("DELETE FROM paid WHERE day < ?", (day,))
        rows = [(day, user) for user in users]
        new = self._db.executemany("INSERT OR IGNORE INTO paid VALUES (?, ?)", rows).rowcount if rows else 0
        return self.charge("read_user", new, price, now)

    def charge(self, kind: str, units: int, price: float, now: datetime) -> float:
        """Record that `units` of one kind were read; return what they cost in dollars."""
        usd = units * price
        if units:
            self._db.execute(
                """INSERT INTO spend VALUES (?, ?, ?, ?)
                   ON CONFLICT DO UPDATE SET units = units + excluded.units, usd = usd + excluded.usd""",
                (_day(now), kind, units, usd),
            )
        return usd

    def month_spend(self, now: datetime) -> float:
        """Return what this UTC month has cost so far, in dollars."""
        query = "SELECT coalesce(sum(usd), 0) FROM spend WHERE day LIKE ?"
        return float(self._db.execute(query, (f"{_day(now)[:7]}-%",)).fetchone()[0])


def month_spend(corpus: Path, now: datetime) -> float:
    """Return this UTC month's collection cost in dollars, for reports; changes nothing."""
    with Store(corpus, read_only=True) as store:
        return Ledger(store).month_spend(now)


def _storable(text: str) -> str:
    """Return X's words without halves of surrogate pairs, which SQLite does not take."""
    return text.encode(errors="replace").decode()


def _day(now: datetime) -> str:
    return f"{now.astimezone(UTC):%Y-%m-%d}"
