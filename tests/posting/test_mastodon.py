"""The bot on Mastodon, in fast time: exactly once within a key's time, and at most once elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from biobot.networks.mastodon.client import TOKEN as VARIABLE
from biobot.networks.mastodon.client import MastodonClient
from biobot.networks.network import Opening
from biobot.posting.notices import problems
from biobot.posting.post import Post, State
from biobot.rehearsal.mastodon import TOKEN, FakeMastodon
from biobot.settings import MastodonSettings
from tests.posting.world import START, World

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
SLOT = timedelta(hours=6)
SETTINGS = {"schedule": {"every": "6h", "jitter": "0s"}, "post": {"network": "mastodon"}}


class MastodonWorld(World):
    """A bot that posts every six hours to a fake Mastodon, the first time a minute after the start."""

    def __init__(self, home: Path, server: Any) -> None:
        self.fake = FakeMastodon(lambda: self.now, server=server).start()
        super().__init__(home, SETTINGS | {"mastodon": {"server": self.fake.address}})
        settings = MastodonSettings(server=self.fake.address, timeout=timedelta(seconds=0.3))
        self.net = MastodonClient(  # type: ignore[assignment]
            Opening(settings, {VARIABLE: TOKEN}, home, lambda: self.now)
        )

    def first(self) -> Post:
        """Return the row of the first slot."""
        return min((row for row in self.rows() if row.slot), key=lambda row: row.slot or START)

    def posted(self) -> Counter[str]:
        """Count the posts on the server, by text."""
        return Counter(post["text"] for post in self.fake.report()["posts"])


Start = Callable[..., MastodonWorld]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    worlds: list[MastodonWorld] = []

    def begin(server: str = "4.7.2") -> MastodonWorld:
        worlds.append(MastodonWorld(tmp_path, server))
        return worlds[-1]

    yield begin
    for world in worlds:
        world.fake.stop()
        assert not world.fake.crashes


@pytest.mark.parametrize("server", ["4.5", "4.6", "4.7.2", "none", "pleroma"])
@pytest.mark.parametrize("fault", ["html-502-after", "json-503", "half-body"])
def test_a_lost_answer_is_settled_and_the_post_is_there_at_most_once(start: Start, server: str, fault: str) -> None:
    world = start(server)
    world.fake.fault(fault)
    world.run(timedelta(hours=25))
    row, stored = world.first(), fault != "json-503"
    repeats = server not in ("none", "pleroma")
    assert row.state is (State.POSTED if stored or repeats else State.FAILED)
    assert world.posted()[row.text or ""] == (1 if stored or repeats else 0)
    assert max(world.posted().values()) == 1
    assert len(world.rows(State.POSTED)) >= 4
    assert not world.rows(State.UNCONFIRMED)
    if row.state is State.FAILED:
        assert "never sent again by itself" in (row.reason or "")
    if row.state is State.POSTED and not stored:
        assert any("sent again under its key" in (each.reason or "") for each in world.outbox.audit(row.id))


def test_after_fifty_minutes_nothing_is_sent_again(start: Start) -> None:
    world = start()
    world.fake.fault("json-503")
    world.run(1.5 * MINUTE)  # sent, and unknown
    assert world.first().state is State.UNCONFIRMED
    world.now += timedelta(minutes=55)  # the machine slept
    world.run(timedelta(days=2))
    assert world.first().state is State.FAILED
    assert world.posted()[world.first().text or ""] == 0


@pytest.mark.parametrize(
    ("server", "fault"),
    [("4.6", "late"), ("4.7.2", "late"), ("4.5", "replica-lag"), ("4.6", "replica-lag"), ("4.7.2", "replica-lag")],
)
def test_f55_a_post_that_the_first_look_misses_is_there_once(start: Start, server: str, fault: str) -> None:
    world = start(server)
    world.fake.fault(fault, seconds=90)  # so that the first look makes the bot repeat the call
    world.run(HOUR)
    row = world.first()
    assert (row.state, world.posted()) == (State.POSTED, Counter({row.text or "": 1}))
    assert world.fake.state.tally("repeated-keys") == (fault == "replica-lag")


def test_a_lock_that_a_dead_worker_left_is_waited_out(start: Start) -> None:
    world = start()
    world.fake.fault("lock-left")
    world.run(HOUR)
    assert (world.first().state, max(world.posted().values())) == (State.POSTED, 1)


def test_only_an_old_server_doubles_a_post_that_came_late_and_the_owner_is_told(start: Start) -> None:
    world = start("4.5")
    world.fake.fault("late", seconds=90)
    world.run(timedelta(days=2))
    row = world.first()
    assert row.state is State.POSTED
    assert world.posted()[row.text or ""] == 2
    assert (
        f"Mastodon made posts twice, delete one of each there: post {row.id} as " in problems(world.outbox)["doubled"]
    )
    assert all(count == 1 for text, count in world.posted().items() if text != row.text)


def test_f57_what_a_spam_filter_drops_fails_and_three_in_a_row_open_the_breaker(start: Start) -> None:
    world = start()
    world.fake.fault("silent-drop", times=99)
    world.run(3 * SLOT)
    assert "3 posts of unknown fate in a row" in problems(world.outbox)["breaker"]
    assert "spam filter" in next(
        each.reason or "" for each in world.outbox.audit(world.first().id) if each.state == "unconfirmed"
    )
    world.run(timedelta(days=2))
    assert world.first().state is State.FAILED
    assert world.posted() == Counter()


def test_a_post_that_a_moderator_deleted_is_not_made_again(start: Start) -> None:
    world = start()
    world.fake.fault("moderated")
    world.run(timedelta(days=2))
    row = world.first()
    assert row.state is State.FAILED
    assert world.posted()[row.text or ""] == 1
    assert any("deleted" in (each.reason or "") for each in world.outbox.audit(row.id))


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("revoked", "make a new application under Preferences"),
        ("scope", "the token lacks a scope"),
        ("suspended", "the account is suspended or frozen"),
        ("moved", "set `mastodon.server` to its new address"),
        ("closed", "the server has closed for good"),
    ],
)
def test_what_a_person_must_mend_blocks_the_bot_and_keeps_the_text(start: Start, fault: str, says: str) -> None:
    world = start()
    world.fake.fault(fault)
    world.run(SLOT)
    assert says in problems(world.outbox)["blocked"]
    assert "run `biobot resume`" in problems(world.outbox)["blocked"]
    row = world.first()
    assert (row.state, world.posted()) == (State.APPROVED, Counter())


def test_an_undone_post_is_gone_and_stays_gone(start: Start) -> None:
    world = start()
    world.run(2 * MINUTE)
    row = world.poster.undo(world.first().id)
    world.run(timedelta(days=1))
    assert row.state is State.DELETED
    (post,) = [each for each in world.fake.report()["posts"] if each["text"] == row.text]
    assert post["deleted"]
