"""What a post's key is worth decides how an unknown fate is settled."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from biobot.networks.errors import Kind, Refused, Unknown, Unsent
from biobot.networks.network import FOR_EVER
from biobot.posting import bot_state, transitions
from biobot.posting.post import Draft, Post, State
from tests.posting.world import Net, World

LOST = Unknown("the line went dead")


class KeyedNet(Net):
    """A network that knows keys: the same call again does nothing, another text under a key is refused."""

    def __init__(self, clock: Callable[[], datetime], lasts: timedelta = FOR_EVER) -> None:
        super().__init__(clock)
        self.key_lasts = lasts
        self.sent: list[tuple[str, str]] = []
        self.known: dict[str, tuple[str, str]] = {}

    def make_key(self, text: str, row: int, slot: datetime, now: datetime) -> str:
        return f"{row}/{slot:%d-%H:%M}/{now:%M:%S}"

    def compose(self, text: str, now: datetime) -> str:
        return f"{text} (made {now:%d %H:%M})"

    def post(self, request: str, key: str = "") -> str:
        self.sent.append((key, request))
        known = self.known.get(key)
        fault = self.faults.pop(0) if self.faults else None
        if known is None and not isinstance(fault, BaseException):
            self.faults.insert(0, fault if callable(fault) else None)
            self.known[key] = request, super().post(request)
            known = self.known[key]
        if isinstance(fault, tuple):
            raise fault[1]
        if isinstance(fault, BaseException):
            raise fault
        assert known is not None
        if known[0] != request:
            raise Refused(Kind.TAKEN, 400)
        return known[1]


@pytest.fixture
def world(home: Path) -> World:
    return keyed(home)


def keyed(home: Path, lasts: timedelta = FOR_EVER, **post: Any) -> World:
    made = World(home, {"post": post, "schedule": {"jitter": "0s"}})
    made.net = KeyedNet(lambda: made.now, lasts)
    return made


def net(world: World) -> KeyedNet:
    assert isinstance(world.net, KeyedNet)
    return world.net


def posted(world: World) -> list[Post]:
    return world.rows(State.POSTED)


def test_an_unknown_fate_is_not_settled_while_the_network_wants_no_calls(world: World) -> None:
    net(world).faults = [("after", LOST), LOST, Refused(Kind.RATE_LIMIT, 429, wait=timedelta(minutes=20))]
    world.run(timedelta(minutes=20))
    assert (len(net(world).sent), posted(world)) == (3, [])
    world.run(timedelta(minutes=3))
    assert (len(net(world).sent), len(posted(world))) == (4, 1)


def test_an_unknown_fate_is_settled_at_once_by_the_same_call(world: World) -> None:
    net(world).faults = [("after", LOST)]
    world.run(timedelta(minutes=30))
    assert len(posted(world)) == len(net(world).tweets) == 1
    first, again = net(world).sent
    assert first == again
    assert net(world).reads == 0


@pytest.mark.parametrize("done", [True, False], ids=["done", "not done"])
@pytest.mark.parametrize("later", [timedelta(minutes=1), timedelta(days=31)])
def test_it_is_settled_by_the_same_call_in_a_minute_or_in_a_month_after_a_restart(
    world: World, done: bool, later: timedelta
) -> None:
    net(world).faults = [("after", LOST) if done else LOST, *[LOST] * 9]
    world.run(timedelta(minutes=2))
    (row,) = world.rows(State.UNCONFIRMED)
    net(world).faults = []
    world.stop()
    world.now += later
    world.start()
    world.bot.step(world.now)
    assert world.outbox.get(row.id).state is State.POSTED
    assert not world.rows(State.UNCONFIRMED)
    assert len(set(net(world).sent[:3])) == 1
    assert net(world).texts.count(net(world).sent[0][1]) == 1


def test_a_row_whose_process_died_amid_the_call_is_posted_once(world: World) -> None:
    world.run(timedelta(seconds=40))

    def die() -> None:
        raise KeyboardInterrupt

    net(world).faults = [die]
    with pytest.raises(KeyboardInterrupt):
        world.run(timedelta(minutes=30))
    world.stop()
    world.start()
    world.run(timedelta(minutes=1))
    assert len(posted(world)) == len(net(world).tweets) == 1


@pytest.mark.parametrize("how", [bot_state.pause, lambda outbox, now: bot_state.block(outbox, "no", now)])
def test_nothing_is_sent_again_while_a_person_has_to_resume(world: World, how: Callable[..., None]) -> None:
    net(world).faults = [LOST] * 3
    world.run(timedelta(minutes=1, seconds=5))
    how(world.outbox, world.now)
    calls = len(net(world).sent)
    world.run(timedelta(hours=3))
    assert len(net(world).sent) == calls
    bot_state.resume(world.outbox, world.now)
    world.run(timedelta(minutes=1))
    assert not world.rows(State.UNCONFIRMED)


def test_a_network_that_stays_away_is_asked_ever_less_often_and_never_given_up(world: World) -> None:
    net(world).faults = [LOST] * 60
    world.run(timedelta(hours=5))
    assert len(world.rows(State.UNCONFIRMED)) == 1
    assert 20 < len(net(world).sent) < 35
    net(world).faults = []
    world.run(timedelta(minutes=20))
    assert not world.rows(State.UNCONFIRMED)


def test_a_definite_no_to_the_same_call_ends_the_row_and_keeps_its_slot(world: World) -> None:
    net(world).faults = [LOST, LOST, Refused(Kind.INVALID, 400)]
    world.run(timedelta(minutes=30))
    (row,) = world.rows(State.FAILED)
    assert not row.slot_released
    assert "report it" in (row.reason or "")


def test_a_call_that_was_not_made_is_made_anew_with_another_key(world: World) -> None:
    net(world).faults = [Unsent("no network")]
    world.run(timedelta(minutes=30))
    first, second = net(world).sent
    assert first[0] != second[0]
    assert len(posted(world)) == 1


def test_an_edited_text_has_another_key(world: World) -> None:
    (row,) = world.outbox.add([Draft("a text")], State.APPROVED, world.now, "person")
    assert row is not None
    net(world).faults = [Refused(Kind.RATE_LIMIT, 429)]
    world.poster.send(row.id)
    transitions.edit(world.outbox, row.id, "another text", world.now)
    world.now += timedelta(hours=1)
    world.poster.send(row.id)
    assert [request.partition(" (")[0] for _, request in net(world).sent] == ["a text", "another text"]


def test_a_deletion_is_marked_first_and_finished_by_the_bot_and_nothing_comes_back(world: World) -> None:
    net(world).faults = [LOST] * 9
    world.run(timedelta(minutes=2))
    (row,) = world.rows(State.UNCONFIRMED)
    net(world).faults = []
    failing = True
    delete = net(world).delete

    def deleting(id: str) -> None:  # noqa: A002
        assert world.outbox.get(row.id).undone is not None
        delete(id)
        if failing:
            raise Unknown("the line went dead")

    net(world).delete = deleting  # type: ignore[method-assign]
    with pytest.raises(Unknown):
        world.poster.undo(row.id)
    assert net(world).tweets == []
    world.stop()
    failing = False
    world.start()
    sent = len(net(world).sent)
    world.run(timedelta(minutes=5))
    assert world.outbox.get(row.id).state is State.DELETED
    assert net(world).tweets == []
    assert len(net(world).sent) == sent


def test_a_window_is_used_after_a_look_and_never_when_it_is_over(home: Path) -> None:
    world = keyed(home, timedelta(minutes=50))
    net(world).faults = [LOST]
    world.run(timedelta(minutes=5))
    assert len(posted(world)) == 1
    assert net(world).sent[0] == net(world).sent[1]
    assert net(world).reads in (1, 2), "a look before the repetition, and one for doubles"
    world.stop()
    world.now += timedelta(hours=6)
    world.start()
    net(world).faults = [LOST]
    world.run(timedelta(seconds=30))
    world.stop()
    world.now += timedelta(minutes=51)
    world.start()
    sent = len(net(world).sent)
    world.run(timedelta(days=2))
    (given_up,) = world.rows(State.FAILED)
    assert [key for key, _ in net(world).sent[sent:] if key == given_up.key] == []


def test_without_a_key_nothing_is_ever_sent_again(home: Path) -> None:
    world = World(home, {"schedule": {"jitter": "0s"}})
    world.net.faults = [LOST]
    world.run(timedelta(hours=25))
    assert len(world.rows(State.FAILED)) == 1
    assert world.net.calls == len(world.net.tweets) + 1


def test_a_post_that_a_call_held_up_on_its_way_brings_back_is_deleted_again(world: World) -> None:
    world.run(timedelta(minutes=30))
    (row,) = posted(world)
    there = list(world.net.tweets)
    assert world.poster.undo(row.id).state is State.DELETED
    world.run(timedelta(minutes=5))
    world.net.tweets += there  # the first of two calls arrives, and the key is free
    world.run(timedelta(minutes=4))
    assert len(world.net.tweets) == 1
    world.run(timedelta(minutes=2))
    assert world.net.tweets == []
    calls = world.net.reads
    world.run(timedelta(hours=2))
    assert world.net.reads == calls, "and that is all"
    assert world.outbox.get(row.id).state is State.DELETED
