"""Every change of a row's state is one of the table's, audited, and never hides what may be on the network."""

from __future__ import annotations

import itertools
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from biobot.errors import OutboxError
from biobot.posting import transitions
from biobot.posting.outbox import Outbox
from biobot.posting.post import Draft, Post, State

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
SLOT = datetime(2026, 11, 22, 20, tzinfo=UTC)
HELD, APPROVED, REJECTED, SENDING, POSTED, UNCONFIRMED, FAILED, DELETED, SKIPPED = State

NUMBERS = itertools.count()

Act = Callable[[Outbox, int], Any]


@pytest.fixture
def outbox(home: Path) -> Iterator[Outbox]:
    with Outbox(home / "outbox.db", "x") as opened:
        opened.ask("PRAGMA synchronous = OFF")
        yield opened


def claim(outbox: Outbox, post: int, **more: Any) -> Post:
    return transitions.claim(outbox, post, NOW, review=False, charge=lambda _: None, **more)


def resend(outbox: Outbox, post: int) -> Post:
    return claim(outbox, post, resend=True, not_found_at=outbox.get(post).rev)


def spend(outbox: Outbox, post: int) -> None:
    with outbox.transaction() as db:
        db.execute(
            "INSERT INTO spend (at, network, kind, units, usd, post) VALUES ('', 'x', 'post', 1, 1.0, ?)", (post,)
        )


def lose_track(outbox: Outbox, post: int) -> Post:
    return transitions.lose_track(outbox, post, NOW, "?")


ACTS: dict[str, Act] = {
    "approve": lambda o, p: transitions.approve(o, p, NOW),
    "reject": lambda o, p: transitions.reject(o, p, NOW),
    "expire": lambda o, p: transitions.expire(o, p, NOW),
    "reopen": lambda o, p: transitions.reopen(o, p, NOW),
    "hold": lambda o, p: transitions.hold(o, p, NOW),
    "edit": lambda o, p: transitions.edit(o, p, f"edited {p}", NOW),
    "claim": lambda o, p: claim(o, p, not_found_at=o.get(p).rev),
    "resend": resend,
    "confirm": lambda o, p: transitions.confirm(o, p, f"id {p}", NOW),
    "lose_track": lose_track,
    "defer": lambda o, p: transitions.defer(o, p, NOW, NOW, "later"),
    "refuse": lambda o, p: transitions.refuse(o, p, NOW, "no"),
    "find": lambda o, p: transitions.find(o, p, f"id {p}", NOW),
    "record_look": lambda o, p: transitions.record_look(o, o.get(p), NOW, NOW, NOW),
    "record_miss": lambda o, p: transitions.record_miss(o, o.get(p), NOW, "not there"),
    "give_up": lambda o, p: transitions.give_up(o, o.get(p), NOW, "gone"),
    "delete": lambda o, p: transitions.delete(o, p, NOW),
}

SITUATIONS: dict[str, list[str]] = {
    "held": [],
    "approved": ["approve"],
    "rejected": ["reject"],
    "sending": ["approve", "claim"],
    "posted": ["approve", "claim", "confirm"],
    "unconfirmed": ["approve", "claim", "lose_track"],
    "refused": ["approve", "claim", "refuse"],
    "given up": ["approve", "claim", "lose_track", "give_up"],
    "deleted": ["approve", "claim", "confirm", "delete"],
    "sent again": ["approve", "claim", "lose_track", "resend"],
    "to be sent again": ["approve", "claim", "lose_track", "resend", "defer"],
}
"""What was done to a held row to bring it there."""

ENDS: dict[str, dict[str, State]] = {
    "approve": {"held": APPROVED},
    "reject": {"held": REJECTED, "approved": REJECTED, "to be sent again": UNCONFIRMED},
    "expire": {"held": REJECTED, "approved": REJECTED, "to be sent again": UNCONFIRMED},
    "reopen": {"approved": HELD, "rejected": HELD},
    "hold": {"approved": HELD, "to be sent again": UNCONFIRMED},
    "edit": {"held": HELD, "approved": APPROVED},
    "claim": {"approved": SENDING, "to be sent again": SENDING},
    "resend": {"unconfirmed": SENDING, "given up": SENDING},
    "confirm": {"sending": POSTED, "sent again": POSTED},
    "lose_track": {"sending": UNCONFIRMED, "sent again": UNCONFIRMED},
    "defer": {"sending": APPROVED, "sent again": APPROVED},
    "refuse": {"sending": FAILED, "sent again": UNCONFIRMED},
    "find": {"unconfirmed": POSTED, "given up": POSTED, "to be sent again": POSTED},
    "record_look": {"unconfirmed": UNCONFIRMED, "given up": FAILED, "to be sent again": APPROVED},
    "record_miss": {"unconfirmed": UNCONFIRMED},
    "give_up": {"unconfirmed": FAILED},
    "delete": {"posted": DELETED},
}
"""Where each change leads; from every other situation it is refused."""


def bring(outbox: Outbox, situation: str) -> int:
    row = outbox.add([Draft(f"a text {situation} {next(NUMBERS)}")], HELD, NOW)[0]
    assert row is not None
    for name in SITUATIONS[situation]:
        ACTS[name](outbox, row.id)
    return row.id


@pytest.mark.parametrize("name", ACTS)
def test_only_the_tables_changes_happen(outbox: Outbox, name: str) -> None:
    for situation in SITUATIONS:
        post = bring(outbox, situation)
        before, told = outbox.get(post), len(outbox.audit(post))
        if situation in ENDS[name]:
            ACTS[name](outbox, post)
            row = outbox.get(post)
            assert (row.state, row.rev) == (ENDS[name][situation], before.rev + 1), situation
            assert len(outbox.audit(post)) == told + 1
        else:
            with pytest.raises(OutboxError):
                ACTS[name](outbox, post)
            assert outbox.get(post) == before
            assert len(outbox.audit(post)) == told


def test_a_skipped_slot_stays_skipped(outbox: Outbox) -> None:
    outbox.skip([SLOT], "nothing", NOW)
    row = outbox.at(SLOT)
    assert row is not None
    for act in ACTS.values():
        with pytest.raises(OutboxError):
            act(outbox, row.id)
    assert outbox.at(SLOT) == row


def test_whatever_is_done_to_it_a_post_that_may_be_there_is_on_the_books_until_it_is_found(outbox: Outbox) -> None:
    draw = random.Random(1)
    lost = 0
    for _ in range(200):
        post = bring(outbox, "sending")
        may_be_there, text = False, outbox.get(post).text
        for _ in range(8):
            name = _any_that_is_possible(outbox, post, draw)
            may_be_there = (may_be_there or name == "lose_track") and name not in ("find", "confirm")
            row = outbox.get(post)
            if may_be_there:
                lost += 1
                assert row.in_doubt
                assert row.state in (APPROVED, SENDING, UNCONFIRMED, FAILED)
                assert row.text == text
            text = row.text
    assert lost > 100


def _any_that_is_possible(outbox: Outbox, post: int, draw: random.Random) -> str | None:
    for name in draw.sample(list(ACTS), len(ACTS)):
        with suppress(OutboxError):
            ACTS[name](outbox, post)
            return name
    return None


@pytest.mark.parametrize("state", [HELD, REJECTED, SKIPPED, POSTED])
def test_the_table_itself_holds_a_row_in_doubt_to_the_books(outbox: Outbox, state: State) -> None:
    post = bring(outbox, "unconfirmed")
    with pytest.raises(sqlite3.IntegrityError), outbox.transaction() as db:
        db.execute("UPDATE post SET state = ? WHERE id = ?", (state, post))
    assert outbox.get(post).state is UNCONFIRMED


def test_a_row_in_doubt_is_not_claimed_unless_it_was_looked_for_at_this_very_revision(outbox: Outbox) -> None:
    post = bring(outbox, "to be sent again")
    rev = outbox.get(post).rev
    for looked in (None, rev - 1):
        with pytest.raises(OutboxError, match="not sent again before it was looked for"):
            claim(outbox, post, not_found_at=looked)
    assert claim(outbox, post, not_found_at=rev).state is SENDING


def test_the_look_begins_at_the_first_attempt_that_was_lost_by_the_networks_clock(outbox: Outbox) -> None:
    fast = timedelta(seconds=200)
    row = outbox.add([Draft("text")], APPROVED, NOW)[0]
    assert row is not None
    claim(outbox, row.id, network_time=NOW - fast)
    transitions.defer(outbox, row.id, None, NOW, "not sent")
    claim(outbox, row.id, network_time=NOW)
    lose_track(outbox, row.id)
    resend(outbox, row.id)
    assert outbox.get(row.id).look_from == NOW


def test_a_call_that_was_not_made_is_not_paid_whatever_came_before_it(outbox: Outbox) -> None:
    for name in ("defer", "refuse"):
        for situation in ("sending", "sent again"):
            post = bring(outbox, situation)
            spend(outbox, post)
            spend(outbox, post)
            ACTS[name](outbox, post)
            assert outbox.ask("SELECT count(*) FROM spend WHERE post = ?", post) == [(1,)]


def test_only_a_definite_refusal_or_a_no_releases_a_slot(outbox: Outbox) -> None:
    for situation, slot in zip(SITUATIONS, itertools.count(1), strict=False):
        row = outbox.add([Draft(situation, SLOT + slot * timedelta(hours=1))], HELD, NOW)[0]
        assert row is not None
        for name in SITUATIONS[situation]:
            ACTS[name](outbox, row.id)
        assert outbox.get(row.id).slot_released == (situation in ("rejected", "refused")), situation


def test_a_refusal_of_the_second_attempt_releases_nothing_and_says_nothing_about_the_first(outbox: Outbox) -> None:
    post = bring(outbox, "sent again")
    row = transitions.refuse(outbox, post, NOW, "invalid")
    assert (row.state, row.in_doubt, row.slot_released) == (UNCONFIRMED, True, False)
    assert outbox.ask("SELECT max(id) FROM audit WHERE post = ? AND state = 'unconfirmed'", post) != [(None,)]


def test_an_expired_draft_is_held_again_when_the_clock_goes_back(outbox: Outbox) -> None:
    first = outbox.add([Draft("one", SLOT)], HELD, NOW)[0]
    assert first is not None
    transitions.expire(outbox, first.id, NOW + timedelta(days=4))
    second = outbox.add([Draft("two", SLOT)], HELD, NOW)[0]
    assert second is not None
    transitions.unexpire(outbox, NOW + timedelta(days=5))
    assert outbox.get(first.id).state is REJECTED
    transitions.unexpire(outbox, NOW)
    assert (outbox.get(first.id).state, outbox.get(first.id).slot) == (HELD, None)  # the slot is another's now
    assert outbox.at(SLOT) == second
    transitions.unexpire(outbox, NOW)
    assert outbox.get(first.id).rev == 3


@pytest.mark.parametrize(
    ("situation", "name", "says"),
    [
        ("approved", "approve", "post 1 is already approved: it waits for its turn, and `biobot reject 1` drops it"),
        ("posted", "reject", "post 1 is posted and cannot become rejected: `biobot undo 1` deletes it"),
        ("given up", "edit", "post 1 is failed: `biobot reconcile 1` looks for it"),
        ("to be sent again", "edit", "post 1 may be on the network: `biobot reconcile 1` looks for it"),
        ("refused", "resend", "post 1 is failed and cannot become sending: `biobot why 1` tells what happened"),
    ],
)
def test_what_cannot_be_done_says_what_can(outbox: Outbox, situation: str, name: str, says: str) -> None:
    post = bring(outbox, situation)
    with pytest.raises(OutboxError) as caught:
        ACTS[name](outbox, post)
    assert str(caught.value) == says
