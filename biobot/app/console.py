"""What the console shows, read from the bot's state: no page decides anything, and nothing here changes anything."""

from __future__ import annotations

import json
import math
import re
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from biobot.app import health
from biobot.app.posting import objections
from biobot.config import Config
from biobot.errors import ModelError, OutboxError
from biobot.model.registry import ModelFolder, Registry
from biobot.posting import locks, schedule
from biobot.posting.budget import Budget, Left
from biobot.posting.outbox import Draft, Outbox, Post, State
from biobot.posting.poster import hindrance
from biobot.text.length import weighted_length

SHOWN = 100
"""How many drafts a page shows; the newest of more."""

NETWORKS = {"x": "on X", "rehearsal": "on the fake X", "stdout": "on standard output"}
"""What a person calls the networks."""

SLOTS = 8
"""How many slots ahead are shown."""


def open_outbox(config: Config, *, read_only: bool = True) -> Outbox:
    """Open the bot's outbox."""
    return Outbox(config.home / "outbox.db", config.settings.post.network, read_only=read_only)


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around every page."""

    state: str
    next_slot: datetime | None
    held: int
    unconfirmed: int
    problems: tuple[str, ...]


def frame(config: Config, outbox: Outbox, now: datetime) -> Frame:
    """Return how the bot is, in the words of `biobot status`."""
    found = health.status(config, now)
    counts = outbox.counts()
    upcoming = found["next_slot"]
    return Frame(
        found["state"],
        datetime.fromisoformat(upcoming) if isinstance(upcoming, str) else upcoming,
        counts[State.HELD],
        counts[State.UNCONFIRMED],
        tuple(found["problems"]),
    )


@dataclass(frozen=True, slots=True)
class Card:
    """A row of the outbox with what its text weighs and how likely the model thought it."""

    row: Post
    weight: int
    bits: float | None

    def __getattr__(self, name: str) -> Any:
        """Return what the row has."""
        return getattr(self.row, name)


def card(row: Post) -> Card:
    """Make a row ready to be shown; `bits` are a byte, None when nobody noted them."""
    noted = json.loads(row.controls or "{}").get("bits_per_byte")
    return Card(row, weighted_length(row.text or ""), None if noted is None or row.edited else float(noted))


@dataclass(frozen=True, slots=True)
class Desk:
    """The queue: what waits for a person, what goes out by itself, and the slots ahead with their texts."""

    name: str
    where: str
    review: bool
    running: bool
    ahead: int
    held: Sequence[Card]
    ready: Sequence[Card]
    slots: Sequence[tuple[datetime, Post | None]]
    left: Left
    hindrance: str | None


def desk(config: Config, outbox: Outbox, now: datetime) -> Desk:
    """Read the queue."""
    post = config.settings.post
    budget = Budget(outbox, post)
    ahead = schedule.next_slots(config.settings.schedule, now, SLOTS)
    held = by_slot(outbox.posts(State.HELD, limit=SHOWN))
    ready = by_slot(outbox.posts(State.APPROVED, limit=SHOWN))
    wait = hindrance(outbox, budget, now)
    return Desk(
        name=config.folder.resolve().name or "biobot",
        where=NETWORKS[post.network],
        review=post.review == "on",
        running=locks.holder(config.home, locks.DAEMON) is not None,
        ahead=post.review_ahead,
        held=[card(row) for row in held],
        ready=[card(row) for row in ready],
        slots=[(slot, outbox.at(slot)) for slot in ahead],
        left=budget.left(now),
        hindrance=wait.text if wait else None,
    )


def by_slot(rows: Iterable[Post]) -> list[Post]:
    """Sort rows by when they go out; those without a slot first, they go out at once."""
    return sorted(rows, key=lambda row: (row.slot is not None, row.slot or row.created, row.id))


def submit(config: Config, outbox: Outbox, draft: Draft, now: datetime) -> Post:
    """Put a text that a person picked into the next free slot, if the filters let it pass.

    With review on it is held like any other draft. Raises OutboxError with the filters' objections, for a text
    that is there already, and when there is no free slot.
    """
    said = objections(config, draft.text)
    if said:
        raise OutboxError(f"the filters refuse it: {'; '.join(said)}")
    state = State.HELD if config.settings.post.review == "on" else State.APPROVED
    for slot in schedule.next_slots(config.settings.schedule, now, 500):
        if outbox.at(slot) is None:
            (row,) = outbox.add([replace(draft, slot=slot)], state, now, "person")
            if row is None:
                raise OutboxError("the outbox already has a text like that")
            return row
    raise OutboxError("the schedule has no free slot")


# -- history -----------------------------------------------------------------------------------------

PAGE = 50
"""How many rows a page of the history has."""


@dataclass(frozen=True, slots=True)
class History:
    """What became of drafts and slots, newest first."""

    rows: Sequence[Card]
    counts: dict[str, int]
    state: str | None
    older: int | None
    """Where the next page begins: below this id; None at the end."""
    unconfirmed: Sequence[Card]
    left: Left
    fallen: Sequence[tuple[str, int]]
    """Filters, and how many candidates of skipped slots each refused, the strictest first."""


def history(config: Config, outbox: Outbox, now: datetime, state: str | None = None, below: int = 0) -> History:
    """Read a page of the history; `below` is the id that it begins under, 0 at the newest."""
    states = [State(state)] if state in set(State) else list(State)
    marks = ", ".join("?" * len(states))
    found = outbox.ask(
        f"SELECT id FROM post WHERE network = ? AND state IN ({marks}) AND (? = 0 OR id < ?) ORDER BY id DESC LIMIT ?",
        outbox.network,
        *states,
        below,
        below,
        PAGE + 1,
    )
    ids = [row[0] for row in found]
    return History(
        rows=[card(outbox.get(post)) for post in ids[:PAGE]],
        counts={name: count for name, count in outbox.counts().items() if count},
        state=state if len(states) == 1 else None,
        older=ids[PAGE - 1] if len(ids) > PAGE else None,
        unconfirmed=[card(row) for row in outbox.posts(State.UNCONFIRMED)],
        left=Budget(outbox, config.settings.post).left(now),
        fallen=fallen(outbox),
    )


def fallen(outbox: Outbox) -> list[tuple[str, int]]:
    """Count by filter the candidates of skipped slots; of a slot that got its text nothing is kept."""
    reasons = outbox.ask(
        "SELECT reason FROM post WHERE network = ? AND state = 'skipped' AND missed = 0 ORDER BY id DESC LIMIT 500",
        outbox.network,
    )
    counts = Counter[str]()
    for (reason,) in reasons:
        for name, count in re.findall(r"([\w-]+) (\d+)(?=,|$)", (reason or "").partition("refused: ")[2]):
            counts[name] += int(count)
    return counts.most_common()


# -- training ----------------------------------------------------------------------------------------

ALIVE = timedelta(minutes=3)
"""A training that runs writes its state down every minute; one that did not for so long has stopped."""

CURVES = 3
"""How many models' curves are drawn over each other."""


@dataclass(frozen=True, slots=True)
class Model:
    """A line in the table of models: what its header says, and whether it speaks; None for what it does not say."""

    id: str
    current: bool
    error: str | None = None
    created: datetime | None = None
    parameters: int = 0
    megabytes: float = 0
    dev_bits: float | None = None
    verbatim: float | None = None
    real_verbatim: float | None = None
    accepted: float | None = None
    learnt: int | None = None
    curve: Sequence[Sequence[float]] = ()


def models(config: Config) -> list[Model]:
    """Return every model of the registry, the newest first."""
    registry = Registry(config.home)
    try:
        speaks = registry.find(config.settings.model.name).id
    except ModelError:
        speaks = None
    return [_model(folder, folder.id == speaks) for folder in registry.list()]


def _model(folder: ModelFolder, current: bool) -> Model:
    try:
        header = folder.header()
    except ModelError as error:
        return Model(folder.id, current, str(error))
    card = header.card
    at_08: Mapping[str, Any] = next((row for row in card.get("report", ()) if abs(row["temperature"] - 0.8) < 1e-6), {})
    return Model(
        folder.id,
        current,
        created=datetime.fromisoformat(card["created"]) if "created" in card else None,
        parameters=header.parameters,
        megabytes=header.size / 1e6,
        dev_bits=card.get("dev_bits_per_byte", card.get("dev_sample_bits_per_byte")),
        verbatim=card.get("verbatim_rate"),
        real_verbatim=card.get("real_verbatim_rate"),
        accepted=at_08.get("accepted"),
        learnt=card.get("corpus_bios"),
        curve=card.get("curve", ()),
    )


@dataclass(frozen=True, slots=True)
class Run:
    """The training that is under way, or that was stopped and can go on."""

    alive: bool
    step: int
    steps: int | None
    seen_bytes: int
    seconds: float
    train_bits: float | None
    best: float | None
    curve: Sequence[Sequence[float]]

    @property
    def eta(self) -> timedelta | None:
        """Return how long it will take, at the pace so far."""
        if not self.steps or not self.step:
            return None
        return timedelta(seconds=self.seconds / self.step * (self.steps - self.step))


def training_run(config: Config, now: datetime) -> Run | None:
    """Read the state of a training out of its file's header; None when none is unfinished."""
    path = config.home / "training" / "state.safetensors"
    try:
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            where = json.loads(json.loads(file.read(length))["__metadata__"]["biobot"])["where"]
        if where["steps"] is not None and where["step"] >= where["steps"]:
            return None
        return Run(
            now - written < ALIVE,
            where["step"],
            where["steps"],
            where["seen"],
            where["seconds"],
            _number(where["train_bits"]),
            _number(where["best"]),
            where["curve"],
        )
    except (OSError, ValueError, KeyError, struct.error):
        return None  # no training, or one of another biobot


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def curves(shown: Sequence[tuple[str, Sequence[Sequence[float]]]]) -> dict[str, Any]:
    """Lay curves of dev bits per byte over megabytes seen over each other, as the plot wants them."""
    points = [{round(each[1] / 1e6, 3): _number(each[3]) for each in curve} for _, curve in shown]
    x = sorted({each for found in points for each in found})
    return {
        "data": [x, *([found.get(each) for each in x] for found in points)],
        "series": [name for name, _ in shown],
        "x": "MB seen",
        "percent": False,
        "marker": False,
    }
