"""The whole bot against a built-in fake network, in simulated time and with faults, and a judgement at the end.

Three things are not real: time is a variable, drafts are composed of words instead of being sampled (the bot's real
filters judge them all the same), and a simulated person looks in twice a day, who resumes what is blocked and approves
what is held. The fake network is the judge of what was posted.
"""

from __future__ import annotations

import os
import random
import socket
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from biobot.candidate import Candidate, DraftRequest, DraftResult, Objection
from biobot.config import Config
from biobot.dedupe.index import Index
from biobot.dedupe.known_texts import OUTBOX_INDEX, CombinedIndex, Part, own_texts
from biobot.errors import BiobotError
from biobot.filters import loader
from biobot.filters.judge import Judge
from biobot.model.registry import Registry
from biobot.networks.bluesky.client import Bluesky
from biobot.networks.mastodon.client import TOKEN as TOKEN_NAME
from biobot.networks.mastodon.client import MastodonClient
from biobot.networks.network import Opening
from biobot.networks.secrets import POSTING, PREFIX
from biobot.networks.x.client import XClient
from biobot.posting import bot_state, schedule, transitions
from biobot.posting.bot import Bot, Drafter
from biobot.posting.outbox import Outbox
from biobot.posting.post import State
from biobot.posting.poster import Poster
from biobot.rehearsal import bluesky, mastodon
from biobot.rehearsal.fake import Clock, FakeServer
from biobot.rehearsal.faults import FAULTS
from biobot.rehearsal.server import KEYS, FakeX
from biobot.settings import BlueskySettings, MastodonSettings, NotifySettings, XSettings
from biobot.text.humanize import counted, lasting
from biobot.worker.client import PROBE
from biobot.worker.double import FakeWorker

CALL_TIMEOUT = timedelta(seconds=0.3)
"""Takes the place of `x.timeout`, in real time: how long a fault that hangs takes."""

SETTLING = timedelta(hours=30)
"""How much longer than its days a rehearsal goes on, without new faults, to settle every unknown fate."""

VISITS = timedelta(hours=12)
"""How often the person visits."""

MIN_PACE = timedelta(hours=3)
"""The shortest mean time between two faults: a month has time for each of them, and for many twice."""

MAX_STEPS = 100
"""How many steps in one moment mean that the bot is in a busy loop."""

BESIDES = ("offline", "clock-off", "restart", "timeline-503", "timeline-429", "timeline-hang", "no-drafts")
"""Faults that are not in one answer: no network, a wrong clock, a restart of the daemon, a timeline that cannot be
read when it is needed, and drafts that are all refused."""


@dataclass(frozen=True, slots=True)
class Stand:
    """What a rehearsal needs of a network: the outbox's name for it, its fake, and how its account is opened there."""

    network: str
    kind: type[XClient | Bluesky | MastodonClient]
    fake: Callable[[Clock], FakeServer]
    settings: Callable[[str], XSettings | BlueskySettings | MastodonSettings]
    secrets: Mapping[str, str]


STANDS: Mapping[str, Stand] = {
    "x": Stand(
        "rehearsal",
        XClient,
        FakeX,
        lambda address: XSettings(address, CALL_TIMEOUT),
        {PREFIX + name.upper(): getattr(KEYS, name) for name in POSTING},
    ),
    "bluesky": Stand(
        "bluesky",
        Bluesky,
        bluesky.FakeBluesky,
        lambda address: BlueskySettings(address, CALL_TIMEOUT),
        {"BIOBOT_BLUESKY_HANDLE": bluesky.HANDLE, "BIOBOT_BLUESKY_APP_PASSWORD": bluesky.PASSWORD},
    ),
    "mastodon": Stand(
        "mastodon",
        MastodonClient,
        mastodon.FakeMastodon,
        lambda address: MastodonSettings(address, timeout=CALL_TIMEOUT),
        {TOKEN_NAME: mastodon.TOKEN},
    ),
}
"""The networks that can be rehearsed."""


def first_of(config: Config) -> str:
    """Return the first network of a config that can be rehearsed; where there is none, X."""
    return next((name for name in config.settings.post.all if name in STANDS), "x")


FAULTS_OF: Mapping[str, tuple[str, ...]] = {
    "x": (*FAULTS, *BESIDES),
    "bluesky": (*bluesky.FAULTS, *(name for name in BESIDES if not name.startswith("timeline"))),  # it is never read
    "mastodon": (*mastodon.FAULTS, *BESIDES),
}


@dataclass
class Report:
    """The result of a rehearsal; `doubles`, `lost` and `spins` must be 0.

    `server_doubles` are posts that the server made twice of one key, as an old Mastodon can.
    """

    days: float
    network: str = "x"
    slots: int = 0
    posts: int = 0
    doubles: int = 0
    server_doubles: int = 0
    lost: int = 0
    spins: int = 0
    calls: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    unconfirmed: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    blocked: int = 0
    usd: float = 0.0

    @property
    def good(self) -> bool:
        """Return whether nothing was doubled or lost."""
        return not (self.doubles or self.lost or self.spins)

    def document(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """Yield the report as lines."""
        ended = ", ".join(f"{count} {state}" for state, count in self.unconfirmed.items()) or "none"
        happened = sum(self.faults.values())
        days = f"{self.days:g} day{'' if self.days == 1 else 's'}"
        slots, calls = counted(self.slots, "slot"), counted(self.calls, "call")
        yield f"the fake {self.network}: {days}, {slots}, {calls}; {lasting(SETTLING)} more for what was late"
        yield f"faults       {happened}, of {counted(len(self.faults), 'kind')}"
        yield f"posts        {self.posts} on the account at the end, for ${self.usd:.2f}"
        yield f"rows         {', '.join(f'{count} {state}' for state, count in self.rows.items())}"
        yield f"skipped      {', '.join(f'{count} {why}' for why, count in self.skipped.items()) or 'none'}"
        yield f"unconfirmed  {sum(self.unconfirmed.values())}, which ended: {ended}"
        yield f"blocked      {counted(self.blocked, 'time')}, each time until the operator resumed it"
        by_server = f", and {self.server_doubles} by the server itself" if self.server_doubles else ""
        yield f"doubles      {self.doubles}{by_server}"
        yield f"lost         {self.lost}"
        if self.spins:
            yield f"spins        {self.spins}: the bot wanted to step again and again in one moment"


def rehearse(
    config: Config,
    start: datetime,
    days: float = 7,
    faults: Sequence[str] | None = None,
    seed: int = 0,
    network: str | None = None,
    server: mastodon.Server = "4.7.2",
    tick: Callable[[float], object] = lambda _: None,
) -> Report:
    """Run the bot of `config` for `days` from `start`, in a temporary home, and judge it.

    The `faults` (None: all) occur in shuffled order, repeatedly, spread over the days. `network` is which one it is
    (None: `first_of` the config), and `server` which Mastodon. `tick` is told the share that is done. Raises
    BiobotError for an unknown fault, and for a config with which the daemon would not start.
    """
    network = network or first_of(config)
    known = FAULTS_OF[network]
    faults = known if faults is None else faults
    unknown = [fault for fault in faults if fault not in known]
    if unknown:
        raise BiobotError(f"unknown fault {unknown[0]!r}; choose from {', '.join(known)}")
    # in memory where possible: a month's commits to a disk take minutes
    memory = Path("/dev/shm")  # noqa: S108
    where = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="biobot-rehearsal-", dir=where) as folder:
        settings = config.settings
        post = replace(settings.post, network=STANDS[network].network, networks=None)
        config = replace(config, home=Path(folder), settings=replace(settings, post=post, notify=NotifySettings()))
        stand = STANDS[network]
        if network == "mastodon":
            stand = replace(stand, fake=lambda clock: mastodon.FakeMastodon(clock, server=server))
        stage = Stage(config, stand, start, timedelta(days=days), list(faults), random.Random(seed))
        with stage.fake:
            stage.play(tick)
            return replace(stage.judge(), network=network)


class Stage:
    """One rehearsal: the bot, the fake network, the clock, and the faults."""

    def __init__(
        self, config: Config, stand: Stand, start: datetime, span: timedelta, faults: list[str], rng: random.Random
    ) -> None:
        self.config = config
        self.stand = stand
        self.start = self.now = start
        self.end = start + span
        self.rng = rng
        self.fake = stand.fake(lambda: self.now)
        self.report = Report(span / timedelta(days=1))
        words = Words(random.Random(rng.random()))
        self._worker = FakeWorker(config, lambda _temperature, _seed: words.bio(), self._judge)
        self._barren = False
        self._worker.try_plugins(PROBE)
        self._plugins = loader.load(config)
        self._learnt = Index.open(Registry(config.home).find(config.settings.model.name).index)
        self._deck = list(faults)
        self._deck_left: list[str] = []
        self._happened = Counter[str]()
        self._pace = max(span / (1.5 * max(len(faults), 1)), MIN_PACE)
        self._fruitless = 0
        self._offline_until = start
        self._wrong_until = start

    # -- the play ------------------------------------------------------------------------------------

    def play(self, tick: Callable[[float], object]) -> None:
        """Step through the days, from event to event."""
        self.bot = self._opened()
        visit, mishap, steps = self.start + VISITS, self.start + self._pace / 2, 0
        while self.now < self.end + SETTLING:
            tick((self.now - self.start) / (self.end + SETTLING - self.start))
            if self.now >= visit:
                self._visit()
                visit += VISITS
            if self.now >= mishap and self.now < self.end and self._deck:
                self._mishap()
                mishap = self.now + self._pace * self.rng.uniform(0.5, 1.5)
            self._weather()
            following = min(self.bot.step(self.now), visit)
            steps = steps + 1 if following <= self.now else 0
            if steps >= MAX_STEPS:
                self.report.spins += 1
                following, steps = self.now + timedelta(seconds=1), 0
            self.now = max(following, self.now)

    def _opened(self) -> Bot:
        """Open the bot as the daemon does, except for the worker."""
        settings = self.stand.settings(self.fake.address)
        opening = Opening(settings, self.stand.secrets, self.config.home, lambda: self.now)
        self.network = self.stand.kind.open(opening)
        outbox = Outbox(self.config.home / "outbox.db", self.stand.network)
        poster = Poster(
            self.config,
            outbox,
            lambda: self.network,
            lambda row: self._worker.judge(row.text or "", row.id),
            lambda: self.now,
            who="the rehearsal",
        )
        return Bot(self.config, poster, Drafter(self._draw, threaded=False))

    def _close(self) -> None:
        self.network.close()
        self.bot.outbox.close()

    def _visit(self) -> None:
        """Act as the person: resume what is blocked, approve what is held."""
        outbox = self.bot.outbox
        if bot_state.read(outbox).blocked is not None:
            self.report.blocked += 1
            bot_state.resume(outbox, self.now)
        for row in outbox.posts(State.HELD):
            transitions.approve(outbox, row.id, self.now)

    def _mishap(self) -> None:
        """Script the next fault, unless the last one is still to occur."""
        if self.fake.state.waiting():
            return
        if not self._deck_left:
            self._deck_left = self.rng.sample(self._deck, len(self._deck))
        name = self._deck_left.pop()
        match name:
            case "offline":
                self._offline_until = self.now + timedelta(hours=self.rng.uniform(0.1, 7))
            case "clock-off":
                self._wrong_until = self.now + timedelta(hours=self.rng.uniform(1, 7))
            case "restart":
                self._close()
                self.bot = self._opened()
            case "no-drafts":
                self._fruitless += 1
            case "timeline-503" | "timeline-429" | "timeline-hang":
                fault = {"timeline-503": "html-503", "timeline-429": "429-past", "timeline-hang": "timeout-before"}[
                    name
                ]
                self.fake.fault(fault, route="timeline")
                self.fake.fault("timeout-after")
            case _:
                self.fake.fault(name, seconds=self.rng.uniform(30, 7200) if self.fake.FAULTS[name].lags else 0.0)
        self._happened[name] += 1

    def _weather(self) -> None:
        """Begin and end the faults that last for a while."""
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            offline = self.now < self._offline_until
            self.network.session.move(f"http://127.0.0.1:{nobody.getsockname()[1]}" if offline else self.fake.address)
        self.fake.off_by = timedelta(hours=2) if self.now < self._wrong_until else timedelta(0)

    # -- what stands in for the worker ----------------------------------------------------------------

    def _draw(self, requests: Sequence[DraftRequest]) -> Iterator[DraftResult]:
        for each in requests:
            self._barren, self._fruitless = self._fruitless > 0, max(self._fruitless - 1, 0)
            yield from self._worker.draw([each])
        self._barren = False

    def _judge(self, text: str, row: str | None) -> Sequence[Objection]:
        if self._barren:
            return (Objection("the rehearsal", "nothing passes today"),)
        own = own_texts(self.config.home / OUTBOX_INDEX, self.bot.outbox, may_write=True)
        known = CombinedIndex([Part(self._learnt, "learnt"), *own])
        judge = Judge(self._plugins, known if row is None else known.without(row), self.config.settings.filters.timeout)
        return judge.judge(Candidate(text)).objections

    # -- the judgement ---------------------------------------------------------------------------------

    def judge(self) -> Report:
        """Compare the outbox with what the fake network accepted."""
        report, outbox, state = self.report, self.bot.outbox, self.fake.state
        rows, accepted = outbox.posts(), state.posts()
        due = schedule.slots_between(self.config.settings.schedule, self.start, self.end, 10**6)
        held = {row.slot for row in rows}
        by_id = {row.remote_id: row for row in rows if row.remote_id}
        texts = Counter(post.text for post in accepted)
        slots = Counter(row.slot for post in accepted if (row := by_id.get(post.id)) and row.slot)
        report.slots = len(due)
        report.posts = len(accepted)
        wrong = sum(map(state.tally, ("repeats", "overwritten", "comebacks")))
        report.server_doubles = int(state.tally("own-doubles"))
        doubles = int(wrong) + sum(count - 1 for count in (*texts.values(), *slots.values()))
        report.doubles = doubles - report.server_doubles
        unknown_posts = sum(post.id not in by_id for post in accepted if not post.deleted)
        report.lost = sum(slot not in held for slot in due) + unknown_posts - report.server_doubles
        report.calls = state.calls()
        report.usd = round(state.tally("usd"), 3)
        report.faults = dict(sorted(self._happened.items()))
        report.rows = _counted(str(row.state) for row in rows)
        unknown = [row for row in rows if any(each.state == "unconfirmed" for each in outbox.audit(row.id))]
        report.unconfirmed = _counted(str(row.state) for row in unknown)
        reasons = ((row.reason or "").partition(":")[0] for row in rows if row.state is State.SKIPPED)
        report.skipped = _counted(reasons)
        self._close()
        return report


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names).most_common())


class Words:
    """Composes bios of a few words, without a model or a person's text, and hardly ever the same one twice."""

    def __init__(self, rng: random.Random) -> None:
        self._pick = rng.choice

    def bio(self) -> str:
        """Return a bio."""
        pick = self._pick
        return (
            f"{pick(MANNERS).capitalize()} {pick(TRADES)} from {pick(PLACES)}. "
            f"{pick(DEEDS).capitalize()} {pick(THINGS)}, {pick(DEEDS)} {pick(THINGS)}. "
            f"{pick(ENDS)} {pick(MANNERS)} {pick(THINGS)}."
        )


TRADES = ("baker", "gardener", "drummer", "beekeeper", "carpenter", "plumber", "sailor", "weaver", "juggler", "potter")
MANNERS = ("patient", "sleepy", "cheerful", "retired", "amateur", "nocturnal", "left-handed", "hungry", "curious")
DEEDS = ("paints", "collects", "mends", "forgets", "photographs", "counts", "translates", "alphabetises", "rescues")
THINGS = ("lanterns", "rivers", "teaspoons", "umbrellas", "clouds", "tractors", "accordions", "moths", "pancakes")
PLACES = ("Lisbon", "the north sea", "a small town", "Nairobi", "my kitchen", "the back row", "Reykjavik", "an attic")
ENDS = ("Ask me about", "Mostly here for", "Allergic to", "Still looking for", "Powered by", "Not sorry about")
