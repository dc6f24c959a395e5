"""A bot in a made-up world: its own clock, a network in memory, drafts that cost nothing."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from biobot.candidate import DraftRequest, DraftResult
from biobot.config import Config, Where, build
from biobot.networks.errors import Kind, Refused
from biobot.networks.network import Account, Engagement, Network, Timeline, Tweet
from biobot.posting.bot import Bot, Drafter
from biobot.posting.drafts import Draw
from biobot.posting.outbox import Outbox
from biobot.posting.post import Post, State
from biobot.posting.poster import Poster
from biobot.settings import Settings as Whole
from biobot.worker.double import FakeWorker

START = datetime(2026, 11, 22, 17, 59, tzinfo=UTC)


class Net(Network):
    """A network in memory that can be told to fail: `faults` holds what the next calls of `post` do.

    A fault is an exception to raise; `("after", exception)` accepts the post and then raises. The network's clock
    is `ahead` of the bot's (`told`, if set, is what its last answer said), and it refuses to be asked about its future.
    """

    name = "rehearsal"

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.clock = clock
        self.tweets: list[Tweet] = []
        self.faults: list[Any] = []
        self.calls = 0
        self.reads = 0
        self.account = Account("77", "tester")
        self.broken_timeline: Exception | None = None
        self.lag = timedelta(0)
        self.ahead = timedelta(0)
        self.told: timedelta | None = None
        self._ids = itertools.count(1000)
        self.liked: dict[str, Engagement] = {}
        self.counted: list[list[str]] = []

    def post(self, request: str, key: str = "") -> str:
        self.calls += 1
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, BaseException):
            raise fault
        if callable(fault):
            fault()
        tweet = self.add(request)
        if isinstance(fault, tuple):
            raise fault[1]
        return tweet.id

    @property
    def now(self) -> datetime:
        return self.clock() + self.ahead

    @property
    def clock_offset(self) -> timedelta:
        return self.ahead if self.told is None else self.told

    def add(self, text: str) -> Tweet:
        """Accept a text, of the bot or of a person who posts by hand."""
        tweet = Tweet(str(next(self._ids)), text, self.now)
        self.tweets.append(tweet)
        return tweet

    def timeline(self, since: datetime, limit: int = 20) -> list[Tweet]:
        self.reads += 1
        if self.broken_timeline is not None:
            raise self.broken_timeline
        if since > self.now:
            raise Refused(Kind.INVALID, 400, "start_time must be in the past")
        shown = [each for each in self.tweets if each.created and since <= each.created <= self.now - self.lag]
        return Timeline(shown[::-1][:limit], since)

    def engagement(self, ids: Sequence[str]) -> Mapping[str, Engagement]:
        self.counted.append(list(ids))
        there = {each.id for each in self.tweets}
        return {each: self.liked.get(each, Engagement()) for each in ids if each in there}

    def delete(self, id: str) -> None:  # noqa: A002
        self.tweets = [each for each in self.tweets if each.id != id]

    def me(self) -> Account:
        return self.account

    def close(self) -> None:
        pass

    @property
    def texts(self) -> list[str]:
        return [each.text for each in self.tweets]


class World:
    """One bot, whose time passes only by `run`."""

    def __init__(self, home: Path, settings: Mapping[str, Any] | None = None, start: datetime = START) -> None:
        table = {"schedule": {"timezone": "UTC"}, **(settings or {})}
        table["schedule"] = {"timezone": "UTC", **table["schedule"]}
        table.setdefault("post", {}).setdefault("budget", {"posts_per_day": 1000000, "usd_per_month": 1e9})
        self.config = Config(build(Whole, table, Where("test")), None, home, home)
        self.now = start
        self.net = Net(lambda: self.now)
        self.worker = FakeWorker(self.config)
        self.draw: Draw = self.worker.draw
        self.objections: list[str] = []
        self.judge: Callable[[Post], list[str]] = lambda _: self.objections
        self.asked: list[Sequence[DraftRequest]] = []
        self.steps = 0
        self.start()

    def reload(self, **post: Any) -> None:
        """Let the running bot take over changed settings of `[post]`, as the daemon does."""
        before, settings = self.bot, self.config.settings
        self.outbox.close()
        self.config = replace(self.config, settings=replace(settings, post=replace(settings.post, **post)))
        self.start(before)

    def start(self, before: Bot | None = None) -> None:
        """Start the bot, or start it again after `stop`."""
        self.outbox = Outbox(self.config.home / "outbox.db", self.config.settings.post.first)
        self.outbox.ask("PRAGMA synchronous = OFF")  # time is made up here, and so is the disk
        stop = threading.Event()
        self.poster = Poster(
            self.config,
            self.outbox,
            lambda: self.net,
            lambda row: self.judge(row),
            lambda: self.now,
            who="a test",
            stop=stop,
        )
        self.bot = Bot(self.config, self.poster, Drafter(self._draw, threaded=False), before)

    def stop(self) -> None:
        """Let the bot's process end, with all that it kept in memory."""
        self.outbox.close()

    def _draw(self, requests: Sequence[DraftRequest]) -> Iterable[DraftResult]:
        self.asked.append(requests)
        return self.draw(requests)

    def run(self, length: timedelta) -> None:
        """Let time pass as the daemon would: step after step, each when the last one said."""
        end = self.now + length
        while self.now <= end:
            following = self.bot.step(self.now)
            self.steps += 1
            assert self.steps < 1_000_000, "the bot never rests"
            self.now = max(self.now, following) if following <= end else end + timedelta(microseconds=1)

    def rows(self, *states: State) -> list[Post]:
        return self.outbox.posts(*states)

    def slots(self, state: State) -> list[str]:
        return [f"{row.slot:%d %H:%M}" for row in self.rows(state) if row.slot]
