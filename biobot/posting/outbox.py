"""The outbox: the only truth about what was posted, and the proof that nothing is posted twice.

    held ──────► approved ──► sending ──► posted ──► deleted
      │            │  ▲          │ ├────► unconfirmed ──► posted | failed
      └► rejected ◄┘  └──────────┘ └────► failed
                     (not sent: later)
    a person may also: rejected | approved ──► held (taken back), unconfirmed | failed ──► approved (sent again)

X has no idempotency key, so a row is `sending`, on disk, before the one call that posts it is made. Whoever
dies in between leaves a row whose fate is unknown; it is looked for on the timeline and never sent again by
itself. A crash can lose the knowledge of a post for a while; it can never repeat one.

Each change is one transaction in `_move` (or beside it, for new rows), with a row in `audit`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self

from biobot import storage
from biobot.errors import OutboxError
from biobot.text.normalize import fold

By = Literal["person", "policy"]
"""Who changed a row: somebody, or the bot by its settings."""


class State(StrEnum):
    """Where a row stands."""

    HELD = "held"
    APPROVED = "approved"
    REJECTED = "rejected"
    SENDING = "sending"
    POSTED = "posted"
    UNCONFIRMED = "unconfirmed"
    FAILED = "failed"
    DELETED = "deleted"
    SKIPPED = "skipped"


MOVES = {
    State.HELD: {State.APPROVED, State.REJECTED},
    State.APPROVED: {State.SENDING, State.REJECTED, State.HELD},  # held: review was turned on, or a yes taken back
    State.SENDING: {State.POSTED, State.UNCONFIRMED, State.FAILED, State.APPROVED},
    State.UNCONFIRMED: {State.POSTED, State.FAILED, State.APPROVED},
    State.FAILED: {State.APPROVED, State.POSTED},  # only one that was never found, by a person, or when found late
    State.POSTED: {State.DELETED},
    State.REJECTED: {State.HELD},  # a person takes a no back
    State.DELETED: set[State](),
    State.SKIPPED: set[State](),
}
"""Every change of state that there is."""


_CAN = {
    State.HELD: "`biobot approve {0}` or `biobot reject {0}` decides on it",
    State.APPROVED: "it waits for its turn, and `biobot reject {0}` drops it",
    State.SENDING: "it is being sent just now, look again in a minute",
    State.UNCONFIRMED: "`biobot reconcile {0}` looks for it on the timeline",
    State.FAILED: "`biobot why {0}` tells what happened",
    State.POSTED: "`biobot undo {0}` deletes it",
    State.REJECTED: "nothing is left to do about it",
    State.DELETED: "nothing is left to do about it",
    State.SKIPPED: "nothing is left to do about it",
}
"""What a person can do about a row in each state."""


class Taken(OutboxError):
    """This account already has a row with that slot, or with a text that looks the same."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A text that may become a row; `slot` is None for a manual post."""

    text: str
    slot: datetime | None = None
    temperature: float | None = None
    seed: int | None = None
    model: str | None = None
    controls: str = "{}"


@dataclass(frozen=True, slots=True)
class Post:
    """One row of the outbox as it is now; see migrations/0001.sql for what each column means."""

    id: int
    rev: int
    state: State
    text: str | None
    slot: datetime | None
    freed: bool
    network: str
    account: str
    temperature: float | None
    seed: int | None
    model: str | None
    controls: str
    created: datetime
    approved_by: By | None
    edited: bool
    reason: str | None
    not_before: datetime | None
    sending: datetime | None
    resends: int
    checks: int
    posted: datetime | None
    remote_id: str | None
    missed: bool

    @property
    def attempted(self) -> bool:
        """Return whether a call was made for it, however it ended."""
        return self.sending is not None


@dataclass(frozen=True, slots=True)
class Audit:
    """One change of one row, or of the whole bot (`post` is None)."""

    post: int | None
    at: datetime
    was: str | None
    state: str
    by: str
    reason: str | None


COLUMNS = tuple(each.name for each in fields(Post))
_TIMES = {"slot", "created", "not_before", "sending", "posted"}
_FLAGS = {"edited", "missed", "freed"}


def stamp(moment: datetime) -> str:
    """Write a time as the outbox keeps it: UTC, milliseconds, sorted like the times themselves."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def slot_key(slot: datetime) -> str:
    """Write a slot: UTC, whole seconds."""
    return f"{slot.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def moment(text: str) -> datetime:
    """Read what `stamp` or `slot_key` wrote."""
    return datetime.fromisoformat(text)


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
                self._db = storage.open_read_write(path, migrations(), backup=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    @property
    def account(self) -> str:
        """Whose posts these are, by the network's id; '' while it has not said."""
        return self.flag(f"account:{self.network}") or ""

    # -- reading -------------------------------------------------------------------------------------

    def get(self, post: int) -> Post:
        """Return one row; raise OutboxError for an id that there is not."""
        found = next(self._posts("id = ?", post), None)
        if found is None:
            raise OutboxError(f"there is no post {post} in the outbox; `biobot queue list` shows them")
        return found

    def posts(self, *states: State, limit: int | None = None, everywhere: bool = False) -> list[Post]:
        """Return the rows in these states (none: in any), oldest first; with `limit` the newest ones.

        Those of this network, or with `everywhere` those of every network that the bot has posted to.
        """
        where = f"({_any(states)})" if states else "1"
        values: list[str | int] = list(states)
        if not everywhere:
            where, values = f"network = ? AND {where}", [self.network, *values]
        if limit is None:
            return list(self._posts(where, *values))
        newest = list(self._posts(f"{where} ORDER BY id DESC LIMIT ?", *values, limit))
        return newest[::-1]

    def counts(self) -> dict[str, int]:
        """Count this network's rows by state; every state is there."""
        found = dict(self.ask("SELECT state, count(*) FROM post WHERE network = ? GROUP BY state", self.network))
        return {str(state): found.get(state, 0) for state in State}

    def at(self, slot: datetime) -> Post | None:
        """Return the row that a slot belongs to; None while it is free."""
        return next(self._posts("network = ? AND slot = ? AND freed = 0", self.network, slot_key(slot)), None)

    def taken(self, first: datetime, last: datetime) -> set[datetime]:
        """Return the slots from `first` to `last` that belong to a row."""
        rows = self.ask(
            "SELECT slot FROM post WHERE network = ? AND freed = 0 AND slot BETWEEN ? AND ?",
            self.network,
            slot_key(first),
            slot_key(last),
        )
        return {moment(slot) for (slot,) in rows}

    def remote_ids(self, ids: Sequence[str]) -> set[str]:
        """Return those of the network's ids that already belong to a row."""
        marks = ", ".join("?" * len(ids))
        query = f"SELECT remote_id FROM post WHERE network = ? AND remote_id IN ({marks})"
        return {found for (found,) in self.ask(query, self.network, *ids)}

    def tries(self, slot: datetime) -> int:
        """Count the texts that already lost this slot."""
        query = "SELECT count(*) FROM post WHERE network = ? AND slot = ? AND freed = 1 AND missed = 0"
        ((count,),) = self.ask(query, self.network, slot_key(slot))
        return int(count)

    def last_posted(self, until: datetime) -> datetime | None:
        """Return when the newest attempt began that is, or may be, on the account; none after `until` counts."""
        query = f"SELECT sending FROM post WHERE network = ? AND sending <= ? AND ({_any(_SENT)})"
        found = self.ask(f"{query} ORDER BY sending DESC LIMIT 1", self.network, stamp(until), *_SENT)
        return moment(found[0][0]) if found else None

    def unconfirmed_run(self, now: datetime) -> int:
        """Count how many of the newest attempts are unconfirmed, up to the first that is not.

        Those from before the last `resume` do not count: a person has seen them.
        """
        rows = self.ask(
            "SELECT state FROM post WHERE network = ? AND sending > ? AND sending <= ? AND state != 'sending' "
            "ORDER BY sending DESC LIMIT 10",
            self.network,
            self.flag("resumed") or "",
            stamp(now),
        )
        run = 0
        for (state,) in rows:
            if state != State.UNCONFIRMED:
                break
            run += 1
        return run

    def texts(self) -> Iterator[tuple[int, str, str]]:
        """Yield the id, state and text of every row that has a text, whatever its network, by id."""
        with storage.errors_as(OutboxError, self.path):
            yield from self._db.execute("SELECT id, state, text FROM post WHERE text IS NOT NULL ORDER BY id")

    def audit(self, post: int | None) -> list[Audit]:
        """Return the story of one row (or, with None, of the whole bot), oldest first."""
        rows = self.ask("SELECT post, at, was, state, by, reason FROM audit WHERE post IS ? ORDER BY id", post)
        return [Audit(row[0], moment(row[1]), *row[2:]) for row in rows]

    def flag(self, name: str) -> str | None:
        """Read a flag: `paused`, `blocked`, `account:x` ..."""
        rows = self.ask("SELECT value FROM flag WHERE name = ?", name)
        return rows[0][0] if rows else None

    def flags(self, prefix: str = "") -> dict[str, str]:
        """Return every flag whose name begins with `prefix`."""
        rows = self.ask("SELECT name, value FROM flag WHERE substr(name, 1, ?) = ?", len(prefix), prefix)
        return dict(rows)

    # -- new rows ------------------------------------------------------------------------------------

    def add(self, drafts: Sequence[Draft], state: State, now: datetime, by: By = "policy") -> list[Post | None]:
        """Store drafts, all in one transaction, as `approved` or `held`; None for one whose slot or text is taken."""
        assert state in (State.APPROVED, State.HELD)
        with self.transaction() as db:
            ids = [self._insert(db, draft, state, now, by) for draft in drafts]
        return [None if each is None else self.get(each) for each in ids]

    def _insert(self, db: sqlite3.Connection, draft: Draft, state: State, now: datetime, by: By) -> int | None:
        try:
            made = db.execute(
                "INSERT INTO post (state, text, folded, slot, network, account, temperature, seed, model, controls, "
                "created, approved_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    state,
                    draft.text,
                    _folded(draft.text),
                    slot_key(draft.slot) if draft.slot else None,
                    self.network,
                    self.account,
                    draft.temperature,
                    draft.seed,
                    draft.model,
                    draft.controls,
                    stamp(now),
                    by if state is State.APPROVED else None,
                ),
            )
        except sqlite3.IntegrityError:
            return None
        self._note(db, made.lastrowid, None, state, now, by, None)
        return made.lastrowid

    def skip(self, slots: Iterable[datetime], reason: str, now: datetime, *, missed: bool = False) -> None:
        """Account for slots that get no text, in one transaction; those that belong to a row stay as they are."""
        slots = list(slots)
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
                    self._note(db, made.lastrowid, None, State.SKIPPED, now, "policy", reason)

    def take_back_missed(self, now: datetime) -> None:
        """Free the slots that were marked as missed and lie ahead: the clock had run fast, and was put back."""
        ahead = "network = ? AND missed = 1 AND freed = 0 AND slot > ?"
        if self.ask(f"SELECT 1 FROM post WHERE {ahead} LIMIT 1", self.network, slot_key(now)):
            with self.transaction() as db:
                db.execute(f"UPDATE post SET freed = 1 WHERE {ahead}", (self.network, slot_key(now)))

    # -- changes of state ----------------------------------------------------------------------------

    def approve(self, post: int, now: datetime, rev: int | None = None) -> Post:
        """Note a person's yes."""
        return self._move(post, State.APPROVED, now, "person", rev=rev, only=(State.HELD,), approved_by="person")

    def reject(self, post: int, now: datetime, reason: str, by: By = "person", rev: int | None = None) -> Post:
        """Drop a draft; its slot may be filled by another, its text never comes back."""
        waiting = (State.HELD, State.APPROVED)
        return self._move(post, State.REJECTED, now, by, reason, rev=rev, only=waiting, freed=1)

    def reopen(self, post: int, now: datetime, rev: int | None = None) -> Post:
        """Take a person's yes or no back; a slot that went to another draft meanwhile is not taken from it."""
        row = self.get(post)
        if row.attempted:
            raise OutboxError(f"post {post} was sent; nothing can be taken back but by `biobot undo {post}`")
        other = self.at(row.slot) if row.slot else None
        gone = {"slot": None} if other is not None and other.id != post else {}
        return self._move(
            post,
            State.HELD,
            now,
            "person",
            "taken back",
            rev=row.rev if rev is None else rev,
            only=(State.APPROVED, State.REJECTED),
            approved_by=None,
            freed=0,
            **gone,
        )

    def hold(self, post: int, now: datetime) -> Post:
        """Take an approval back that no person gave: review was turned on after the draft was made."""
        return self._move(post, State.HELD, now, "policy", "review is on", approved_by=None)

    def claim(
        self,
        post: int,
        now: datetime,
        *,
        review: bool,
        charge: Callable[[sqlite3.Connection], None],
        rev: int | None = None,
    ) -> Post:
        """Put a row on disk as `sending`, with its cost, before the one call that posts it.

        `charge` books the cost in the same transaction, or raises and so forbids the post. With `review`, a
        person's yes is asked for here, where nothing can come between it and the call.
        """

        def allowed(db: sqlite3.Connection, row: Post) -> None:
            if review and row.approved_by != "person":
                raise OutboxError(f"no person has approved post {row.id}, and `post.review` is on")
            charge(db)

        return self._move(post, State.SENDING, now, "policy", rev=rev, check=allowed, sending=stamp(now), checks=0)

    def posted(self, post: int, remote_id: str, now: datetime, reason: str | None = None) -> Post:
        """Note the network's id: the post is there."""
        return self._move(
            post, State.POSTED, now, "policy", reason, remote_id=remote_id, posted=stamp(now), not_before=None
        )

    def unconfirmed(self, post: int, now: datetime, reason: str) -> Post:
        """Note that nobody knows whether the post is there."""
        return self._move(post, State.UNCONFIRMED, now, "policy", reason)

    def defer(self, post: int, until: datetime | None, now: datetime, reason: str) -> Post:
        """Put a post that was definitely not made back into the queue, unpaid, not to be tried before `until`."""
        not_before = stamp(until) if until else None
        return self._move(
            post, State.APPROVED, now, "policy", reason, only=(State.SENDING,), check=_unpay, not_before=not_before
        )

    def refuse(self, post: int, now: datetime, reason: str) -> Post:
        """Note the network's definite no to this text: unpaid, and another text may have its slot."""
        return self._move(
            post, State.FAILED, now, "policy", reason, only=(State.SENDING,), check=_unpay, freed=1, not_before=None
        )

    def lost(self, post: int, now: datetime, reason: str) -> Post:
        """Stop looking for a post: it is never sent again by itself, and its slot stays its own."""
        return self._move(post, State.FAILED, now, "policy", reason, only=(State.UNCONFIRMED,))

    def resend(self, post: int, now: datetime) -> Post:
        """Let a person send a text again whose fate was never found out."""
        row = self.get(post)
        if not row.attempted:
            raise OutboxError(f"post {post} is {row.state}: it was never sent, so there is nothing to send again")
        if row.freed:
            raise OutboxError(f"post {post} was refused ({row.reason}); it is not sent again: give another text")
        return self._move(
            post,
            State.APPROVED,
            now,
            "person",
            "sent again by a person",
            rev=row.rev,
            only=(State.UNCONFIRMED, State.FAILED),
            approved_by="person",
            resends=row.resends + 1,
            not_before=None,
        )

    def deleted(self, post: int, now: datetime) -> Post:
        """Note that a person had the post deleted."""
        return self._move(post, State.DELETED, now, "person")

    def looked(self, post: int, now: datetime) -> Post:
        """Note that the timeline was read and does not show the post (yet)."""
        with self.transaction() as db:
            db.execute("UPDATE post SET checks = checks + 1, rev = rev + 1 WHERE id = ?", (post,))
            self._note(db, post, State.UNCONFIRMED, State.UNCONFIRMED, now, "policy", "not on the timeline yet")
        return self.get(post)

    def edit(self, post: int, text: str, now: datetime, rev: int | None = None) -> Post:
        """Change the text of a row that waits. Raise Taken for a text that the account already has a row of."""
        row = self.get(post)
        waiting = (State.HELD, State.APPROVED)
        reason = f"edited; it was: {row.text}"
        try:
            return self._move(
                post,
                row.state,
                now,
                "person",
                reason,
                rev=row.rev if rev is None else rev,
                only=waiting,
                text=text,
                folded=_folded(text),
                edited=1,
            )
        except sqlite3.IntegrityError:
            raise Taken(f"the outbox already has a text like that; post {post} stays as it was") from None

    def give(self, slot: datetime | None, post: int, now: datetime) -> None:
        """Let a waiting row have `slot` (None: no slot); a waiting row that had it gets the other one's instead."""
        with self.transaction() as db:
            mine = self._one(db, post)
            if mine.slot == slot:
                return
            held = "network = ? AND slot = ? AND freed = 0"
            other = next(_rows(db, held, (self.network, slot_key(slot))), None) if slot else None
            moves = [(mine, slot)] if other is None else [(other, mine.slot), (mine, slot)]
            for row, _ in moves:
                if row.state not in (State.HELD, State.APPROVED):
                    raise OutboxError(f"post {row.id} is {row.state}; its slot cannot change")
                db.execute("UPDATE post SET slot = NULL, rev = rev + 1 WHERE id = ?", (row.id,))
            for row, where in moves:
                key = slot_key(where) if where else None
                db.execute("UPDATE post SET slot = ? WHERE id = ?", (key, row.id))
                self._note(db, row.id, row.state, row.state, now, "policy", f"moved to {key or 'no slot'}")

    def _move(
        self,
        post: int,
        to: State,
        now: datetime,
        by: By,
        reason: str | None = None,
        *,
        rev: int | None = None,
        only: Sequence[State] = (),
        check: Callable[[sqlite3.Connection, Post], None] | None = None,
        **columns: Any,
    ) -> Post:
        """Change one row's state: the only place where that happens.

        `rev` is the revision that the decider saw. `only` narrows the states that it may come from. `check`
        runs inside the transaction and forbids the change by raising.
        """
        with self.transaction() as db:
            row = self._one(db, post)
            if rev is not None and row.rev != rev:
                raise OutboxError(f"post {post} has changed since (revision {row.rev}, not {rev}); look at it again")
            stays = to is row.state and row.state in only
            if not stays and (to not in MOVES[row.state] or (only and row.state not in only)):
                already = "already " if to is row.state else ""
                change = "" if already else f" and cannot become {to}"
                raise OutboxError(f"post {post} is {already}{row.state}{change}: {_CAN[row.state].format(post)}")
            if check is not None:
                check(db, row)
            values = {"state": to, "reason": reason, "rev": row.rev + 1, **columns}
            names = ", ".join(f"{name} = ?" for name in values)
            db.execute(f"UPDATE post SET {names} WHERE id = ?", (*values.values(), post))
            self._note(db, post, row.state, to, now, by, reason)
        return self.get(post)

    # -- the whole bot -------------------------------------------------------------------------------

    def set_flag(self, name: str, value: str | None, now: datetime, by: By = "policy") -> None:
        """Set or (with None) clear a flag, and note it unless nothing changed."""
        if self.flag(name) == value:
            return
        with self.transaction() as db:
            if value is None:
                db.execute("DELETE FROM flag WHERE name = ?", (name,))
            else:
                db.execute("INSERT OR REPLACE INTO flag VALUES (?, ?, ?)", (name, value, stamp(now)))
            if not name.startswith("_"):
                self._note(db, None, None, name if value is not None else f"not {name}", now, by, value)

    def count_refused(self, counts: Mapping[str, int], now: datetime) -> None:
        """Add to the counts of candidates that each filter refused; the candidates themselves are not kept."""
        if not counts:
            return
        with self.transaction() as db:
            for name, count in counts.items():
                db.execute(
                    "INSERT INTO flag VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE "
                    "SET value = CAST(CAST(value AS INTEGER) + excluded.value AS TEXT), since = excluded.since",
                    (f"_refused:{name}", str(count), stamp(now)),
                )

    def refused(self) -> dict[str, int]:
        """Count the candidates that each filter refused so far, by its name, the busiest filter first."""
        flags = self.flags("_refused:")
        counts = ((name.removeprefix("_refused:"), int(count)) for name, count in flags.items())
        return dict(sorted(counts, key=lambda each: (-each[1], each[0])))

    def claim_account(self, account: str, now: datetime) -> None:
        """Record whose account this outbox belongs to; raise OutboxError if it is another one (F44)."""
        known = self.account
        if known == account:
            return
        if known:
            raise OutboxError(
                f"the keys belong to account {account} on {self.network}, but this outbox to account {known}; "
                f"use that account's keys, or another --home"
            )
        with self.transaction() as db:
            db.execute("UPDATE post SET account = ? WHERE network = ? AND account = ''", (account, self.network))
            db.execute("INSERT INTO flag VALUES (?, ?, ?)", (f"account:{self.network}", account, stamp(now)))
            self._note(db, None, None, f"account:{self.network}", now, "policy", account)

    def prune(self, before: datetime) -> int:
        """Forget audit rows older than that, and slots that nobody filled; posts and texts stay. Give how many."""
        with self.transaction() as db:
            gone = db.execute(
                "DELETE FROM audit WHERE at < ? AND (post IS NULL OR post IN (SELECT id FROM post WHERE state IN "
                "('posted', 'deleted', 'failed', 'rejected', 'skipped')))",
                (stamp(before),),
            ).rowcount
            return (
                gone
                + db.execute(
                    "DELETE FROM post WHERE state = 'skipped' AND created < ? AND id NOT IN "
                    "(SELECT post FROM audit WHERE post IS NOT NULL)",
                    (stamp(before),),
                ).rowcount
            )

    # -- SQLite --------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Do all of it or nothing; a file that cannot be written is an OutboxError (F15)."""
        with storage.errors_as(OutboxError, self.path), storage.transaction(self._db):
            yield self._db

    def ask(self, query: str, *values: Any) -> list[Any]:
        """Run one reading query."""
        with storage.errors_as(OutboxError, self.path):
            return self._db.execute(query, values).fetchall()

    def _posts(self, where: str, *values: Any) -> Iterator[Post]:
        with storage.errors_as(OutboxError, self.path):
            yield from _rows(self._db, where, values)

    def _one(self, db: sqlite3.Connection, post: int) -> Post:
        found = next(_rows(db, "id = ?", (post,)), None)
        if found is None:
            raise OutboxError(f"there is no post {post} in the outbox; `biobot queue list` shows them")
        return found

    @staticmethod
    def _note(
        db: sqlite3.Connection,
        post: int | None,
        was: str | None,
        state: str,
        now: datetime,
        by: str,
        reason: str | None,
    ) -> None:
        db.execute(
            "INSERT INTO audit (post, at, was, state, by, reason) VALUES (?, ?, ?, ?, ?, ?)",
            (post, stamp(now), was, state, by, reason),
        )


_SENT = (State.SENDING, State.POSTED, State.UNCONFIRMED, State.DELETED)


def _unpay(db: sqlite3.Connection, row: Post) -> None:
    db.execute(
        "DELETE FROM spend WHERE id = (SELECT max(id) FROM spend WHERE post = ? AND kind LIKE 'post%')", (row.id,)
    )


def _any(states: Sequence[State]) -> str:
    return " OR ".join(["state = ?"] * len(states))


def _folded(text: str) -> str:
    return fold(text) or text  # a text of nothing but invisible letters folds to nothing


def _rows(db: sqlite3.Connection, where: str, values: Sequence[Any]) -> Iterator[Post]:
    order = "" if "ORDER BY" in where else " ORDER BY id"
    for row in db.execute(f"SELECT {', '.join(COLUMNS)} FROM post WHERE {where}{order}", values):
        yield Post(**{name: _value(name, value) for name, value in zip(COLUMNS, row, strict=True)})


def _value(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _TIMES:
        return moment(value)
    if name in _FLAGS:
        return bool(value)
    return State(value) if name == "state" else value


# -- opening -----------------------------------------------------------------------------------------


def migrations() -> list[str]:
    """Return the SQL of every version, the first first."""
    folder = resources.files("biobot.posting") / "migrations"
    files = sorted((each for each in folder.iterdir() if each.name.endswith(".sql")), key=lambda each: each.name)
    return [each.read_text(encoding="utf-8") for each in files]
