"""What may be on the network is looked for, kept on the books, and sent again only when it is certainly not there."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from biobot.errors import NetworkError, OutboxError
from biobot.networks.errors import Kind, Refused, Unknown
from biobot.networks.network import Timeline, Tweet
from biobot.posting import reconcile, transitions
from biobot.posting.notices import problems
from biobot.posting.outbox import Replaced
from biobot.posting.post import Draft, Post, State
from biobot.posting.poster import Poster
from tests.posting.world import World

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LOST = Unknown("the line went dead")
TOO_MANY = Refused(Kind.RATE_LIMIT, 429, wait=10 * MINUTE)
SIX_HOURLY = {"schedule": {"every": "6h", "jitter": "0s"}}


def lost(home: Path, *, arrived: bool = True, lag: timedelta = timedelta(0), **post: Any) -> tuple[World, Post]:
    """A bot whose first post ended without an answer, and was looked for once; the timeline shows it after `lag`."""
    world = World(home, {**SIX_HOURLY, "post": post})
    world.net.faults = [("after", LOST) if arrived else LOST]
    world.net.lag = lag
    world.run(4.5 * MINUTE)
    (row,) = world.rows(State.UNCONFIRMED)
    return world, row


def posts_of(world: World, row: Post) -> int:
    return world.net.texts.count(row.text or "")


def test_f48_a_text_that_has_to_wait_before_it_is_sent_again_is_looked_for_anew(home: Path) -> None:
    world, row = lost(home, lag=5 * MINUTE)
    world.net.faults = [TOO_MANY]
    assert world.poster.send(row.id, resend=True).state is State.APPROVED
    world.run(HOUR)  # by then the timeline shows the first post
    assert world.outbox.get(row.id).state is State.POSTED
    assert (posts_of(world, row), world.net.calls) == (1, 2)


def test_a_text_that_is_certainly_not_there_is_sent_again_after_its_wait(home: Path) -> None:
    world, row = lost(home, arrived=False)
    world.net.faults = [TOO_MANY]
    world.poster.send(row.id, resend=True)
    reads = world.net.reads
    world.run(HOUR)
    assert world.outbox.get(row.id).state is State.POSTED
    assert (posts_of(world, row), world.net.reads) == (1, reads + 1)


def test_a_timeline_that_cannot_be_read_keeps_a_text_from_being_sent_again(home: Path) -> None:
    world, row = lost(home, arrived=False)
    world.net.broken_timeline = Refused(Kind.RATE_LIMIT, 429)
    with pytest.raises(NetworkError):
        world.poster.send(row.id, resend=True)
    assert world.outbox.get(row.id) == row
    world.net.broken_timeline = None
    world.net.faults = [TOO_MANY]
    world.poster.send(row.id, resend=True)
    world.net.broken_timeline = LOST
    world.run(5 * HOUR)
    assert (world.outbox.get(row.id).state, world.net.calls) == (State.APPROVED, 2)


@pytest.mark.parametrize("jump", [0 * MINUTE, -5 * MINUTE, 5 * MINUTE, 9 * MINUTE])
def test_f46_a_text_that_a_lagging_timeline_does_not_show_yet_is_not_sent_again(home: Path, jump: timedelta) -> None:
    world = World(home, SIX_HOURLY)
    world.net.lag = MINUTE
    world.net.faults = [("after", LOST)]
    world.run(MINUTE + MINUTE / 60)
    (row,) = world.rows(State.UNCONFIRMED)
    world.now += jump  # of this machine's clock, not of the network's
    world.net.ahead = -jump
    with pytest.raises(OutboxError, match="is not on the timeline, which may lag: try again in 120 s"):
        world.poster.send(row.id, resend=True)
    world.now += MINUTE / 2
    with pytest.raises(OutboxError, match="which may lag: try again in 90 s"):
        world.poster.send(row.id, resend=True)
    world.now += MINUTE / 2
    assert world.poster.send(row.id, resend=True).state is State.POSTED
    assert (posts_of(world, row), world.net.calls) == (1, 1)


def test_a_lost_text_is_sent_again_at_once_when_its_attempt_was_long_ago(home: Path) -> None:
    world = World(home, SIX_HOURLY)
    world.net.faults = [LOST]
    world.run(MINUTE + MINUTE / 60)
    (row,) = world.rows(State.UNCONFIRMED)
    world.now += 15 * MINUTE
    assert world.poster.send(row.id, resend=True).state is State.POSTED
    assert (posts_of(world, row), world.net.reads) == (1, 1)


def test_a_second_attempt_that_is_lost_is_waited_for_like_the_first(home: Path) -> None:
    world, row = lost(home, arrived=False)
    world.net.faults, world.net.lag = [("after", LOST)], MINUTE
    assert world.poster.send(row.id, resend=True).state is State.UNCONFIRMED
    for _ in range(2):
        with pytest.raises(OutboxError, match="which may lag"):
            world.poster.send(row.id, resend=True)
        world.now += MINUTE / 3
    world.now += MINUTE
    assert world.poster.send(row.id, resend=True).state is State.POSTED
    assert (posts_of(world, row), world.net.calls) == (1, 2)


@pytest.mark.parametrize("fast", [timedelta(seconds=200), timedelta(seconds=-200), timedelta(minutes=5)])
def test_f50_a_wrong_clock_hides_no_post_and_doubles_none(home: Path, fast: timedelta) -> None:
    world = World(home, SIX_HOURLY)
    world.net.ahead = -fast
    world.net.faults = [("after", LOST)]
    world.run(2 * MINUTE)
    (row,) = world.rows()
    world.run(HOUR)
    assert world.outbox.get(row.id).state is State.POSTED
    assert world.outbox.get(row.id).look_from == world.net.tweets[0].created
    assert (posts_of(world, row), world.net.calls) == (1, 1)


def test_f50_a_clock_that_went_wrong_since_the_last_answer_hides_no_post(home: Path) -> None:
    world = World(home, SIX_HOURLY)
    world.net.ahead, world.net.told = -5 * MINUTE, timedelta(0)
    world.net.faults = [("after", LOST)]
    world.run(2 * HOUR)
    (row,) = world.rows()
    assert (row.state, world.net.calls) == (State.POSTED, 1)


def test_a_clock_that_is_set_right_between_post_and_look_hides_no_post(home: Path) -> None:
    world, row = lost(home, lag=5 * MINUTE)
    world.net.ahead = 8 * MINUTE  # the machine's clock was set back by eight minutes
    world.now -= 8 * MINUTE
    world.run(2 * HOUR)
    assert world.outbox.get(row.id).state is State.POSTED


def test_a_look_into_the_future_concludes_nothing(home: Path) -> None:
    world, row = lost(home, arrived=False)
    world.net.ahead = -DAY
    for _ in range(len(world.config.settings.post.reconcile_after) + 1):
        world.run(DAY)
    found = world.outbox.get(row.id)
    assert (found.state, found.reason) == (State.UNCONFIRMED, reconcile.INCONCLUSIVE)


def test_a_look_that_does_not_reach_back_far_enough_concludes_nothing(home: Path) -> None:
    world, row = lost(home, arrived=False)
    for number in range(reconcile.MAX_READ):
        world.net.add(f"by hand {number}")
    with pytest.raises(OutboxError, match="could not be read back far enough"):
        world.poster.send(row.id, resend=True)
    assert world.outbox.get(row.id) == row
    world.run(3 * DAY)
    found = world.outbox.get(row.id)
    assert (found.state, found.reconcile_misses) == (State.UNCONFIRMED, 4)
    assert posts_of(world, row) == 0
    assert world.net.reads < 10  # it does not look for ever


def test_a_look_that_reaches_back_far_enough_concludes_though_it_is_full(home: Path) -> None:
    world = World(home, SIX_HOURLY)
    world.net.add("long before")
    world.run(MINUTE / 2)
    world.net.faults = [LOST]
    world.now += HOUR
    world.run(4.5 * MINUTE)
    for number in range(reconcile.MAX_READ - 1):
        world.net.add(f"by hand {number}")
    (row,) = world.rows(State.UNCONFIRMED)
    assert world.poster.send(row.id, resend=True).state is State.POSTED


def test_a_timeline_that_does_not_say_how_far_it_reaches_proves_nothing_absent(home: Path) -> None:
    world, row = lost(home, lag=5 * MINUTE)
    shown: list[Tweet] = []
    world.net.timeline = lambda since, limit=20: shown  # type: ignore[method-assign]  # noqa: ARG005
    world.now += HOUR
    with pytest.raises(OutboxError, match="could not be read back far enough"):
        world.poster.send(row.id, resend=True)
    shown += world.net.tweets
    assert world.poster.send(row.id, resend=True).state is State.POSTED
    assert posts_of(world, row) == 1


def test_a_timeline_that_lacks_older_posts_of_this_bot_does_not_reach_back_whatever_it_says(home: Path) -> None:
    world, row = lost(home, lag=5 * DAY)
    world.run(2 * DAY)
    read, world.net.lag = world.net.timeline, timedelta(0)
    world.net.timeline = lambda since, limit=20: Timeline(read(since, limit)[:5], since)  # type: ignore[method-assign]
    assert len(world.net.tweets) > 6
    with pytest.raises(OutboxError, match="could not be read back far enough"):
        world.poster.send(row.id, resend=True)
    assert posts_of(world, row) == 1
    world.net.timeline = read  # type: ignore[method-assign]
    assert world.poster.send(row.id, resend=True).state is State.POSTED
    assert posts_of(world, row) == 1


# -- a backup that was restored ----------------------------------------------------------------------


def restored(home: Path, *, review: str = "off") -> World:
    """A bot whose outbox is that of half an hour before its last post; it starts again with what it waits with."""
    world = World(home, {**SIX_HOURLY, "post": {"review": review}})
    world.run(MINUTE / 2)
    backup = (home / "outbox.db").read_bytes()
    for row in world.rows(State.HELD):
        transitions.approve(world.outbox, row.id, world.now)
    world.run(HOUR)
    assert len(world.net.texts) == 1
    world.stop()
    (home / "outbox.db").write_bytes(backup)
    world.start()
    return world


def test_f51_a_restored_outbox_posts_nothing_again_that_it_holds(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = restored(home)
    text = world.net.texts[0]
    world.run(DAY)
    assert world.net.texts.count(text) == 1
    (row,) = (row for row in world.rows(State.POSTED) if row.text == text)
    assert row.remote_id == world.net.tweets[0].id
    assert "posts that this outbox does not know" in caplog.text
    assert len(world.net.texts) == 5


def test_nor_does_it_post_again_what_a_person_approves_only_then(home: Path) -> None:
    world = restored(home, review="on")
    text = world.net.texts[0]
    (row, *_) = world.rows(State.HELD)
    assert row.text == text
    transitions.approve(world.outbox, row.id, world.now)
    world.run(MINUTE)
    assert (world.outbox.get(row.id).state, world.net.texts.count(text)) == (State.POSTED, 1)


def test_nor_does_it_post_again_what_it_draws_again_for_a_slot_of_that_time(home: Path) -> None:
    world = World(home, SIX_HOURLY, datetime(2026, 11, 22, 12, 1, tzinfo=UTC))
    world.run(HOUR)
    backup = (home / "outbox.db").read_bytes()
    world.run(6 * HOUR)
    assert len(world.net.texts) == 1
    world.stop()
    (home / "outbox.db").write_bytes(backup)
    world.start()
    world.run(6 * HOUR)
    assert len(set(world.net.texts)) == len(world.net.texts) == 2


def test_a_draft_that_was_drawn_since_the_start_for_a_slot_to_come_is_posted_without_a_look(home: Path) -> None:
    world = World(home, SIX_HOURLY)
    world.run(DAY)
    world.stop()
    world.start()
    reads = world.net.reads
    world.run(DAY)
    assert (len(world.net.texts), world.net.reads - reads) == (8, 0)


def test_drafts_of_before_a_restart_are_compared_with_the_timeline_once(home: Path) -> None:
    world = World(home, {"schedule": {"every": "20s", "jitter": "0s"}})
    world.run(MINUTE / 4)
    assert len(world.rows(State.APPROVED)) > 2
    world.stop()
    world.start()
    world.run(2 * MINUTE)
    assert (len(world.net.texts), world.net.reads) == (6, 1)


def test_a_text_that_was_given_just_now_is_posted_without_a_look(home: Path) -> None:
    world = World(home, SIX_HOURLY)
    row = world.outbox.add([Draft("given by hand")], State.APPROVED, world.now, "person")[0]
    assert row is not None
    world.poster.send(row.id)
    assert (world.net.texts, world.net.reads) == (["given by hand"], 0)


def test_keys_that_may_not_read_the_timeline_can_still_post(home: Path) -> None:
    world = World(home, SIX_HOURLY)
    world.run(MINUTE / 2)
    world.stop()
    world.start()
    world.net.broken_timeline = Refused(Kind.NOT_ENROLLED, 403)
    world.run(DAY)
    assert len(world.net.texts) == 4


def test_keys_that_may_read_later_post_an_older_draft_only_then(home: Path) -> None:
    world = World(home, SIX_HOURLY)
    world.run(MINUTE / 2)
    world.stop()
    world.start()
    world.net.broken_timeline = LOST
    world.run(HOUR)
    assert world.net.texts == []
    world.net.broken_timeline = None
    world.run(HOUR)
    assert len(world.net.texts) == 1


def put_back_while_the_timeline_lags(home: Path) -> tuple[World, int]:
    """A bot that starts seconds after its last post, with an outbox of before it."""
    world = World(home, SIX_HOURLY, datetime.now(UTC))
    (row,) = world.outbox.add([Draft("given by hand")], State.APPROVED, world.now, "person")
    assert row is not None
    backup = (home / "outbox.db").read_bytes()
    world.now += timedelta(seconds=5)
    world.net.lag = MINUTE
    world.poster.send(row.id)
    world.stop()
    (home / "outbox.db").write_bytes(backup)
    with closing(sqlite3.connect(home / "outbox.db")) as db, db:
        db.execute("UPDATE bot SET written = written - 5")  # the copy was made before the post
    world.now += timedelta(seconds=5)
    world.start()
    return world, row.id


def test_f51_a_timeline_that_lags_does_not_show_yet_what_a_restored_outbox_lacks(home: Path) -> None:
    world, post = put_back_while_the_timeline_lags(home)
    with pytest.raises(NetworkError, match="put back from a copy"):
        world.poster.send(post)
    assert world.outbox.get(post).state is State.APPROVED
    world.run(4 * MINUTE)
    assert world.net.texts == ["given by hand"]
    assert world.outbox.get(post).state is State.POSTED


def test_nor_when_it_shows_another_post_of_that_time_already(home: Path) -> None:
    world, post = put_back_while_the_timeline_lags(home)
    world.net.tweets.insert(0, Tweet("7", "an earlier one", world.now - 2 * MINUTE))
    world.run(4 * MINUTE)
    assert world.net.texts == ["an earlier one", "given by hand"]
    assert world.outbox.get(post).state is State.POSTED


def test_a_copy_that_was_put_back_before_anything_was_posted_is_only_late(home: Path) -> None:
    world, _ = put_back_while_the_timeline_lags(home)
    world.net.tweets.clear()
    begun = world.now
    world.run(4 * MINUTE)
    assert world.net.texts == ["given by hand"]
    assert world.net.tweets[0].created is not None
    assert world.net.tweets[0].created - begun < 2.5 * MINUTE
    world.stop()
    world.start()
    (row,) = world.outbox.add([Draft("another one")], State.APPROVED, world.now, "person")
    assert row is not None
    assert world.poster.send(row.id).state is State.POSTED, "nothing waits any more"


def test_f52_a_copy_that_is_written_over_the_outbox_in_use_posts_nothing(home: Path) -> None:
    world = World(home, SIX_HOURLY)
    (row,) = world.outbox.add([Draft("given by hand")], State.APPROVED, world.now, "person")
    assert row is not None
    backup = (home / "outbox.db").read_bytes()
    world.poster.send(row.id)
    (home / "outbox.db").write_bytes(backup)  # the same file, by its number
    with pytest.raises(Replaced):
        world.poster.send(row.id)
    assert world.net.texts == ["given by hand"]


def test_an_outbox_that_only_this_program_wrote_is_no_copy(home: Path) -> None:
    world = World(home, SIX_HOURLY, datetime.now(UTC))
    (row,) = world.outbox.add([Draft("given by hand")], State.HELD, world.now, "person")
    assert row is not None
    for _ in range(2):
        world.stop()
        world.now += timedelta(seconds=1)
        world.start()
        if world.outbox.get(row.id).state is State.HELD:
            transitions.approve(world.outbox, row.id, world.now)
    assert world.poster.send(row.id).state is State.POSTED


# -- several hands -----------------------------------------------------------------------------------


def another(world: World) -> Poster:
    """What posts from the same outbox in another process."""
    return Poster(world.config, world.outbox, lambda: world.net, lambda _: [], lambda: world.now, who="another")


def test_f48_of_two_who_press_send_it_again_only_one_does(home: Path) -> None:
    world, row = lost(home, lag=HOUR)

    def meanwhile(_: Post) -> list[str]:
        world.net.faults = [("after", LOST)]
        assert another(world).send(row.id, resend=True).state is State.UNCONFIRMED
        return []

    world.judge = meanwhile
    with pytest.raises(OutboxError, match="has changed since"):
        world.poster.send(row.id, resend=True)
    assert world.net.calls == 2


def test_a_row_that_changed_while_it_was_looked_for_is_not_sent_again(home: Path) -> None:
    world, row = lost(home, arrived=False)
    real = world.net.timeline

    def slow(since: datetime, limit: int = 20) -> Any:
        transitions.record_miss(world.outbox, row, world.now, "not there")
        return real(since, limit)

    world.net.timeline = slow  # type: ignore[method-assign]
    with pytest.raises(OutboxError, match="has changed since"):
        world.poster.send(row.id, resend=True)
    assert world.net.calls == 1


def test_a_look_says_nothing_about_an_attempt_that_came_after_it(home: Path) -> None:
    world, row = lost(home, arrived=False)
    real = world.net.timeline

    def slow(since: datetime, limit: int = 20) -> Any:
        world.net.timeline = real  # type: ignore[method-assign]
        shown = real(since, limit)
        world.net.faults = [("after", LOST)]
        another(world).send(row.id, resend=True)
        return shown

    world.net.timeline = slow  # type: ignore[method-assign]
    world.run(2 * MINUTE)
    found = world.outbox.get(row.id)
    assert (found.state, found.resends, found.looked, found.reconcile_misses) == (State.UNCONFIRMED, 1, None, 0)
    assert problems(world.outbox) == {}


@pytest.mark.parametrize("how", ["filters", "person"])
def test_f49_what_may_be_there_is_never_off_the_books_and_undo_reaches_it(home: Path, how: str) -> None:
    world, row = lost(home, lag=2 * HOUR)
    world.net.faults = [TOO_MANY]
    world.poster.send(row.id, resend=True)
    if how == "person":
        transitions.reject(world.outbox, row.id, world.now)
    else:
        world.objections = ["dedupe: the author opted out"]
        world.run(30 * MINUTE)
    assert world.outbox.get(row.id).state is State.UNCONFIRMED
    assert world.net.calls == 2
    with pytest.raises(OutboxError, match="is not on the timeline, which may lag"):
        world.poster.undo(row.id)
    world.now += 2 * HOUR
    assert world.poster.undo(row.id).state is State.DELETED
    assert posts_of(world, row) == 0


def test_a_text_that_the_filters_refuse_is_not_sent_again_and_stays_unconfirmed(home: Path) -> None:
    world, row = lost(home, lag=HOUR)
    world.objections = ["dedupe: the author opted out"]
    with pytest.raises(OutboxError, match="is not sent again: refused at the last moment: dedupe"):
        world.poster.send(row.id, resend=True)
    assert world.outbox.get(row.id) == row
    world.run(2 * HOUR)
    assert world.outbox.get(row.id).state is State.POSTED


def test_a_definite_no_to_the_second_attempt_leaves_the_first_unconfirmed(home: Path) -> None:
    world, row = lost(home, lag=HOUR)
    world.net.faults = [Refused(Kind.INVALID, 400)]
    found = world.poster.send(row.id, resend=True)
    assert (found.state, found.slot_released) == (State.UNCONFIRMED, False)
    world.run(2 * HOUR)
    assert world.outbox.get(row.id).state is State.POSTED


def test_undo_finds_a_post_that_was_given_up(home: Path) -> None:
    world, row = lost(home, lag=3 * DAY)
    world.run(2 * DAY)
    assert world.outbox.get(row.id).state is State.FAILED
    world.now += 2 * DAY
    assert world.poster.undo(row.id).state is State.DELETED
    assert posts_of(world, row) == 0


def test_a_text_whose_process_died_can_be_sent_again_as_soon_as_the_timeline_must_show_it(home: Path) -> None:
    world = World(home, SIX_HOURLY)
    world.run(MINUTE / 2)
    (row,) = world.rows(State.APPROVED)
    transitions.claim(world.outbox, row.id, world.now, review=False, charge=lambda _: None)
    with pytest.raises(OutboxError, match="which may lag: try again in 120 s"):
        world.poster.send(row.id, resend=True)
    world.now += 2 * MINUTE
    sent = world.poster.send(row.id, resend=True)
    assert (sent.state, sent.resends, posts_of(world, row)) == (State.POSTED, 1, 1)


def test_a_second_attempt_that_is_not_made_leaves_the_row_as_it_was(home: Path) -> None:
    budget = {"posts_per_day": 1, "usd_per_month": 1e9}
    world, row = lost(home, arrived=False, budget=budget)
    with pytest.raises(OutboxError, match="the day's budget of 1 post is used up"):
        world.poster.send(row.id, resend=True)
    world.poster.stop.set()
    assert world.poster.send(row.id, resend=True).state is State.UNCONFIRMED
    assert (world.outbox.get(row.id), world.net.calls) == (row, 1)


@pytest.mark.parametrize("state", [State.APPROVED, State.POSTED])
def test_only_a_text_of_unknown_fate_is_sent_again(home: Path, state: State) -> None:
    world = World(home, SIX_HOURLY)
    world.run(MINUTE / 2 if state is State.APPROVED else 2 * MINUTE)
    (row,) = world.rows(state)
    calls = world.net.calls
    with pytest.raises(OutboxError, match=f"post 1 is {state}: only a text whose fate is unknown"):
        world.poster.send(row.id, resend=True)
    assert (world.outbox.get(row.id), world.net.calls) == (row, calls)
