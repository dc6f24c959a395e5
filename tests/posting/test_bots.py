"""Several networks at once: the same texts, each with its own fate, and none waits for another."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from biobot.networks.bluesky.client import Bluesky
from biobot.networks.errors import Kind, Refused, Unsent
from biobot.networks.network import Opening
from biobot.posting import bot_state, bots, schedule, transitions
from biobot.posting.bot import Drafter
from biobot.posting.bots import Bots
from biobot.posting.outbox import Outbox
from biobot.posting.post import Draft, Post, State
from biobot.posting.poster import Poster
from biobot.settings import BlueskySettings
from tests.networks.test_session import server
from tests.posting.world import Net, World

WEEK = timedelta(days=7)


class Several(World):
    """A bot on two networks."""

    def __init__(self, home: Path, names: tuple[str, ...] = ("bluesky", "x"), **post: Any) -> None:
        self.nets: dict[str, Any] = {name: Net(lambda: self.now) for name in names}
        self.stopping = threading.Event()
        self.threaded = False
        super().__init__(home, {"post": {"networks": list(names), **post}})

    def start(self, before: Any = None) -> None:
        self.stopping = threading.Event() if self.stopping.is_set() else self.stopping
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
                    stop=self.stopping,
                )
            )
        drafter = Drafter(self._draw, threaded=self.threaded)
        self.bots = Bots(self.config, posters, drafter, before)
        self.bot = self.bots  # type: ignore[assignment]

    def stop(self) -> None:
        self.stopping.set()
        self.bots.close()
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
    world.nets[down].post = _raising(fault)
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


@pytest.fixture
def hanging(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Several]:
    """A bot whose Bluesky takes connections and never answers, with steps in threads, as in the daemon."""
    monkeypatch.setattr(bots, "PATIENCE", timedelta(seconds=0.15))
    monkeypatch.setattr("biobot.networks.watchdog.GRACE", timedelta(0))
    gone = threading.Event()

    def silent(_: socket.socket) -> None:
        gone.wait()

    with server(silent) as address:
        made = Several(home)
        made.stop()
        made.stopping, made.threaded = threading.Event(), True
        secrets = {"BIOBOT_BLUESKY_HANDLE": "a.test", "BIOBOT_BLUESKY_APP_PASSWORD": "a-password"}
        settings = BlueskySettings(address, timedelta(minutes=10))
        made.nets["bluesky"] = Bluesky.open(Opening(settings, secrets, home, lambda: made.now, made.stopping))
        made.start()
        yield made
        made.stop()
        gone.set()


def _until(world: Several, moment: datetime, done: Callable[[], bool]) -> None:
    """Step at a moment, in real time, until it is `done`; only what is drawn and what hangs takes any time."""
    world.now = moment
    for _ in range(200):
        world.bot.step(world.now)
        if done():
            return
        threading.Event().wait(0.02)
    raise AssertionError("it is not done")


def _hang(world: Several) -> list[str]:
    """Return the networks whose step has not ended."""
    return [bot.outbox.network for bot in world.bots._steps]


def test_one_that_hangs_delays_no_post_of_the_other(hanging: Several) -> None:
    settings = hanging.config.settings.schedule
    for number, slot in enumerate(schedule.next_slots(settings, hanging.now, 3), 1):
        due = schedule.due(settings, slot, str(hanging.config.home.resolve()))
        _until(hanging, slot - timedelta(seconds=20), lambda: bool(hanging.on("x", State.APPROVED)))
        _until(hanging, due, lambda: _hang(hanging) == ["bluesky"] and not hanging.on("x", State.APPROVED))
        assert len(hanging.nets["x"].texts) == number
        assert hanging.nets["x"].tweets[-1].created == due, "not a second late"
    (sent, *_) = hanging.on("bluesky")
    assert sent.text == hanging.nets["x"].texts[0]


def test_the_drafts_of_one_that_hangs_are_fetched_by_the_other(hanging: Several) -> None:
    settings = hanging.config.settings.schedule
    (slot,) = schedule.next_slots(settings, hanging.now, 1)
    drawn, draw = threading.Event(), hanging.draw
    hanging.draw = lambda requests: (each for each in draw(requests) if drawn.wait(60))
    hanging.now = slot - timedelta(seconds=20)
    hanging.bots.bots[0].step(hanging.now)  # it alone, so that it is the one that asks
    assert hanging.bots.bots[0].drafter.asked_by == "bluesky"
    (row,) = hanging.outbox.add([Draft("Of unknown fate.")], State.APPROVED, hanging.now)
    assert row is not None
    transitions.claim(hanging.outbox, row.id, hanging.now, review=False, charge=lambda _: None)
    transitions.lose_track(hanging.outbox, row.id, hanging.now - timedelta(hours=1), "no answer")
    _until(hanging, hanging.now + timedelta(minutes=2), lambda: _hang(hanging) == ["bluesky"])
    drawn.set()
    _until(hanging, hanging.now, lambda: slot in {row.slot for row in hanging.on("x", State.APPROVED, State.POSTED)})
