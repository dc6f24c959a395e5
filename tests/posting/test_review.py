"""Review turned on and off while the bot runs, and what the log says of missed slots and of people."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path

import pytest

from biobot.app.posting import one
from biobot.candidate import DraftResult
from biobot.networks.errors import Unsent
from biobot.posting import bot_state, transitions
from biobot.posting.notices import problems
from biobot.posting.post import State
from tests.posting.world import World

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
HOURLY = {"schedule": {"every": "1h", "jitter": "0s"}}
REVIEWED = {**HOURLY, "post": {"review": "on", "review_ahead": 3}}


def reasons(world: World) -> list[str | None]:
    return [row.reason for row in world.rows(State.SKIPPED)]


def test_turned_on_it_holds_at_once_what_no_person_approved(home: Path) -> None:
    world = World(home, {"schedule": {"every": "20s", "jitter": "0s"}})
    world.run(2 * MINUTE)
    posted, (mine, *others) = len(world.net.texts), world.rows(State.APPROVED)
    assert others
    transitions.hold(world.outbox, mine.id, world.now)
    transitions.approve(world.outbox, mine.id, world.now)
    world.reload(review="on")
    world.run(10 * MINUTE)
    assert world.net.texts[posted:] == [mine.text]
    assert {row.id for row in others} <= {row.id for row in world.rows(State.HELD)}


def test_turned_off_the_bot_speaks_on_and_what_was_held_still_waits_for_a_person(home: Path) -> None:
    world = World(home, REVIEWED)
    world.run(4 * HOUR + 10 * MINUTE)
    held = world.rows(State.HELD)
    assert held
    assert not world.net.texts
    world.reload(review="off")
    world.run(4 * HOUR)
    assert len(world.net.texts) == 5  # the open slot, and one an hour
    assert [row.id for row in world.rows(State.HELD)] == [row.id for row in held]
    transitions.approve(world.outbox, held[0].id, world.now)
    world.run(MINUTE)
    assert held[0].text not in world.net.texts  # not at once: at a slot
    world.run(2 * HOUR)
    assert held[0].text in world.net.texts


def test_a_slot_that_nobody_approved_a_draft_for_says_so_in_row_and_log(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(home, REVIEWED)
    world.run(3 * HOUR)
    assert set(reasons(world)) == {"missed: nobody approved a draft in time"}
    missed = [each.getMessage() for each in caplog.records if "missed" in each.getMessage()]
    assert missed == [f"slot 2026-11-22 {hour}:00:00 UTC missed: nobody approved a draft in time" for hour in (18, 19)]


def test_slots_that_passed_before_a_pause_are_not_laid_to_it(home: Path) -> None:
    world = World(home, HOURLY)
    world.run(HOUR)
    bot_state.pause(world.outbox, world.now)
    world.stop()
    world.now += 3 * HOUR
    world.start()
    world.run(2 * HOUR)
    said = reasons(world)
    assert said[:2] == ["missed: the daemon was not running"] * 2
    assert set(said[3:]) == {"missed: paused until `biobot resume`"}


def test_slots_that_passed_while_the_machine_slept_say_so(home: Path) -> None:
    world = World(home, HOURLY)
    world.run(HOUR)
    world.now += 5 * HOUR
    world.run(MINUTE)
    assert {(each or "")[:48] for each in reasons(world)} == {"missed: the machine slept, or the daemon was hel"}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"schedule": {"every": "1h", "jitter": "0s", "min_gap": "150m"}}, "the last post was less than `schedule"),
        (HOURLY, "the keys do not fit"),
    ],
)
def test_a_missed_slot_names_what_was_in_the_way(home: Path, settings: dict[str, object], reason: str) -> None:
    world = World(home, settings)
    world.run(HOUR + MINUTE)
    if settings is HOURLY:
        world.net.faults = [Unsent("the keys do not fit")] * 50
        world.net.broken_timeline = Unsent("the keys do not fit")
    world.run(4 * HOUR)
    assert any(reason in (each or "") for each in reasons(world)), reasons(world)


def test_the_failure_of_the_drafts_is_the_reason(home: Path) -> None:
    world = World(home, HOURLY)

    def fail(_: object) -> list[DraftResult]:
        raise OSError("no memory")

    world.draw = fail
    world.run(3 * HOUR)
    assert {each and "no memory" in each for each in reasons(world)} == {True}


def test_what_people_do_is_in_the_daemons_log(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = World(home, REVIEWED)
    caplog.set_level(logging.INFO)
    world.run(MINUTE / 2)
    first, second, third = world.rows(State.HELD)
    transitions.edit(world.outbox, first.id, "a better text for it", world.now)
    transitions.approve(world.outbox, first.id, world.now)
    transitions.reject(world.outbox, second.id, world.now)
    bot_state.pause(world.outbox, world.now)
    bot_state.resume(world.outbox, world.now)
    world.run(2 * MINUTE)
    transitions.delete(world.outbox, first.id, world.now)
    world.run(MINUTE)
    said = [each.getMessage() for each in caplog.records]
    for wanted in (
        f"post {first.id} was changed by a person: edited; it was: {first.text}",
        f"post {first.id} was approved by a person",
        f"post {second.id} was rejected by a person",
        "the bot was paused by a person",
        "the bot was resumed by a person",
        f"post {first.id} was deleted by a person",
        "3 drafts made, 3 waiting for approval",
    ):
        assert said.count(wanted) == 1, (wanted, said)
    assert third.id in {row.id for row in world.rows(State.HELD)}


def test_waiting_drafts_are_told_once_a_day_and_are_no_fault(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = World(home, REVIEWED)
    caplog.set_level(logging.INFO)
    world.run(timedelta(days=2, hours=1))
    told = [each.getMessage() for each in caplog.records if "queue list --state held" in each.getMessage()]
    assert len(told) == 3
    assert told[0].startswith("3 drafts waiting for approval")
    assert "review" in problems(world.outbox)
    for row in world.rows(State.HELD):
        transitions.reject(world.outbox, row.id, world.now)
    world.reload(review="off")
    world.run(MINUTE)
    assert "review" not in problems(world.outbox)


def test_once_at_a_slot_whose_draft_waits_shows_that_draft(home: Path) -> None:
    world = World(home, REVIEWED)
    world.run(HOUR)
    (row,) = world.rows(State.HELD)[:1]
    assert one(world.poster, world.worker, None, row.slot).id == row.id
