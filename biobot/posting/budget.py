"""What a bot may post and spend: counted in the outbox, in the transaction that commits to a call.

Days and months are UTC's. Prices are the operator's, in `[post.prices]` with their date; a call is booked
before it is made and taken back only when it was definitely not made.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from biobot.errors import OutboxError
from biobot.posting.outbox import Outbox
from biobot.posting.post import stamp
from biobot.settings import PostSettings
from biobot.text.humanize import counted, when

Kind = Literal["post", "post_with_url", "delete", "read_post", "read_user", "read_own"]
"""What is paid for: the keys of `[post.prices]`."""

PAID = ("x", "rehearsal")
"""Networks that cost money. The rehearsal's pretended dollars are counted, apart from real ones."""


class BudgetSpent(OutboxError):
    """A post or a call would go over the budget; `until` is when there will be some again."""

    def __init__(self, message: str, until: datetime) -> None:
        super().__init__(message)
        self.until = until


@dataclass(frozen=True, slots=True)
class Left:
    """What was used, and what may be; `spent` says which budget is used up, and `until` when there is some again."""

    posts_today: int
    posts_per_day: int
    usd_month: float
    usd_per_month: float
    until: datetime | None = None
    spent: str = ""


class Budget:
    """The budget of one bot on one network, kept in its outbox."""

    def __init__(self, outbox: Outbox, settings: PostSettings) -> None:
        self.outbox = outbox
        self.settings = settings

    @classmethod
    def open(cls, home: Path, settings: PostSettings, network: str = "x") -> Budget:
        """Open the ledger of a home, for spending without posting (`biobot collect`)."""
        return cls(Outbox(home / "outbox.db", network), settings)

    def price(self, kind: Kind) -> float:
        """Return the price of one unit, in dollars."""
        return float(getattr(self.settings.prices, kind)) if self.outbox.network in PAID else 0.0

    def record(self, kind: Kind, units: int, now: datetime) -> float:
        """Book `units` of `kind`; return what they cost."""
        if units == 0:
            return 0.0
        with self.outbox.transaction() as db:
            return self._book(db, kind, units, now, None)

    def month_spend(self, now: datetime) -> float:
        """Return what this UTC month has cost so far, in dollars: posts, reads and deletes."""
        return float(self._sum("usd", _month(now), next_month(now)))

    def posts_on(self, day: datetime) -> int:
        """Count the posts of that UTC day: those on their way or of unknown fate count as well."""
        return int(self._sum("units", next_day(day) - timedelta(days=1), next_day(day), "post%"))

    def left(self, now: datetime, kind: Kind = "post") -> Left:
        """Return what was used, and when one of `kind` is possible again."""
        limits = self.settings.budget
        posts, usd = self.posts_on(now), self.month_spend(now)
        left = Left(posts, limits.posts_per_day, usd, limits.usd_per_month)
        if usd + self.price(kind) > limits.usd_per_month + _ROUNDING:
            until, what = next_month(now), f"the month's budget of ${limits.usd_per_month:.2f}"
        elif posts >= limits.posts_per_day:
            until, what = next_day(now), f"the day's budget of {counted(limits.posts_per_day, 'post')}"
        else:
            return left
        if not limits.posts_per_day:
            return replace(left, until=until, spent="`post.budget.posts_per_day` is 0, so nothing is posted at all")
        return replace(left, until=until, spent=f"{what} is used up; next at {when(until)}")

    def charge(self, post: int, kind: Kind, now: datetime) -> Callable[[sqlite3.Connection], None]:
        """Return what `transitions.claim` calls in its transaction: it books this post, or raises BudgetSpent."""

        def book(db: sqlite3.Connection) -> None:
            left = self.left(now, kind)
            if left.until is not None:
                raise BudgetSpent(left.spent, left.until)
            self._book(db, kind, 1, now, post)

        return book

    def _book(self, db: sqlite3.Connection, kind: Kind, units: int, now: datetime, post: int | None) -> float:
        usd = units * self.price(kind)
        db.execute(
            "INSERT INTO spend (at, network, kind, units, usd, post) VALUES (?, ?, ?, ?, ?, ?)",
            (stamp(now), self.outbox.network, kind, units, usd, post),
        )
        return usd

    def _sum(self, column: str, begin: datetime, end: datetime, kind: str = "%") -> Any:
        query = f"SELECT coalesce(sum({column}), 0) FROM spend WHERE network = ? AND at >= ? AND at < ? AND kind LIKE ?"
        return self.outbox.ask(query, self.outbox.network, stamp(begin), stamp(end), kind)[0][0]


_ROUNDING = 1e-9


def next_day(now: datetime) -> datetime:
    """Return the next UTC midnight."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def next_month(now: datetime) -> datetime:
    """Return the first midnight of the next UTC month."""
    return (_month(now) + timedelta(days=32)).replace(day=1)


def _month(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
