"""The outbox: the only record of what was posted and what will be.

Rows are made and read here, and their slots are moved; every change of a row's state is in
`biobot.posting.transitions`. Each change is one transaction with a row in `audit` beside it.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from biobot import storage
from biobot.errors import OutboxError
from biobot.posting.post import (
    ATTEMPTED,
    COLUMNS,
    PENDING,
    Audit,
    By,
    Draft,
    Post,
    State,
    moment,
    slot_key,
    stamp,
)
from biobot.text.humanize import when
from biobot.text.normalize import fold
from biobot.text.terminal import clean

UNNOTED = 0.5
"""A change of the file this many seconds after the last one noted in it was none of ours: a commit is faster."""


class Taken(OutboxError):
    """This account already has a row with that slot, or with a text that looks the same."""


class WrongAccount(OutboxError):
    """The keys are those of another account than the one whose posts these are."""


class Replaced(OutboxError):
    """The file was replaced or deleted while it was open: whoever wrote on would write into nothing."""


class Outbox:
    """The rows of one bot on one network.

    Opening makes the file and brings it up to date; `read_only` makes nothing, and is empty without a file.
    `account` is the network's id of the account, '' until `claim_account` was told it.
    """

    def __init__(self, path: Path, network: str, *, read_only: bool = False) -> None:
        self.path = path
        self.network = network
        with storage.errors_as(OutboxError, path):
            if read_only:
                self._db = storage.open_read_only(path, migrations())
            else:
                # opening rolls back what a killed process left, which is a change, too
                changed = None if storage.is_unfinished(path) or not path.exists() else path.stat().st_ctime
                self._db = storage.open_read_write(path, migrations(), backup=True)
        self._file = _identity(path)
        self._entries = 0
        if not read_only:
            self._recognise_copy(changed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _recognise_copy(self, changed: float | None) -> None:
        """Note when the file was changed later than what wrote to it last noted: it is a copy that was put back."""
        with storage.errors_as(OutboxError, self.path):
            (written,) = self._db.execute("SELECT written FROM bot").fetchone()
        if changed is None and written is not None:
            with self.transaction():
                pass
        elif changed is not None and written is not None and changed - written > UNNOTED:
            with self.transaction() as db:
                db.execute("UPDATE bot SET copied = ?", (stamp(datetime.fromtimestamp(changed, UTC)),))

    @property
    def account(self) -> str:
        """Whose posts these are, by the network's id; '' while it has not said."""
        found = self.ask("SELECT id FROM account WHERE network = ?", self.network)
        return found[0][0] if found else ""

    # -- reading -------------------------------------------------------------------------------------

    def get(self, post: int) -> Post:
        """Return one row; raise OutboxError if there is no such post."""
        found = self._posts("id = ?", post)
        if not found:
            raise OutboxError(f"there is no post {post} in the outbox; `biobot queue list` shows them")
        return found[0]

    def posts(self, *states: State, limit: int | None = None, everywhere: bool = False) -> list[Post]:
        """Return the rows in these states (none: in any), oldest first; with `limit` the newest ones.

        Those of this network, or with `everywhere` those of every network that the bot has posted to.
        """
        where = f"({_any(states)})" if states else "1"
        values: list[str | int] = list(states)
        if not everywhere:
            where, values = f"network = ? AND {where}", [self.network, *values]
        if limit is None:
            return self._posts(where, *values)
        return self._posts(f"{where} ORDER BY id DESC LIMIT ?", *values, limit)[::-1]

    def counts(self, *networks: str) -> dict[str, int]:
        """Count the rows of `networks` (none: of this one) by state; every state is there."""
        names = networks or (self.network,)
        query = f"SELECT state, sum(number) FROM tally WHERE network IN ({_marks(names)}) GROUP BY state"
        found = dict(self.ask(query, *names))
        return {str(state): found.get(state, 0) for state in State}

    def networks(self) -> list[str]:
        """Return the names of all networks that have rows."""
        return [name for (name,) in self.ask("SELECT DISTINCT network FROM tally ORDER BY network")]

    def at(self, slot: datetime, network: str | None = None) -> Post | None:
        """Return the row that a slot belongs to, on `network` (None: on this one); None while it is free."""
        where = "network = ? AND slot = ? AND slot_released = 0"
        found = self._posts(where, network or self.network, slot_key(slot))
        return found[0] if found else None

    def elsewhere(self, slot: datetime, networks: Sequence[str]) -> list[Post]:
        """Return the rows that a slot belongs to on those of `networks` that are others, in their order."""
        there = [name for name in networks if name != self.network]
        where = f"network IN ({_marks(there)}) AND slot = ? AND slot_released = 0"
        return sorted(self._posts(where, *there, slot_key(slot)), key=lambda row: there.index(row.network))

    def siblings(self, post: int) -> list[int]:
        """Return the ids of all rows that share this one's text across networks, its own included."""
        query = "SELECT id FROM post WHERE coalesce(origin, id) = (SELECT coalesce(origin, id) FROM post WHERE id = ?)"
        return [found for (found,) in self.ask(query, post)]

    def taken(self, first: datetime, last: datetime) -> set[datetime]:
        """Return the slots from `first` to `last` that belong to a row."""
        rows = self.ask(
            "SELECT slot FROM post WHERE network = ? AND slot_released = 0 AND slot BETWEEN ? AND ?",
            self.network,
            slot_key(first),
            slot_key(last),
        )
        return {moment(slot) for (slot,) in rows}

    def tries(self, slot: datetime) -> int:
        """Count the texts that already lost this slot."""
        query = "SELECT count(*) FROM post WHERE network = ? AND slot = ? AND slot_released = 1 AND missed = 0"
        ((count,),) = self.ask(query, self.network, slot_key(slot))
        return int(count)

    def remote_ids(self, ids: Sequence[str]) -> set[str]:
        """Return those of the network's ids that already belong to a row."""
        query = f"SELECT remote_id FROM post WHERE network = ? AND remote_id IN ({_marks(ids)})"
        return {found for (found,) in self.ask(query, self.network, *ids)}

    def undone(self) -> list[Post]:
        """Return the posts that a person wants deleted, and that are not known to be."""
        # the + keeps SQLite from reading all that was posted: few are undone
        undone = "id IN (SELECT id FROM post WHERE undone IS NOT NULL)"
        return self._posts(f"{undone} AND +network = ? AND +state = 'posted'", self.network)

    def deleted_since(self, since: datetime) -> list[Post]:
        """Return the posts whose deletion a person asked for after `since`, and that are deleted."""
        undone = "id IN (SELECT id FROM post WHERE undone > ?)"
        return self._posts(f"{undone} AND +network = ? AND +state = 'deleted'", stamp(since), self.network)

    def posted_since(self, since: datetime, limit: int) -> list[Post]:
        """Return the posts of this network that are there and were made after `since`, the newest `limit` first."""
        order = "ORDER BY posted DESC LIMIT ?"
        return self._posts(
            f"network = ? AND +state = 'posted' AND posted > ? {order}", self.network, stamp(since), limit
        )

    def last_posted(self) -> Post | None:
        """Return the post that was made last, deleted or not."""
        found = self._posts("network = ? AND remote_id IS NOT NULL ORDER BY posted DESC LIMIT 1", self.network)
        return found[0] if found else None

    def expired_after(self, now: datetime) -> list[int]:
        """Return the rows that expired at a time that is still to come."""
        return [post for (post,) in self.ask("SELECT id FROM post WHERE expired > ?", stamp(now))]

    def last_attempt(self, until: datetime) -> datetime | None:
        """Return when the newest attempt began that is, or may be, on the account; none after `until` counts."""
        query = f"SELECT max(attempted) FROM post WHERE network = ? AND attempted <= ? AND ({_any(ATTEMPTED)})"
        ((found,),) = self.ask(query, self.network, stamp(until), *ATTEMPTED)
        return moment(found) if found else None

    def unconfirmed_run(self, since: datetime | None, until: datetime) -> int:
        """Count how many of the newest attempts after `since` are unconfirmed, up to the first that is not."""
        rows = self.ask(
            "SELECT state FROM post WHERE network = ? AND attempted > ? AND attempted <= ? AND state != 'sending' "
            "ORDER BY attempted DESC LIMIT 10",
            self.network,
            stamp(since) if since else "",
            stamp(until),
        )
        run = 0
        for (state,) in rows:
            if state != State.UNCONFIRMED:
                break
            run += 1
        return run

    def decisions(self) -> list[tuple[str, bool]]:
        """Return the sampled texts that a person approved (True) or rejected (False), on all networks, oldest first."""
        rejected = "EXISTS (SELECT 1 FROM audit WHERE post = post.id AND state = 'rejected' AND by = 'person')"
        rows = self.ask(
            f"SELECT text, approved_by IS 'person' FROM post WHERE model IS NOT NULL AND text IS NOT NULL "
            f"AND origin IS NULL AND (approved_by IS 'person' OR (state = 'rejected' AND {rejected})) ORDER BY id"
        )
        return [(text, bool(approved)) for text, approved in rows]

    def text_blocks(self, size: int) -> Iterator[tuple[int, str, list[int]]]:
        """Yield the rows of all networks that have a text, in blocks of `size` ids.

        Each block is its number (its ids divided by `size`), a JSON object of ids and texts, and the ids of the rows
        whose texts are not on their way.
        """
        ((last,),) = self.ask("SELECT coalesce(max(id), 0) FROM post")
        queued: dict[int, list[int]] = {}
        for (post,) in self.ask(f"SELECT id FROM post WHERE ({_any(_QUEUED)}) AND text IS NOT NULL", *_QUEUED):
            queued.setdefault(post // size, []).append(post)
        # in the order of their ids, since that is how SQLite reads a range of them
        query = "SELECT json_group_object(id, text) FROM post WHERE id BETWEEN ? AND ? AND text IS NOT NULL"
        for number in range(last // size + 1):
            first = number * size
            ((texts,),) = self.ask(query, first, first + size - 1)
            yield number, texts, queued.get(number, [])

    def audit(self, post: int | None) -> list[Audit]:
        """Return the history of one row (or, with None, of the whole bot), oldest first."""
        rows = self.ask("SELECT post, at, was, state, by, reason FROM audit WHERE post IS ? ORDER BY id", post)
        return [Audit(row[0], moment(row[1]), *row[2:]) for row in rows]

    def last_audit(self) -> int:
        """Return the number of the newest entry in the history of all rows and the bot."""
        ((found,),) = self.ask("SELECT coalesce(max(id), 0) FROM audit")
        return int(found)

    def audit_after(self, number: int) -> Iterator[tuple[int, Audit]]:
        """Yield the entries after that one with their numbers, oldest first."""
        for row in self.ask("SELECT id, post, at, was, state, by, reason FROM audit WHERE id > ? ORDER BY id", number):
            yield row[0], Audit(row[1], moment(row[2]), *row[3:])

    def refused(self) -> dict[str, int]:
        """Count the candidates that each filter refused so far, by its name, the busiest filter first."""
        return dict(self.ask("SELECT filter, count FROM refused ORDER BY count DESC, filter"))

    # -- new rows ------------------------------------------------------------------------------------

    def add(self, drafts: Sequence[Draft], state: State, now: datetime, by: By = "policy") -> list[Post | None]:
        """Store drafts, all in one transaction, as `approved` or `held`; None for one whose slot or text is taken."""
        assert state in PENDING
        with self.transaction() as db:
            ids = [self._insert(db, draft, state, now, by) for draft in drafts]
        return [None if each is None else self.get(each) for each in ids]

    def add_posted(self, posts: Iterable[tuple[str, datetime, str]]) -> None:
        """Store texts that are on the network already, each with its time and id, all in one transaction.

        One that looks the same as another row's is left out.
        """
        with self.transaction() as db:
            for text, at, remote_id in posts:
                self._insert(
                    db,
                    Draft(text),
                    State.POSTED,
                    at,
                    "policy",
                    attempted=stamp(at),
                    posted=stamp(at),
                    remote_id=remote_id,
                )

    def _insert(
        self, db: sqlite3.Connection, draft: Draft, state: State, now: datetime, by: By, **more: str
    ) -> int | None:
        columns = asdict(draft) | {
            "state": state,
            "folded": folded(draft.text),
            "slot": slot_key(draft.slot) if draft.slot else None,
            "network": self.network,
            "account": self.account,
            "created": stamp(now),
            "approved_by": None if state is State.HELD else by,
            **more,
        }
        try:
            query = f"INSERT INTO post ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
            made = db.execute(query, tuple(columns.values()))
        except sqlite3.IntegrityError:
            return None
        self.note(db, made.lastrowid, None, state, now, by, None)
        return made.lastrowid

    def skip(self, slots: Iterable[datetime], reason: str, now: datetime, *, missed: bool = False) -> None:
        """Account for slots that get no text, in one transaction; those that belong to a row stay as they are."""
        slots, reason = list(slots), clean(reason)
        if not slots:
            return
        with self.transaction() as db:
            for slot in slots:
                made = db.execute(
                    "INSERT OR IGNORE INTO post (state, slot, network, account, created, reason, missed) "
                    "VALUES ('skipped', ?, ?, ?, ?, ?, ?)",
                    (slot_key(slot), self.network, self.account, stamp(now), reason, missed),
                )
                if made.rowcount:
                    self.note(db, made.lastrowid, None, State.SKIPPED, now, "policy", reason)

    def count_refused(self, counts: Mapping[str, int]) -> None:
        """Add to the counts of candidates that each filter refused; the candidates themselves are not kept."""
        if not counts:
            return
        with self.transaction() as db:
            db.executemany(
                "INSERT INTO refused VALUES (?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
                counts.items(),
            )

    # -- slots and accounts --------------------------------------------------------------------------

    def assign_slot(self, slot: datetime | None, post: int, now: datetime) -> None:
        """Assign a pending row `slot` (None: no slot); a pending row that had it gets `post`'s old slot."""
        with self.transaction() as db:
            mine = self.get(post)
            if mine.slot == slot:
                return
            other = self.at(slot, mine.network) if slot else None
            moves = [(mine, slot)] if other is None else [(other, mine.slot), (mine, slot)]
            for row, _ in moves:
                if row.state not in PENDING:
                    raise OutboxError(f"post {row.id} is {row.state}; its slot cannot change")
                db.execute("UPDATE post SET slot = NULL, rev = rev + 1 WHERE id = ?", (row.id,))
            for row, where in moves:
                key = slot_key(where) if where else None
                db.execute("UPDATE post SET slot = ? WHERE id = ?", (key, row.id))
                self.note(
                    db, row.id, row.state, row.state, now, "policy", f"moved to {when(where) if where else 'no slot'}"
                )

    def release_missed(self, now: datetime) -> None:
        """Release the slots that were marked as missed and lie ahead: the clock had run fast, and was put back."""
        ahead = "network = ? AND missed = 1 AND slot_released = 0 AND slot > ?"
        if self.ask(f"SELECT 1 FROM post WHERE {ahead} LIMIT 1", self.network, slot_key(now)):
            with self.transaction() as db:
                db.execute(f"UPDATE post SET slot_released = 1 WHERE {ahead}", (self.network, slot_key(now)))

    def claim_account(self, account: str, now: datetime) -> None:
        """Record whose account this outbox belongs to; raise WrongAccount if it is another one (F44)."""
        known = self.account
        if known == account:
            return
        if known:
            raise WrongAccount(
                f"the keys belong to account {account} on {self.network}, but this outbox to account {known}; "
                f"use that account's keys, or another --home"
            )
        with self.transaction() as db:
            db.execute("UPDATE post SET account = ? WHERE network = ? AND account = ''", (account, self.network))
            db.execute("INSERT INTO account VALUES (?, ?, ?)", (self.network, account, stamp(now)))
            self.note(db, None, None, f"account:{self.network}", now, "policy", account)

    def prune(self, before: datetime) -> None:
        """Delete older audit rows and skipped slots; posts and texts stay."""
        old = (stamp(before),)
        with self.transaction() as db:
            db.execute(
                "DELETE FROM audit WHERE at < ? AND (post IS NULL OR (SELECT state FROM post WHERE id = audit.post) IN "
                "('posted', 'deleted', 'failed', 'rejected', 'skipped'))",
                old,
            )
            db.execute(
                "DELETE FROM post WHERE state = 'skipped' AND created < ? AND NOT EXISTS "
                "(SELECT 1 FROM audit WHERE audit.post = post.id)",
                old,
            )

    # -- SQLite --------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Do all of it or nothing; a file that cannot be written is an OutboxError (F15).

        Each leaves its time in the file, which tells a copy of it that was put back.
        """
        self.check_file()
        with storage.errors_as(OutboxError, self.path), storage.transaction(self._db):
            if self._last_entry() < self._entries:  # a copy was written over it
                raise self._replaced()
            yield self._db
            self._db.execute("UPDATE bot SET written = ?", (time.time(),))
            self._entries = self._last_entry()

    def _last_entry(self) -> int:
        """Return the number of the newest entry that the history ever had."""
        found = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'audit'").fetchone()
        return int(found[0]) if found else 0

    def check_file(self) -> None:
        """Raise Replaced unless the path still leads to the file that is open."""
        if _identity(self.path) != self._file:
            raise self._replaced()

    def _replaced(self) -> Replaced:
        return Replaced(
            f"{self.path} was replaced or deleted while it was in use: put the right file there, then start again"
        )

    def ask(self, query: str, *values: Any) -> list[Any]:
        """Run one reading query."""
        with storage.errors_as(OutboxError, self.path):
            return self._db.execute(query, values).fetchall()

    def _posts(self, where: str, *values: Any) -> list[Post]:
        order = "" if "ORDER BY" in where else " ORDER BY id"
        return list(map(Post.read, self.ask(f"SELECT {', '.join(COLUMNS)} FROM post WHERE {where}{order}", *values)))

    @staticmethod
    def note(
        db: sqlite3.Connection,
        post: int | None,
        was: str | None,
        state: str,
        now: datetime,
        by: By,
        reason: str | None,
    ) -> None:
        """Write a row of the audit, in the transaction of what it tells."""
        db.execute(
            "INSERT INTO audit (post, at, was, state, by, reason) VALUES (?, ?, ?, ?, ?, ?)",
            (post, stamp(now), was, state, by, reason),
        )


_QUEUED = (State.HELD, State.APPROVED, State.REJECTED, State.SKIPPED)
"""Whose texts are not on their way; those of all other states may be on the network."""


def folded(text: str) -> str:
    """Return what two texts share that look the same."""
    return fold(text) or text  # a text of nothing but invisible letters folds to nothing


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _any(states: Sequence[State]) -> str:
    return " OR ".join(["state = ?"] * len(states))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


# -- opening -----------------------------------------------------------------------------------------


def migrations() -> list[str]:
    """Return the SQL script of every version, oldest first."""
    return storage.migrations("posting")
