"""What the bot remembers beside its posts: a pause, a block, a wait, and which slots are accounted for."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from biobot.posting.outbox import Outbox
from biobot.posting.post import By, moment, stamp
from biobot.text.terminal import clean


@dataclass(frozen=True, slots=True)
class BotState:
    """The table `bot`, and a network's row of `network`; the migrations 3 and 7 say what each column means."""

    paused: datetime | None = None
    blocked: str | None = None
    wait_until: datetime | None = None
    wait_reason: str | None = None
    strike: str | None = None
    strikes: int = 0
    resumed: datetime | None = None
    accounted: datetime | None = None
    schedule: str | None = None
    restored: datetime | None = None
    copied: datetime | None = None


_COLUMNS = tuple(each.name for each in fields(BotState))
_TIMES = {each.name for each in fields(BotState) if "datetime" in str(each.type)}


def read(outbox: Outbox) -> BotState:
    """Return the bot's state on the outbox's network as it is now."""
    query = f"SELECT {', '.join(_COLUMNS)} FROM bot LEFT JOIN network ON name = ?"
    (row,) = outbox.ask(query, outbox.network)
    found = {name: value for name, value in zip(_COLUMNS, row, strict=True) if value is not None}
    return BotState(**found | {name: moment(found[name]) for name in _TIMES & found.keys()})


def pause(outbox: Outbox, now: datetime) -> None:
    """Make no posts on any network until a person resumes."""
    if read(outbox).paused is None:
        with outbox.transaction() as db:
            db.execute("UPDATE bot SET paused = ?", (stamp(now),))
            outbox.note(db, None, None, "paused", now, "person", None)


def resume(outbox: Outbox, now: datetime) -> None:
    """End a pause, and each network's block or wait, with those of the texts that had to wait for them.

    Posts that are unconfirmed no longer keep a breaker open; a text whose fate is unknown waits as long as it must.
    """
    with outbox.transaction() as db:
        _row(db, outbox)
        db.execute("UPDATE bot SET paused = NULL")
        db.execute(
            "UPDATE network SET resumed = ?, blocked = NULL, wait_until = NULL, wait_reason = NULL", (stamp(now),)
        )
        db.execute("UPDATE post SET not_before = NULL WHERE state = 'approved' AND in_doubt = 0")
        outbox.note(db, None, None, "resumed", now, "person", None)


def block(outbox: Outbox, reason: str, now: datetime) -> None:
    """Make no calls until a person resumes."""
    if read(outbox).blocked != reason:
        _change(outbox, now, "policy", "blocked", reason, blocked=reason)


def wait(outbox: Outbox, until: datetime, reason: str, now: datetime) -> None:
    """Make no calls before `until`."""
    _change(outbox, now, "policy", f"wait until {stamp(until)}", reason, wait_until=until, wait_reason=reason)


def count_strike(outbox: Outbox, kind: str, now: datetime) -> int:
    """Count a failed call of that kind; return how many of the same kind came directly before it."""
    state = read(outbox)
    before = state.strikes if state.strike == kind else 0
    _change(outbox, now, "policy", None, None, strike=kind, strikes=before + 1)
    return before


def clear_strikes(outbox: Outbox, now: datetime) -> None:
    """Reset the count of failed calls after a success."""
    if read(outbox).strikes:
        _change(outbox, now, "policy", None, None, strike=None, strikes=0)


def account_for(outbox: Outbox, until: datetime, schedule: str, now: datetime) -> None:
    """Note that every slot of `schedule` up to `until` has a row."""
    _change(outbox, now, "policy", None, None, accounted=until, schedule=schedule)


def note_restored(outbox: Outbox, now: datetime) -> None:
    """Note that what is older than now may have been posted from a copy of this outbox."""
    _change(outbox, now, "policy", "restored", "the account has posts that this outbox does not know", restored=now)


def _change(outbox: Outbox, now: datetime, by: By, told: str | None, reason: str | None, **columns: Any) -> None:
    """Set columns, and put `told` into the audit (None: it is nothing that a person asks about)."""
    reason = clean(reason) if reason else None
    values = [stamp(value) if isinstance(value, datetime) else value for value in columns.values()]
    values = [clean(value) if isinstance(value, str) else value for value in values]
    with outbox.transaction() as db:
        _row(db, outbox)
        names = ", ".join(f"{name} = ?" for name in columns)
        db.execute(f"UPDATE network SET {names} WHERE name = ?", [*values, outbox.network])
        if told is not None:
            outbox.note(db, None, None, told, now, by, reason)


def _row(db: sqlite3.Connection, outbox: Outbox) -> None:
    db.execute("INSERT OR IGNORE INTO network (name) VALUES (?)", (outbox.network,))
