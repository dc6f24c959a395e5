"""Every change of a row's state, and the proof that nothing is posted twice.

    held ──────► approved ──► sending ──► posted ──► deleted
      │            │  ▲          │ ├────► unconfirmed ──► posted | failed
      └► rejected ◄┘  └──────────┘ └────► failed
                     (not sent: later)      of several networks one may skip what others post: approved ──► skipped
    a person may also: rejected | approved ──► held (taken back), unconfirmed | failed ──► sending (sent again)

A row is `sending`, on disk, before the call that posts it is made. Whoever dies in between leaves a row whose fate is
unknown. X knows no key, so there it is looked for on the timeline and never sent again by itself: a crash can lose the
knowledge of a post for a while; it can never repeat one. Where the network knows the key of a post, key and request
are on disk with the row, and the same call settles it (`biobot.posting.reconcile`). A post that is to be deleted is
marked first, and nothing marked is ever sent.

A row is *in doubt* from when an attempt ended without a definite answer until it is found on the timeline. It may
be on the network, so it stays on the books: it can become posted, unconfirmed or failed, be looked for, and be sent
again on a person's word, but never be rejected, held or changed. `_move` and a constraint of the table see to it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from biobot.errors import OutboxError, Stale
from biobot.posting.outbox import Outbox, Taken, folded
from biobot.posting.post import By, Post, State, stamp
from biobot.text.terminal import clean

Prepare = Callable[[sqlite3.Connection, Post], Mapping[str, Any]]
"""Runs inside the transaction of a change: returns columns to set, or forbids the change by raising."""


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of state: where it begins, where it ends (None: where it began), and the columns it sets.

    `in_doubt` says for which rows it is: those in doubt, the others, or (None) all. One that `withdraws` makes a row
    in doubt `unconfirmed` instead, and sets nothing: the text is not sent again, and it is looked for as before.
    """

    sources: tuple[State, ...]
    target: State | None
    sets: Mapping[str, Any] = field(default_factory=dict)
    in_doubt: bool | None = None
    withdraws: bool = False


APPROVE = Transition((State.HELD,), State.APPROVED, {"approved_by": "person"})
REJECT = Transition((State.HELD, State.APPROVED), State.REJECTED, {"slot_released": 1}, withdraws=True)
HOLD = Transition((State.APPROVED,), State.HELD, {"approved_by": None}, withdraws=True)
REOPEN = Transition(
    (State.APPROVED, State.REJECTED),
    State.HELD,
    {"approved_by": None, "slot_released": 0, "expired": None},
    in_doubt=False,
)
SKIP = Transition((State.APPROVED,), State.SKIPPED, in_doubt=False)
EDIT = Transition((State.HELD, State.APPROVED), None, {"edited": 1, "key": None, "request": None}, in_doubt=False)
CLAIM = Transition((State.APPROVED,), State.SENDING, {"reconcile_misses": 0})
RESEND = Transition(
    (State.UNCONFIRMED, State.FAILED),
    State.SENDING,
    {"reconcile_misses": 0, "approved_by": "person", "not_before": None},
    in_doubt=True,
)
CONFIRM = Transition((State.SENDING,), State.POSTED, {"in_doubt": 0, "not_before": None})
FIND = Transition(
    (State.APPROVED, State.UNCONFIRMED, State.FAILED), State.POSTED, {"in_doubt": 0, "not_before": None}, in_doubt=True
)
ADOPT = Transition((State.APPROVED,), State.POSTED, {"not_before": None}, in_doubt=False)
LOSE_TRACK = Transition((State.SENDING,), State.UNCONFIRMED, {"in_doubt": 1, "looked": None})
DEFER = Transition((State.SENDING,), State.APPROVED)
REFUSE = Transition((State.SENDING,), State.FAILED, {"slot_released": 1, "not_before": None}, withdraws=True)
LOOK = Transition((State.APPROVED, State.UNCONFIRMED, State.FAILED), None, in_doubt=True)
MISS = Transition((State.UNCONFIRMED,), None)
GIVE_UP = Transition((State.UNCONFIRMED,), State.FAILED)
UNDO = Transition((State.POSTED,), None)
DELETE = Transition((State.POSTED,), State.DELETED)

ADVICE = {
    State.HELD: "`biobot approve {0}` or `biobot reject {0}` decides on it",
    State.APPROVED: "it waits for its turn, and `biobot reject {0}` drops it",
    State.SENDING: "it is being sent just now, look again in a minute",
    State.UNCONFIRMED: "`biobot reconcile {0}` looks for it",
    State.FAILED: "`biobot why {0}` tells what happened",
    State.POSTED: "`biobot undo {0}` deletes it",
    State.REJECTED: "nothing is left to do about it",
    State.DELETED: "nothing is left to do about it",
    State.SKIPPED: "nothing is left to do about it",
}
"""What a person can do about a row in each state."""


# -- drafts ------------------------------------------------------------------------------------------


def approve(outbox: Outbox, post: int, now: datetime, rev: int | None = None) -> Post:
    """Record a person's approval: the draft is posted at its slot."""
    return _move(outbox, post, APPROVE, now, "person", rev=rev)


def reject(
    outbox: Outbox,
    post: int,
    now: datetime,
    rev: int | None = None,
    *,
    reason: str | None = None,
    by: By = "person",
) -> Post:
    """Drop a draft: its slot may be filled by another, its text never comes back.

    A text that a person had sent again is not dropped, since it may be on the network: it is unconfirmed again.
    """
    return _move(outbox, post, REJECT, now, by, reason, rev=rev)


def skip(outbox: Outbox, post: int, now: datetime, reason: str) -> Post:
    """Leave a slot empty whose text this network does not take, but others do."""
    return _move(outbox, post, SKIP, now, "policy", reason)


def expire(outbox: Outbox, post: int, now: datetime) -> Post:
    """Drop a draft that nobody approved in time; `unexpire` takes that back."""
    reason = "nobody approved it in time (`post.review_expiry`)"
    return _move(outbox, post, REJECT, now, "policy", reason, sets={"expired": stamp(now)})


def reopen(outbox: Outbox, post: int, now: datetime, rev: int | None = None, by: By = "person") -> Post:
    """Undo an approval or a rejection; the draft loses its slot if another draft has it by now."""

    def prepare(_: sqlite3.Connection, row: Post) -> Mapping[str, Any]:
        other = outbox.at(row.slot, row.network) if row.slot else None
        return {"slot": None} if other is not None and other.id != post else {}

    return _move(outbox, post, REOPEN, now, by, "taken back", rev=rev, prepare=prepare)


def unexpire(outbox: Outbox, now: datetime) -> None:
    """Hold again what expired at a time that is still to come: the clock had run fast, and was put back (F47)."""
    for post in outbox.expired_after(now):
        reopen(outbox, post, now, by="policy")


def hold(outbox: Outbox, post: int, now: datetime) -> Post:
    """Take an approval back that no person gave: review was turned on after the draft was made."""
    return _move(outbox, post, HOLD, now, "policy", "review is on")


def edit(outbox: Outbox, post: int, text: str, now: datetime, rev: int | None = None) -> Post:
    """Change the text of a draft. Raise Taken for a text that the account already has a row of."""

    def prepare(_: sqlite3.Connection, row: Post) -> Mapping[str, Any]:
        return {"reason": f"edited; it was: {row.text}"}

    try:
        return _move(
            outbox, post, EDIT, now, "person", rev=rev, prepare=prepare, sets={"text": text, "folded": folded(text)}
        )
    except sqlite3.IntegrityError:
        raise Taken(f"the outbox already has a text like that; post {post} stays as it was") from None


# -- one attempt -------------------------------------------------------------------------------------


def claim(
    outbox: Outbox,
    post: int,
    now: datetime,
    *,
    review: bool,
    charge: Callable[[sqlite3.Connection], None],
    network_time: datetime | None = None,
    fixed: tuple[str, str] | None = None,
    rev: int | None = None,
    not_found_at: int | None = None,
    resend: bool = False,
) -> Post:
    """Put a row on disk as `sending`, with its cost, before the one call that posts it.

    `charge` books the cost in the same transaction, or raises and so forbids the post. With `review`, a
    person's yes is asked for here, where nothing can come between it and the call. `not_found_at` is the revision
    at which the timeline did not show a row in doubt: without it none is sent again. `resend` is a person's word to
    send a text again whose fate was never found out. `network_time` is the network's clock (None: it never told).
    `fixed` are the key and the request of a row that has none yet.
    """

    def prepare(db: sqlite3.Connection, row: Post) -> Mapping[str, Any]:
        if review and not resend and row.approved_by != "person":
            raise OutboxError(f"no person has approved post {row.id}, and `post.review` is on")
        if row.in_doubt and not_found_at != row.rev:
            raise OutboxError(f"post {row.id} may be on the network: it is not sent again before it was looked for")
        charge(db)
        first: dict[str, Any] = {} if row.in_doubt else {"look_from": stamp(network_time or now)}
        if fixed is not None and row.key is None:
            key, request = fixed
            first |= {"key": key or None, "request": None if request == row.text else request}
        return {**first, "attempted": stamp(now), "resends": row.resends + resend}

    if resend:
        return _move(outbox, post, RESEND, now, "person", rev=rev, prepare=prepare)
    return _move(outbox, post, CLAIM, now, "policy", rev=rev, prepare=prepare)


def confirm(outbox: Outbox, post: int, remote_id: str, now: datetime) -> Post:
    """Note the id that the network gave for a post: it is there."""
    return _move(outbox, post, CONFIRM, now, "policy", sets={"remote_id": remote_id, "posted": stamp(now)})


def lose_track(outbox: Outbox, post: int, now: datetime, reason: str) -> Post:
    """Note that nobody knows whether a post that was sent is there."""
    return _move(outbox, post, LOSE_TRACK, now, "policy", reason)


def defer(outbox: Outbox, post: int, until: datetime | None, now: datetime, reason: str) -> Post:
    """Put a post that was definitely not made back into the queue, unpaid, not to be tried before `until`.

    It gets another key, unless an earlier attempt under the one it has may have done it.
    """
    not_before = stamp(until) if until else None

    def prepare(db: sqlite3.Connection, row: Post) -> Mapping[str, Any]:
        return {**_refund(db, row), **({} if row.in_doubt else {"key": None, "request": None})}

    return _move(outbox, post, DEFER, now, "policy", reason, prepare=prepare, sets={"not_before": not_before})


def refuse(outbox: Outbox, post: int, now: datetime, reason: str) -> Post:
    """Record that the network definitely refused this text: unpaid, and another text may have its slot.

    A refused second attempt says nothing about the first: that row is unconfirmed again.
    """
    return _move(outbox, post, REFUSE, now, "policy", reason, prepare=_refund)


# -- settling ----------------------------------------------------------------------------------------


def find(
    outbox: Outbox, post: int, remote_id: str, now: datetime, rev: int | None = None, how: str = "found on the timeline"
) -> Post:
    """Note that a row in doubt is on the network, and how that was found out."""
    sets = {"remote_id": remote_id, "posted": stamp(now)}
    return _move(outbox, post, FIND, now, "policy", how, rev=rev, sets=sets)


def adopt(outbox: Outbox, post: int, remote_id: str, now: datetime, rev: int) -> Post:
    """Note that a text that was waiting is on the timeline: it was posted from a copy of this outbox."""
    sets = {"remote_id": remote_id, "posted": stamp(now)}
    return _move(outbox, post, ADOPT, now, "policy", "posted before the outbox was restored", rev=rev, sets=sets)


def record_look(outbox: Outbox, row: Post, at: datetime, until: datetime, now: datetime) -> Post:
    """Note that the timeline was read at `at`, by its clock, and did not show a row in doubt: too early to tell.

    One that waits to be sent again waits until `until`.
    """
    sets = {"looked": _looked(row, at), "reason": row.reason}
    if row.state is State.APPROVED:
        sets["not_before"] = stamp(until)
    return _move(outbox, row.id, LOOK, now, "policy", rev=row.rev, sets=sets)


def record_miss(outbox: Outbox, row: Post, now: datetime, reason: str, at: datetime | None = None) -> Post:
    """Note that a look had no result; `at`: when the timeline was read that did not show the post, by its clock."""
    sets = {"reconcile_misses": row.reconcile_misses + 1, "looked": _looked(row, at)}
    return _move(outbox, row.id, MISS, now, "policy", reason, rev=row.rev, sets=sets)


def give_up(outbox: Outbox, row: Post, now: datetime, reason: str, at: datetime | None = None) -> Post:
    """Stop looking for a post: it is never sent again by itself, and its slot stays its own."""
    return _move(outbox, row.id, GIVE_UP, now, "policy", reason, rev=row.rev, sets={"looked": _looked(row, at)})


def _looked(row: Post, at: datetime | None) -> str | None:
    first = row.looked or at
    return stamp(first) if first else None


def undo(outbox: Outbox, post: int, now: datetime) -> Post:
    """Mark a post that a person wants deleted, before the call that deletes it."""
    return _move(outbox, post, UNDO, now, "person", "to be deleted", sets={"undone": stamp(now)})


def delete(outbox: Outbox, post: int, now: datetime) -> Post:
    """Note that a person had the post deleted."""
    return _move(outbox, post, DELETE, now, "person")


# -- the gate ----------------------------------------------------------------------------------------


def _move(
    outbox: Outbox,
    post: int,
    change: Transition,
    now: datetime,
    by: By,
    reason: str | None = None,
    *,
    rev: int | None = None,
    prepare: Prepare | None = None,
    sets: Mapping[str, Any] | None = None,
) -> Post:
    """Change one row's state: the only place where that happens. `rev` is the revision that the decider saw."""
    reason = clean(reason) if reason else None
    with outbox.transaction() as db:
        row = outbox.get(post)
        if rev is not None and row.rev != rev:
            raise Stale(f"post {post} has changed since (revision {row.rev}, not {rev}); look at it again")
        if row.state not in change.sources or change.in_doubt not in (None, row.in_doubt):
            raise OutboxError(_impossible(row, change))
        given = {**change.sets, **(sets or {})}
        if row.in_doubt and change.withdraws:
            given = {"state": State.UNCONFIRMED}
        if prepare is not None:
            given.update(prepare(db, row))
        values = {"state": change.target or row.state, "reason": reason, "rev": row.rev + 1, **given}
        names = ", ".join(f"{name} = ?" for name in values)
        db.execute(f"UPDATE post SET {names} WHERE id = ?", (*values.values(), post))
        outbox.note(db, post, row.state, values["state"], now, by, values["reason"])
    return outbox.get(post)


def _impossible(row: Post, change: Transition) -> str:
    advice = ADVICE[State.UNCONFIRMED if row.in_doubt else row.state].format(row.id)
    if row.in_doubt and row.state in change.sources:
        return f"post {row.id} may be on the network: {advice}"
    if row.state is change.target:
        return f"post {row.id} is already {row.state}: {advice}"
    becomes = f" and cannot become {change.target}" if change.target else ""
    return f"post {row.id} is {row.state}{becomes}: {advice}"


def _refund(db: sqlite3.Connection, row: Post) -> Mapping[str, Any]:
    db.execute(
        "DELETE FROM spend WHERE id = (SELECT max(id) FROM spend WHERE post = ? AND kind LIKE 'post%')", (row.id,)
    )
    return {}
