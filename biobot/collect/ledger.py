"""What collecting remembers in the corpus: how far each source was read, and what was spent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from biobot.collect.sources import Kind, Source
from biobot.corpus.store import Store


@dataclass(frozen=True, slots=True)
class Row:
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


def nameless(row: Row | None) -> bool:
    """Return whether the account's id must be looked up before this source can be read."""
    return row is not None and row.account is None and row.kind in ("followers", "following", "friends")


_COLUMNS = "number, kind, target, root, depth, account, token, state, why, people, restarts, changed"


class Ledger:
    """The frontier and the books, in the store's file; whoever changes them has begun a transaction of the store."""

    def __init__(self, store: Store) -> None:
        self._db = store.db

    # -- the frontier --------------------------------------------------------------------------------

    def begin(self, source: Source, now: datetime, again: timedelta) -> None:
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

    def next(self, source: Source) -> Row | None:
        """Return what to read next under a configured source: the nearest first, then the oldest."""
        query = f"SELECT {_COLUMNS} FROM source WHERE root = ? AND state = 'open' ORDER BY depth, number LIMIT 1"
        found = self._db.execute(query, (source.root,)).fetchone()
        return Row(*found) if found else None

    def rows(self, source: Source) -> list[Row]:
        """Return everything under a configured source."""
        query = f"SELECT {_COLUMNS} FROM source WHERE root = ? ORDER BY depth, number"
        return [Row(*found) for found in self._db.execute(query, (source.root,))]

    def nameless(self, sources: Iterable[Source], most: int) -> list[tuple[int, str]]:
        """Return numbers and handles of those sources whose account's id is not known yet."""
        rows = filter(nameless, map(self.next, sources))
        return [(row.number, row.target) for row in rows if row is not None][:most]

    def found(self, number: int, account: int) -> None:
        """Note the id behind a handle."""
        self._db.execute("UPDATE source SET account = ? WHERE number = ?", (account, number))

    def advance(self, row: Row, token: str | None, *, done: bool, people: int, now: datetime) -> None:
        """Note that a page was read, and where to go on."""
        self._db.execute(
            "UPDATE source SET token = ?, state = ?, people = people + ?, changed = ? WHERE number = ?",
            (token, "done" if done else "open", people, int(now.timestamp()), row.number),
        )

    def reopen(self, number: int, now: datetime) -> None:
        """Take a source up again where it stopped."""
        self._db.execute(
            "UPDATE source SET state = 'open', why = '', restarts = 0, changed = ? WHERE number = ?",
            (int(now.timestamp()), number),
        )

    def restart(self, row: Row, now: datetime) -> None:
        """Begin a source anew: its token is worth nothing any more."""
        self._db.execute(
            "UPDATE source SET token = NULL, restarts = restarts + 1, changed = ? WHERE number = ?",
            (int(now.timestamp()), row.number),
        )

    def fail(self, number: int, why: str, now: datetime) -> None:
        """Return a source up."""
        self._db.execute(
            "UPDATE source SET state = 'failed', why = ?, changed = ? WHERE number = ?",
            (why, int(now.timestamp()), number),
        )

    # -- the books -----------------------------------------------------------------------------------

    def pay_users(self, users: Iterable[int], price: float, now: datetime) -> float:
        """Book users that came, each once a UTC day as X charges them; give what that cost."""
        day = _day(now)
        self._db.execute("DELETE FROM paid WHERE day < ?", (day,))
        rows = [(day, user) for user in users]
        new = self._db.executemany("INSERT OR IGNORE INTO paid VALUES (?, ?)", rows).rowcount if rows else 0
        return self.pay("read_user", new, price, now)

    def pay(self, kind: str, units: int, price: float, now: datetime) -> float:
        """Book units of one kind; give what they cost."""
        usd = units * price
        if units:
            self._db.execute(
                """INSERT INTO spend VALUES (?, ?, ?, ?)
                   ON CONFLICT DO UPDATE SET units = units + excluded.units, usd = usd + excluded.usd""",
                (_day(now), kind, units, usd),
            )
        return usd

    def month(self, now: datetime) -> float:
        """Return what this UTC month has cost, in dollars."""
        query = "SELECT coalesce(sum(usd), 0) FROM spend WHERE day LIKE ?"
        return float(self._db.execute(query, (f"{_day(now)[:7]}-%",)).fetchone()[0])


def month_spent(corpus: Path, now: datetime) -> float:
    """Return what collecting has cost in this UTC month, for who only reports."""
    if not corpus.exists():
        return 0.0
    with Store(corpus) as store:
        return Ledger(store).month(now)


def _day(now: datetime) -> str:
    return f"{now.astimezone(UTC):%Y-%m-%d}"
