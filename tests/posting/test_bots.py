"""Several networks at once: the same texts, each with its own fate, and none waits for another."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from biobot.networks.errors import Kind, Refused, Unsent
from biobot.posting import bot_state, schedule, transitions
from biobot.posting.bot import Drafter
from biobot.posting.bots import Bots
from biobot.posting.outbox import Outbox
from biobot.posting.post import Post, State
from biobot.posting.poster import Poster
from tests.posting.world import Net, World

WEEK = timedelta(days=7)


class Several(World):
    """A bot on two networks."""

    def __init__(self, home: Path, names: tuple[str, ...] = ("bluesky", "x"), **post: Any) -> None:
        self.nets = {name: Net(lambda: self.now) for name in names}
        super().__init__(home, {"post": {"networks": list(names), **post}})

    def start(self, before: Any = None) -> None:
        self.outboxes = {name: Outbox(self.config.home / "outbox.db", name) for name in self.nets}
        self.outbox = self.outboxes[self.config.settings.post.first]
        posters = []
        for name, outbox in self.outboxes.items():
            outbox.ask("PRAGMA synchronous = OFF")
            posters.append(
                Poster(
                    self.config,
                    outbox,
                    lambda name=name: self.nets[name],  # type: ignore[misc]
                    lambda row: self.judge(row),
                    lambda: self.now,
                    who="a test",
                    stop=threading.Event(),
                )
            )
        self.bot = Bots(self.config, posters, Drafter(self._draw, threaded=False), before)  # type: ignore[assignment]

    def stop(self) -> None:
        for outbox in self.outboxes.values():
            outbox.close()

    def on(self, name: str, *states: State) -> list[Post]:
        return self.outboxes[name].posts(*states)


@pytest.fixture
def world(home: Path) -> Iterator[Several]:
    made = Several(home)
    yield made
    made.stop()


def test_the_same_texts_are_posted_to_each_in_the_same_slots(world: Several) -> None:
    world.run(timedelta(days=2))
    assert len(world.nets["x"].texts) >= 8
    assert world.nets["bluesky"].texts == world.nets["x"].texts
    assert [row.slot for row in world.on("x")] == [row.slot for row in world.on("bluesky")]
    drawn = sum(len(requests) for requests in world.asked)
    assert drawn <= len(world.on("x")) + 1


@pytest.mark.parametrize(
    ("down", "fault", "catch_up"),
    [
        ("bluesky", Unsent("no network"), "one"),
        ("bluesky", Refused(Kind.SUSPENDED, 403), "skip"),
        ("x", Unsent("no network"), "skip"),
        ("x", Refused(Kind.SUSPENDED, 403), "one"),
    ],
    ids=["bluesky away", "bluesky blocked", "x away", "x blocked"],
)
def test_one_that_is_down_for_a_week_costs_the_other_nothing_and_catches_up(
    home: Path, down: str, fault: Exception, catch_up: str
) -> None:
    world = Several(home)
    world.stop()
    settings = {"post": {"networks": ["bluesky", "x"]}, "schedule": {"catch_up": catch_up}}
    World.__init__(world, home, settings)
    other = "x" if down == "bluesky" else "bluesky"
    world.run(timedelta(hours=13))
    begin, before = world.now, len(world.nets[down].texts)
    world.nets[down].post = _raising(fault)  # type: ignore[method-assign]
    world.run(WEEK)
    assert len(world.nets[down].texts) == before
    due = schedule.slots_between(world.config.settings.schedule, begin, world.now, 1000)
    assert {row.slot for row in world.on(other, State.POSTED)} >= set(due[:-1])
    assert not world.on(other, State.SKIPPED, State.FAILED, State.UNCONFIRMED)
    del world.nets[down].post
    bot_state.resume(world.outboxes[down], world.now)
    back = world.now
    world.run(timedelta(hours=19))
    after = [tweet for tweet in world.nets[down].tweets if tweet.created and tweet.created > back]
    assert 3 <= len(after) <= 5, "it posts again, and does not burst"
    times = [tweet.created for tweet in after if tweet.created]
    assert all(late - early > timedelta(minutes=1) for early, late in pairwise(times))
    taken = Counter(row.slot for row in world.on(down) if not row.slot_released)
    assert set(due[:-1]) <= set(taken), "every slot has a row"
    assert max(Counter(world.nets[down].texts).values()) == 1
    world.stop()


def _raising(fault: Exception) -> Any:
    def post(request: str, key: str = "") -> str:
        raise fault

    return post


def test_a_text_that_is_too_long_for_one_is_skipped_there_and_posted_on_the_other(world: Several) -> None:
    world.nets["x"].max_length = 5
    world.run(timedelta(hours=13))
    assert len(world.nets["bluesky"].texts) == 3
    assert world.nets["x"].texts == []
    skipped = world.on("x", State.SKIPPED)
    assert len(skipped) == 3
    assert "of 5 characters" in (skipped[0].reason or "")


def test_budget_and_breaker_are_each_ones_own(home: Path) -> None:
    world = Several(home, budget={"posts_per_day": 2, "usd_per_month": 0.035})
    world.run(timedelta(days=3))
    assert len(world.nets["x"].texts) == 2, "two posts at $0.015"
    assert len(world.nets["bluesky"].texts) >= 6, "which cost nothing there"
    world.stop()


def test_what_a_person_approves_goes_to_each_and_what_is_held_to_none(home: Path) -> None:
    world = Several(home, review="on")
    world.run(timedelta(hours=7))
    held = world.on("bluesky", State.HELD)
    assert held
    assert world.on("x", State.HELD, State.APPROVED, State.POSTED) == []
    for row in held:
        transitions.approve(world.outbox, row.id, world.now)
    world.run(timedelta(hours=13))
    assert len(world.nets["x"].texts) >= 2
    assert world.nets["x"].texts == world.nets["bluesky"].texts
    world.stop()


def test_the_rows_of_one_text_know_each_other(world: Several) -> None:
    world.run(timedelta(hours=7))
    (one,), (other,) = (world.on(name, State.POSTED)[:1] for name in ("bluesky", "x"))
    ids = {one.id, other.id}
    assert set(world.outbox.siblings(one.id)) == set(world.outbox.siblings(other.id)) == ids
    assert world.outbox.decisions() == []


def test_a_text_is_shared_while_the_next_ones_are_still_being_drawn(world: Several, monkeypatch: Any) -> None:
    fetch = Drafter.fetch

    def forever(self: Drafter) -> Any:
        found, ended = fetch(self)
        self.busy = self.busy or bool(found)
        return found, ended

    monkeypatch.setattr(Drafter, "fetch", forever)
    world.run(timedelta(minutes=30))
    assert len(world.nets["x"].texts) == 1
    assert world.nets["bluesky"].texts == world.nets["x"].texts
