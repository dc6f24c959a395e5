"""A bot's life in fast time: what it posts, when, and what it does when things go wrong."""

from __future__ import annotations

import itertools
import logging
import sqlite3
import tracemalloc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from biobot import storage
from biobot.app import health, posting
from biobot.candidate import DraftRequest, DraftResult, Objection
from biobot.errors import LockHeld, OutboxError, PluginError, SampleError
from biobot.networks.errors import Kind, Refused, Unknown, Unsent
from biobot.networks.network import Account
from biobot.posting import bot_state, locks, poster, schedule, transitions
from biobot.posting.blocks import posting_block
from biobot.posting.drafts import request
from biobot.posting.notices import problems
from biobot.posting.outbox import Outbox, Replaced
from biobot.posting.post import Post, State, moment
from biobot.posting.poster import Poster
from biobot.worker.double import FakeWorker
from tests.posting.world import START, World

HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)
LOST = Unknown("the line went dead")
SIX_HOURLY = {"schedule": {"every": "6h", "jitter": "0s"}}
HOURLY = {"schedule": {"every": "1h", "jitter": "0s"}}


def hourly(**post: Any) -> dict[str, Any]:
    return {**HOURLY, "post": post}


def told(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return what was logged, but for the slots that were missed."""
    return [record for record in caplog.records if " missed: " not in record.getMessage()]


def gone_through(world: World) -> None:
    """Every post on the network belongs to one row, and no text is there twice."""
    ids = [row.remote_id for row in world.rows(State.POSTED)]
    assert len(set(world.net.texts)) == len(world.net.texts)
    assert sorted(filter(None, ids)) == sorted(tweet.id for tweet in world.net.tweets)


# -- the ordinary ------------------------------------------------------------------------------------


def test_posts_one_accepted_draft_a_slot(home: Path) -> None:
    world = World(home, SIX_HOURLY)
    world.run(DAY)
    assert world.slots(State.POSTED) == ["22 18:00", "23 00:00", "23 06:00", "23 12:00"]
    assert [tweet.created for tweet in world.net.tweets] == [row.slot for row in world.rows(State.POSTED)]
    gone_through(world)


def test_jitter_delays_a_post_and_a_restart_changes_nothing(home: Path) -> None:
    world = World(home, {"schedule": {"every": "6h", "jitter": "30m"}})
    slot = START + MINUTE
    due = schedule.due(world.config.settings.schedule, slot, str(home.resolve()))
    assert slot < due < slot + 30 * MINUTE
    world.run((due - START) * 0.99)
    assert world.net.texts == []  # the slot has come, its moment has not
    world.stop()
    world.start()
    world.run(HOUR)
    assert [tweet.created for tweet in world.net.tweets] == [due]


def test_a_fast_schedule_asks_one_child_for_many_drafts(home: Path) -> None:
    world = World(home, {"schedule": {"every": "2s"}})
    world.run(4 * MINUTE)
    assert len(world.net.tweets) == 119
    assert len(world.asked) <= 10
    assert max(map(len, world.asked)) <= 20
    gone_through(world)


def test_a_run_that_is_repeated_draws_the_same_drafts(tmp_path: Path) -> None:
    world = World(tmp_path / "home", SIX_HOURLY)
    world.run(DAY)
    world.stop()
    (tmp_path / "home" / "outbox.db").unlink()
    again = World(tmp_path / "home", SIX_HOURLY)
    again.run(DAY)
    assert again.net.texts == world.net.texts
    other = World(tmp_path / "another home", SIX_HOURLY)
    other.run(DAY)
    assert not set(other.net.texts) & set(world.net.texts)


def test_min_gap_is_kept(home: Path) -> None:
    world = World(home, {"schedule": {"every": "1h", "jitter": "0s", "min_gap": "150m"}})
    world.run(10 * HOUR)
    times = [tweet.created for tweet in world.net.tweets if tweet.created]
    assert len(times) == 4
    assert all(b - a >= timedelta(minutes=150) for a, b in pairwise(times))


def test_quiet_hours_are_kept_by_late_posts_too(home: Path) -> None:
    settings = {"schedule": {"every": "1h", "jitter": "0s", "quiet": ["23:00-07:00"]}}
    world = World(home, settings, datetime(2026, 11, 22, 21, 30, tzinfo=UTC))
    world.run(HOUR)
    world.now += 2 * HOUR  # the machine slept from 22:30 to 0:30
    world.run(8 * HOUR)
    assert world.slots(State.POSTED) == ["22 22:00", "23 07:00", "23 08:00"]
    assert all(tweet.created and not 0 <= tweet.created.hour < 7 for tweet in world.net.tweets)


def test_a_new_schedule_moves_the_drafts_and_misses_nothing(home: Path) -> None:
    world = World(home, {"schedule": {"every": "2s"}})
    world.run(2 * MINUTE)
    posted, waiting = len(world.net.texts), world.outbox.counts()["approved"]
    assert waiting > 5
    world.stop()
    next_one = World(home, SIX_HOURLY, world.now)
    next_one.run(DAY)
    assert next_one.outbox.counts()["skipped"] == 0
    assert len(next_one.net.texts) == 4
    assert next_one.outbox.counts()["posted"] == posted + 4
    assert next_one.outbox.counts()["approved"] == waiting - 4


@pytest.mark.parametrize("slots", [50, pytest.param(10_000, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])])
def test_thousands_of_slots_leave_the_memory_as_it_was(home: Path, slots: int) -> None:
    world = World(home, {"schedule": {"every": "20s"}})

    def pass_by(count: int) -> int:
        for _ in range(count // 50):
            world.run(50 * timedelta(seconds=20))
            world.net.tweets.clear()
            world.asked.clear()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    before = pass_by(50)
    grown = pass_by(slots) - before
    tracemalloc.stop()
    assert world.outbox.counts()["posted"] >= slots
    assert grown < 200_000


# -- the network fails -------------------------------------------------------------------------------


def test_f2_a_post_of_unknown_fate_is_found_on_the_timeline_and_never_sent_again(home: Path) -> None:
    world = World(home, SIX_HOURLY)
    world.net.faults = [("after", LOST)]
    world.run(90 * timedelta(seconds=1))
    assert world.slots(State.UNCONFIRMED) == ["22 18:00"]
    world.run(HOUR)
    assert world.slots(State.POSTED) == ["22 18:00"]
    assert world.net.calls == 1
    gone_through(world)


def test_f46_a_timeline_that_lags_concludes_nothing(home: Path) -> None:
    world = World(home, SIX_HOURLY)
    world.net.faults = [("after", LOST)]
    world.net.lag = 20 * MINUTE
    world.run(10 * MINUTE)
    assert world.rows(State.UNCONFIRMED)[0].reconcile_misses == 2
    world.run(HOUR)
    assert world.slots(State.POSTED) == ["22 18:00"]
    assert world.net.calls == 1


def test_a_timeline_that_cannot_be_read_concludes_nothing_and_is_not_hammered(home: Path) -> None:
    world = World(home, SIX_HOURLY)
    world.net.faults = [LOST]
    world.net.broken_timeline = Refused(Kind.RATE_LIMIT, 429)
    world.run(3 * DAY)
    assert world.slots(State.UNCONFIRMED) == ["22 18:00"]
    assert world.net.reads < 3 * 24 * 6
    world.net.broken_timeline = None
    world.run(2 * DAY)
    assert (
        world.rows(State.FAILED)[0].reason
        == "not on the timeline; never sent again by itself: `biobot reconcile ID --resend`"
    )


def test_a_post_that_never_turns_up_fails_and_only_a_person_sends_it_again(home: Path) -> None:
    world = World(home, SIX_HOURLY)
    world.net.faults = [LOST]
    world.run(2 * DAY)
    (row,) = world.rows(State.FAILED)
    text = row.text
    assert text not in world.net.texts
    sent = world.poster.send(row.id, resend=True)
    assert (sent.state, sent.text) == (State.POSTED, text)
    assert world.net.texts.count(text) == 1  # type: ignore[arg-type]


def test_sending_again_looks_first_and_posts_nothing_that_is_there(home: Path) -> None:
    world = World(home, SIX_HOURLY)
    world.net.faults = [("after", LOST)]
    world.net.lag = 3 * DAY
    world.run(2 * DAY)
    (row,) = world.rows(State.FAILED)
    world.net.lag = timedelta(0)
    calls = world.net.calls
    assert world.poster.send(row.id, resend=True).state is State.POSTED
    assert world.net.calls == calls
    gone_through(world)


def test_f20_a_duplicate_on_the_first_attempt_is_not_ours_and_the_slot_gets_another_text(home: Path) -> None:
    world = World(home, SIX_HOURLY)
    world.net.faults = [Refused(Kind.DUPLICATE, 403, "duplicate content")]
    world.run(HOUR)
    (failed,) = world.rows(State.FAILED)
    (posted,) = world.rows(State.POSTED)
    assert failed.slot == posted.slot
    assert failed.text != posted.text
    with pytest.raises(OutboxError, match="only what is posted can be deleted"):
        world.poster.undo(failed.id)
    with pytest.raises(OutboxError, match="only a text whose fate is unknown"):
        world.poster.send(failed.id, resend=True)


def test_f20_a_duplicate_after_sending_again_is_settled_by_the_timeline(home: Path) -> None:
    world = World(home, SIX_HOURLY)
    world.net.faults = [("after", LOST)]
    world.net.lag = 10 * MINUTE
    world.run(5 * MINUTE)
    (row,) = world.rows(State.UNCONFIRMED)
    world.net.faults = [Refused(Kind.DUPLICATE, 403, "duplicate content")]
    assert world.poster.send(row.id, resend=True).state is State.UNCONFIRMED
    world.run(HOUR)
    assert world.outbox.get(row.id).state is State.POSTED
    gone_through(world)


def test_a_text_that_is_drawn_again_is_no_draft_and_another_is_drawn_for_the_slot(home: Path) -> None:
    world = World(home, SIX_HOURLY)
    worker = FakeWorker(world.config, lambda _, seed: f"one of three: {seed % 3}")

    def draw(requests: Sequence[DraftRequest]) -> Iterator[DraftResult]:
        assert len(world.asked) < 100, "it draws the same texts again and again"
        return worker.draw(requests)

    world.draw = draw
    world.run(timedelta(days=3))
    assert sorted(world.net.texts) == [f"one of three: {each}" for each in range(3)]
    assert {row.reason for row in world.rows(State.SKIPPED)} == {"3 texts lost this slot"}


def test_a_slot_is_given_up_when_three_texts_lost_it(home: Path) -> None:
    world = World(home, SIX_HOURLY)
    world.net.faults = [Refused(Kind.DUPLICATE, 403)] * 9
    world.run(HOUR)
    assert len(world.rows(State.FAILED)) == 3
    assert [row.reason for row in world.rows(State.SKIPPED)] == ["3 texts lost this slot"]


def test_f42_without_a_network_the_slot_waits_and_nothing_is_unconfirmed(home: Path) -> None:
    world = World(home, SIX_HOURLY)
    world.net.faults = [Unsent("no route")] * 5
    world.run(5 * HOUR)
    assert world.slots(State.POSTED) == ["22 18:00"]
    assert world.net.calls == 6
    assert not world.rows(State.UNCONFIRMED, State.FAILED, State.SKIPPED)
    assert world.poster.budget.left(world.now).posts_today == 1


def test_f13_an_outage_of_the_network_ends_in_one_post_not_in_a_burst(home: Path) -> None:
    world = World(home, HOURLY)
    world.net.faults = [Unsent("no route")] * 40
    world.run(8 * HOUR)
    before = len(world.net.tweets)
    world.net.faults = []
    world.run(30 * MINUTE)
    assert len(world.net.tweets) - before <= 1
    world.run(2 * HOUR)
    gone_through(world)


def test_f1_a_429_is_waited_out_without_a_call(home: Path) -> None:
    world = World(home, HOURLY)
    world.net.faults = [Refused(Kind.RATE_LIMIT, 429, wait=20 * MINUTE)]
    world.run(19 * MINUTE)
    assert world.net.calls == 1
    with pytest.raises(
        OutboxError, match="nothing can be posted now: waiting until"
    ):  # nor does a person's hand make one
        posting.one(world.poster, world.worker, None)
    world.run(5 * MINUTE)
    assert world.net.calls == 2
    assert world.slots(State.POSTED) == ["22 18:00"]


def test_f1_a_text_that_x_wants_later_waits_though_nothing_else_waits_any_more(home: Path) -> None:
    world = World(home, SIX_HOURLY)
    world.net.faults = [Refused(Kind.RATE_LIMIT, 429, wait=10 * MINUTE)]
    world.run(2 * MINUTE)
    with world.outbox.transaction() as db:  # `biobot resume` would let this text go, too
        db.execute("UPDATE network SET wait_until = NULL, wait_reason = NULL")
    world.run(5 * MINUTE)
    assert world.net.calls == 1
    world.run(10 * MINUTE)
    assert (world.net.calls, len(world.net.texts)) == (2, 1)


@pytest.mark.parametrize("kind", [Kind.SUSPENDED, Kind.LOCKED, Kind.REVOKED, Kind.NO_CREDITS, Kind.USAGE_CAP])
def test_f17_an_account_that_cannot_post_blocks_is_said_once_and_keeps_the_queue(
    home: Path, kind: Kind, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(home, HOURLY)
    world.net.faults = [Refused(kind, 403, "no")]
    world.run(DAY)
    assert world.net.calls == 1
    assert len([record for record in told(caplog) if "biobot resume" in record.getMessage()]) == 1
    assert len(caplog.records) - len(told(caplog)) == 23  # and every slot that was missed
    (waiting,) = world.rows(State.APPROVED)
    world.stop()
    world.start()
    caplog.clear()
    world.run(HOUR)
    assert world.net.calls == 1
    assert not told(caplog)  # said once, also over restarts
    bot_state.resume(world.outbox, world.now)
    world.run(2 * MINUTE)
    assert world.outbox.get(waiting.id).state is State.POSTED


def test_three_unknown_fates_in_a_row_open_a_breaker_that_survives_a_restart(home: Path) -> None:
    world = World(home, {"schedule": {"every": "10s"}, "post": {"reconcile_after": ["1h", "2h"]}})
    world.net.faults = [LOST] * 3
    world.run(5 * MINUTE)
    assert world.net.calls == 3
    world.stop()
    world.start()
    world.run(5 * MINUTE)
    assert world.net.calls == 3
    bot_state.resume(world.outbox, world.now)
    world.run(MINUTE)
    assert world.net.calls > 3


def test_the_breaker_closes_when_the_timeline_has_told(home: Path) -> None:
    world = World(home, {"schedule": {"every": "10s"}})
    world.net.faults = [("after", LOST)] * 3
    world.run(5 * MINUTE)
    assert world.net.calls > 10
    gone_through(world)


def test_f44_keys_of_another_account_post_nothing(home: Path) -> None:
    world = World(home, HOURLY)
    world.run(2 * HOUR)
    posted = world.net.calls
    world.net.account = Account("88", "another")
    world.stop()
    world.start()
    world.run(3 * HOUR)
    assert world.net.calls == posted
    assert "belong to account 88" in (bot_state.read(world.outbox).blocked or "")


def test_whatever_a_network_raises_is_unconfirmed_and_the_bot_lives(home: Path) -> None:
    world = World(home, HOURLY)
    world.net.faults = [("after", ValueError("not an int"))]
    world.run(2 * HOUR)
    assert world.net.calls == 2
    gone_through(world)


def test_f4_what_fails_after_a_good_post_does_not_repeat_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(home, HOURLY)

    def broken(_: object) -> None:
        raise RuntimeError("the log is broken")

    monkeypatch.setattr(world.bot, "say", broken)
    world.run(3 * HOUR)
    assert len(world.net.texts) == 3
    gone_through(world)


@pytest.mark.parametrize("point", ["judged", "locked", "claimed", "answered", "settled"])
def test_f4_a_failure_at_any_point_never_makes_two_posts(
    home: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    world = World(home, HOURLY)
    left = [point]

    def fail(name: str) -> None:
        if left == [name]:
            left.clear()
            raise RuntimeError(f"failed when {name}")

    monkeypatch.setattr(poster, "failpoint", fail)
    world.run(3 * HOUR + 10 * MINUTE)
    assert not left
    assert len(world.net.texts) >= 2 + (point != "claimed")
    gone_through(world)
    assert not world.rows(State.SENDING)


# -- the sampler and the filters fail ----------------------------------------------------------------


def test_f10_f11_when_every_draft_is_refused_the_slot_is_skipped_with_the_reason(home: Path) -> None:
    world = World(home, {**HOURLY, "sample": {"max_tries": 200}})
    world.worker.objections = lambda _text, _row: [Objection("dedupe", "a copy")]
    world.run(2 * HOUR)
    assert world.net.calls == 0
    assert {row.reason for row in world.rows(State.SKIPPED)} == {"all 200 drafts were refused: dedupe 200"}
    assert world.slots(State.SKIPPED) == ["22 18:00", "22 19:00"]
    assert world.outbox.refused() == {"dedupe": 400}
    world.stop()
    assert health.status(world.config, world.now).refused == {"dedupe": 400}


def test_refused_candidates_are_counted_by_filter_also_where_one_was_accepted(home: Path) -> None:
    asked = itertools.count()
    objections = [Objection(name, "no") for name in ("links", "links", "length")]
    world = World(home, HOURLY)
    world.worker.objections = lambda _text, _row: [] if next(asked) % 2 else objections
    world.run(2 * HOUR)
    assert len(world.net.texts) == 2
    assert world.outbox.refused() == {"length": 2, "links": 2}


def test_a_sampler_that_fails_is_said_once_and_what_is_queued_is_posted(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(home, {"schedule": {"every": "10s"}})
    world.run(MINUTE)
    ready = len(world.rows(State.APPROVED))
    assert ready

    def broken(_: Sequence[DraftRequest]) -> Iterator[DraftResult]:
        raise SampleError("no memory for it")

    posted, world.draw = len(world.net.texts), broken
    caplog.clear()
    world.run(10 * MINUTE)
    assert len(world.net.texts) == posted + ready
    assert [record.getMessage() for record in caplog.records].count("no memory for it") == 1
    assert len(world.asked) < 20
    assert any("no memory for it" in (row.reason or "") for row in world.rows(State.SKIPPED))


def test_half_a_character_in_whatever_others_say_stops_nothing(home: Path) -> None:
    world = World(home, SIX_HOURLY)
    draw = world.draw

    def fail(_: object) -> Iterable[DraftResult]:
        raise SampleError("the plugin caf\udce9 cannot be loaded: \ud83d")

    world.draw = fail
    world.net.faults = [Unsent("no way to x\udce9"), Refused(Kind.SUSPENDED, 403, "sus\ud83d")]
    world.run(MINUTE)
    assert any("caf" in text for text in problems(world.outbox).values())
    world.draw = draw
    world.run(3 * HOUR)
    assert any("sus" in text for text in problems(world.outbox).values())
    bot_state.resume(world.outbox, world.now)
    world.run(HOUR)
    assert len(world.net.texts) == 1


def test_drafts_that_come_too_late_for_their_slots_get_later_ones(home: Path) -> None:
    world = World(home, {"schedule": {"every": "2s"}})
    quick = world.draw

    def slow(requests: Sequence[DraftRequest]) -> Iterator[DraftResult]:
        world.now += 2 * MINUTE + timedelta(seconds=1)
        yield from quick(requests)

    world.draw = slow
    world.run(20 * MINUTE)
    assert len(world.net.texts) >= 8  # one each time that a draft is drawn
    gone_through(world)


def test_a_text_that_is_refused_at_the_last_moment_is_never_posted(home: Path) -> None:
    world = World(home, HOURLY)
    said = [["dedupe: the author opted out"]]
    world.judge = lambda _: said.pop() if said else []
    world.run(HOUR + 2 * MINUTE)
    assert world.slots(State.POSTED) == ["22 18:00", "22 19:00"]
    refused = world.rows(State.REJECTED)
    assert len(refused) == 1
    assert refused[0].reason == "refused at the last moment: dedupe: the author opted out"
    assert not {row.text for row in refused} & set(world.net.texts)


def test_a_judge_that_fails_posts_nothing_and_does_not_spin(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(home, HOURLY)

    def broken(_: object) -> list[str]:
        raise PluginError("the filter is gone")

    world.judge = broken
    world.run(3 * HOUR)
    assert world.net.calls == 0
    assert world.steps < 200


def test_f15_a_full_disk_posts_nothing_and_is_got_over(home: Path) -> None:
    world = World(home, HOURLY)
    world.run(30 * timedelta(seconds=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.outbox, "transaction", _full)
        world.run(3 * HOUR)
    assert world.net.calls == 0
    world.run(HOUR)
    assert len(world.net.texts) == 1
    gone_through(world)


def _full() -> Any:
    raise OutboxError("the outbox cannot be written: database or disk is full")


# -- time --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("policy", "caught_up"), [("one", 1), ("skip", 0)])
def test_f13_three_days_down_end_in_one_post_at_most(home: Path, policy: str, caught_up: int) -> None:
    world = World(home, {"schedule": {"every": "6h", "jitter": "0s", "catch_up": policy}})
    world.run(HOUR)
    world.stop()
    world.now += 3 * DAY
    world.start()
    world.run(HOUR)
    assert len(world.net.texts) == 1 + caught_up
    assert len(world.rows(State.SKIPPED)) == 12 - caught_up
    assert all(row.reason == "missed: the daemon was not running" for row in world.rows(State.SKIPPED))
    world.run(DAY)
    assert len(world.net.texts) == 5 + caught_up
    gone_through(world)


def test_f6_a_slot_that_is_due_at_boot_and_by_the_timer_is_posted_once(home: Path) -> None:
    world = World(home, SIX_HOURLY, datetime(2026, 11, 22, 17, 59, 45, tzinfo=UTC))
    world.bot.step(world.now)
    world.now = datetime(2026, 11, 22, 18, tzinfo=UTC)
    for _ in range(3):  # started again and again in the same second
        world.stop()
        world.start()
        world.bot.step(world.now)
        world.bot.step(world.now)
    assert len(world.net.texts) == 1


@pytest.mark.parametrize("jump", [5 * 365 * DAY, 30 * DAY])
def test_f47_a_clock_that_jumps_ahead_and_back_makes_no_burst_and_no_silence(home: Path, jump: timedelta) -> None:
    world = World(home, SIX_HOURLY)
    world.run(DAY)
    here = world.now
    world.net.faults = [Refused(Kind.RATE_LIMIT, 429, wait=10 * MINUTE)]
    world.now += jump
    world.run(5 * MINUTE)
    assert len(world.net.texts) == 4
    world.run(55 * MINUTE)
    assert len(world.net.texts) <= 5
    there = len(world.net.texts)
    world.now = here + HOUR
    world.run(DAY)
    assert 4 <= len(world.net.texts) - there <= 5
    gone_through(world)


def test_f14_f47_a_clock_that_goes_back_an_hour_repeats_nothing(home: Path) -> None:
    world = World(home, {"schedule": {"every": "10m", "jitter": "0s"}})
    world.run(2 * HOUR)
    posted = len(world.net.texts)
    world.now -= HOUR
    world.run(HOUR - MINUTE)
    assert len(world.net.texts) == posted  # these slots were filled before
    world.run(HOUR)
    assert len(world.net.texts) == posted + 6
    gone_through(world)


def test_a_gap_of_weeks_at_two_seconds_is_accounted_for_without_a_row_a_slot(home: Path) -> None:
    world = World(home, {"schedule": {"every": "2s"}})
    world.run(MINUTE)
    world.stop()
    world.now += 30 * DAY
    world.start()
    world.run(MINUTE)
    skipped = world.rows(State.SKIPPED)
    assert len(skipped) < 2500
    assert any("with all slots until" in (row.reason or "") for row in skipped)
    gone_through(world)


def test_a_pause_stops_posts_and_is_told_as_the_reason(home: Path) -> None:
    world = World(home, HOURLY)
    world.run(HOUR)
    bot_state.pause(world.outbox, world.now)
    world.run(3 * HOUR + 30 * MINUTE)
    assert len(world.net.texts) == 1
    bot_state.resume(world.outbox, world.now)
    world.run(MINUTE)
    assert len(world.net.texts) == 2
    assert {row.reason for row in world.rows(State.SKIPPED)} == {"missed: paused until `biobot resume`"}


def test_the_budget_stops_posts_until_the_next_day(home: Path) -> None:
    budget = {"posts_per_day": 17, "usd_per_month": 5.0}
    world = World(home, {"schedule": {"every": "2s"}, "post": {"budget": budget}})
    world.run(10 * MINUTE)
    assert len(world.net.texts) == 17
    assert len([each for asked in world.asked for each in asked]) <= 17
    block = posting_block(world.outbox, world.poster.budget, world.now)
    assert block is not None
    assert block.text == "the day's budget of 17 posts is used up; next at 2026-11-23 00:00:00 UTC"
    world.now = datetime(2026, 11, 22, 23, 59, 30, tzinfo=UTC)
    world.run(2 * MINUTE)
    assert len(world.net.texts) == 34


# -- review ------------------------------------------------------------------------------------------


def test_f12_with_review_on_nothing_leaves_without_a_persons_yes(home: Path) -> None:
    world = World(home, hourly(review="on", review_ahead=4))
    world.run(5 * HOUR)
    assert world.net.calls == 0
    held = world.rows(State.HELD)
    assert len(held) == 4
    assert all(row.slot and row.slot > world.now - HOUR for row in held)
    transitions.approve(world.outbox, held[2].id, world.now, held[2].rev)
    world.run(HOUR)
    assert world.net.texts == [held[2].text]  # it came forward: what is ready does not wait for what is not
    assert len(world.rows(State.HELD)) == 4


def test_f12_review_that_is_turned_on_holds_what_was_approved_by_nobody(home: Path) -> None:
    world = World(home, {"schedule": {"every": "10s"}})
    world.run(MINUTE)
    posted, waiting = len(world.net.texts), len(world.rows(State.APPROVED))
    assert waiting
    world.stop()
    reviewed = World(home, {"schedule": {"every": "10s"}, "post": {"review": "on"}}, world.now)
    reviewed.run(10 * MINUTE)
    assert reviewed.net.calls == 0
    assert reviewed.outbox.counts()["posted"] == posted
    assert not reviewed.rows(State.APPROVED)
    assert len(reviewed.rows(State.HELD)) >= waiting


def test_f12_an_outbox_that_cannot_be_read_posts_nothing(home: Path) -> None:
    (home / "outbox.db").write_bytes(b"this was the outbox" * 400)
    with pytest.raises(OutboxError, match="is no SQLite database"):
        World(home, hourly(review="on"))


def test_a_database_that_another_program_holds_is_waited_for_like_a_full_disk(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(storage, "SQLITE_TIMEOUT", 0.01)
    world = World(home, {"schedule": {"every": "10s"}})
    world.run(MINUTE)
    posted = len(world.net.texts)
    with closing(sqlite3.connect(home / "outbox.db", isolation_level=None)) as browser:
        browser.execute("BEGIN EXCLUSIVE")
        caplog.clear()
        for _ in range(30):
            following = world.bot.step(world.now)
            assert following > world.now
            world.now = following
        assert len(world.net.texts) == posted
        assert len([each for each in caplog.messages if "is held by another program" in each]) == 1
    world.run(5 * MINUTE)
    assert len(world.net.texts) > posted
    assert len(set(world.net.texts)) == len(world.net.texts)


def test_f16_a_draft_that_waited_too_long_is_dropped(home: Path) -> None:
    world = World(home, hourly(review="on", review_ahead=2, review_expiry="6h"))
    world.run(5 * HOUR)
    first = [row.id for row in world.rows(State.HELD)]
    world.run(3 * HOUR)
    dropped = [world.outbox.get(post) for post in first]
    assert all(row.state is State.REJECTED and "in time" in (row.reason or "") for row in dropped)
    with pytest.raises(OutboxError, match="cannot become approved"):
        transitions.approve(world.outbox, first[0], world.now)
    assert len(world.rows(State.HELD)) == 2
    assert world.net.calls == 0


@pytest.mark.parametrize("steps", [1, 100])
def test_f47_a_clock_that_runs_days_ahead_for_a_while_drops_no_held_draft(home: Path, steps: int) -> None:
    world = World(home, hourly(review="on", review_ahead=6))
    world.run(MINUTE / 2)
    held = {row.id: row.slot for row in world.rows(State.HELD)}
    assert len(held) == 6
    here = world.now
    world.now += 4 * DAY
    for _ in range(steps):
        world.now = max(world.bot.step(world.now), world.now)
    assert all(world.outbox.get(post).state is State.REJECTED for post in held)
    world.now = here
    world.run(MINUTE / 2)
    assert {row.id for row in world.rows(State.HELD)} >= set(held)
    slots = [row.slot for row in world.rows(State.HELD)]
    assert None not in slots
    assert len(set(slots)) == len(slots)


def test_a_rejected_draft_is_replaced_and_a_no_can_be_taken_back(home: Path) -> None:
    world = World(home, hourly(review="on", review_ahead=1))
    world.run(MINUTE / 2)
    (first,) = world.rows(State.HELD)
    transitions.reject(world.outbox, first.id, world.now, rev=first.rev)
    world.run(MINUTE / 4)
    (second,) = world.rows(State.HELD)
    assert (second.slot, second.text != first.text) == (first.slot, True)
    transitions.reopen(world.outbox, first.id, world.now)
    world.run(MINUTE / 8)
    slots = {row.slot for row in world.rows(State.HELD)}
    assert len(slots) == 2
    assert None not in slots


# -- other hands -------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_f52_an_outbox_that_is_no_longer_the_open_file_ends_the_bot(home: Path, how: str) -> None:
    world = World(home, HOURLY)
    world.run(MINUTE / 2)
    (home / "outbox.db").unlink()
    if how == "replaced":
        Outbox(home / "outbox.db", "rehearsal").close()
    with pytest.raises(Replaced, match=r"outbox\.db was replaced or deleted while it was in use"):
        world.run(HOUR)
    with pytest.raises(Replaced):
        world.poster.send(1)
    assert world.net.calls == 0


def test_f5_somebody_else_posting_is_waited_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poster, "LOCK_TIMEOUT", timedelta(seconds=0.1))
    world = World(home, HOURLY)
    with locks.lock(home, locks.post("rehearsal"), "`biobot post`", world.now):
        with pytest.raises(LockHeld, match="biobot post"):
            world.poster.send(_ready(world))
        assert world.net.calls == 0
    world.run(2 * MINUTE)
    assert len(world.net.texts) == 1


def _ready(world: World) -> int:
    world.run(MINUTE / 2)
    return world.rows(State.APPROVED)[0].id


def test_a_row_that_was_edited_after_it_was_judged_is_not_sent(home: Path) -> None:
    world = World(home, HOURLY)
    post = _ready(world)

    def meddle(_: object) -> list[str]:
        transitions.edit(world.outbox, post, "never judged", world.now)
        return []

    world.judge = meddle
    with pytest.raises(OutboxError, match="has changed since"):
        world.poster.send(post)
    assert world.net.calls == 0


def test_undo_deletes_the_post_and_only_once(home: Path) -> None:
    world = World(home, HOURLY)
    world.run(2 * MINUTE)
    (row,) = world.rows(State.POSTED)
    assert world.poster.undo(row.id).state is State.DELETED
    assert world.net.texts == []
    with pytest.raises(OutboxError, match="deleted: only what is posted"):
        world.poster.undo(row.id)


def test_f3_an_orphan_becomes_unconfirmed_and_is_found(home: Path) -> None:
    world = World(home, HOURLY)
    post = _ready(world)
    transitions.claim(world.outbox, post, world.now, review=False, charge=lambda _: None)
    world.net.post(world.outbox.get(post).text or "")  # accepted; then the process died
    world.stop()
    world.start()
    calls = world.net.calls
    world.run(10 * MINUTE)
    assert world.outbox.get(post).state is State.POSTED
    assert world.net.calls == calls
    gone_through(world)


def test_the_temperatures_weights_are_kept(home: Path) -> None:
    world = World(home, {"sample": {"temperatures": {"0.5": 3.0, "1.5": 1.0}}})
    slots = [moment(f"2026-11-{day:02}T{hour:02}:00:00Z") for day in range(1, 29) for hour in range(24)]
    drawn = [request(world.config, str(slot), slot).temperature for slot in slots]
    assert drawn.count(0.5) / len(drawn) == pytest.approx(0.75, abs=0.05)
    assert set(drawn) == {0.5, 1.5}


def test_a_draft_that_another_process_posts_meanwhile_is_no_problem_and_is_posted_once(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    world = World(home, SIX_HOURLY)
    other = Poster(world.config, world.outbox, lambda: world.net, lambda _: [], lambda: world.now, who="`biobot post`")

    def judge(row: Post) -> list[str]:
        world.judge = lambda _: []
        other.send(row.id)
        return []

    world.judge = judge
    world.run(timedelta(minutes=15))
    assert len(world.net.texts) == 1
    assert problems(world.outbox) == {}
    assert any("has changed since" in record.getMessage() for record in caplog.records)
