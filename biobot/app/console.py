"""What the console's pages show, read from the bot's state. Nothing here changes anything."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from biobot.app import health, training_record
from biobot.app.health import NetworkStatus
from biobot.app.models import ModelSummary, summaries
from biobot.config import Config
from biobot.errors import BiobotError, ModelError, OutboxError
from biobot.model import training_state
from biobot.model.registry import Registry
from biobot.model.training_state import TrainingState
from biobot.networks.network import Engagement
from biobot.posting import bot_state, engagement, locks, schedule
from biobot.posting.outbox import Outbox
from biobot.posting.post import Post, State

SHOWN = 100
"""Drafts on the queue page: the newest of more."""

SLOTS = 8
"""Slots ahead on the queue page."""

ROWS = 50
"""Rows on a page of the history."""

NETWORKS = {
    "x": "X",
    "bluesky": "Bluesky",
    "mastodon": "Mastodon",
    "rehearsal": "the fake X",
    "stdout": "standard output",
}
"""What people call the networks."""


def open_outbox(config: Config, *, read_only: bool = True) -> Outbox:
    """Open the bot's outbox."""
    return Outbox(config.home / "outbox.db", config.settings.post.first, read_only=read_only)


@dataclass(frozen=True, slots=True)
class Status:
    """The bot's state, in the header of every page."""

    state: str
    next_slot: datetime | None
    held: int
    problems: Sequence[str]
    networks: Sequence[NetworkStatus] = ()


def status(config: Config, now: datetime) -> Status:
    """Return the bot's state as `biobot status` has it; what keeps it from being read is one of the problems."""
    try:
        found = health.status(config, now)
    except BiobotError as error:
        return Status("unknown", None, 0, [str(error)])
    return Status(found.state, found.next_slot, found.queue[State.HELD], found.problems, found.networks)


def bits_per_byte(row: Post) -> float | None:
    """Return how surprising the model found a row's text, in bits per byte; None when that is not known."""
    try:
        return None if row.edited else float(json.loads(row.controls)["bits_per_byte"])
    except (KeyError, TypeError, ValueError):
        return None


def score(row: Post) -> float | None:
    """Return the score that a row's text had when it was drawn; None when that is not known."""
    try:
        return None if row.edited else float(json.loads(row.controls)["score"])
    except (KeyError, TypeError, ValueError):
        return None


# -- queue -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class QueueView:
    """The queue page: drafts to decide on, approved ones, and the slots ahead with their posts, on all networks."""

    bot: str
    networks: Sequence[str]
    review: bool
    running: bool
    paused: bool
    review_ahead: int
    held: Sequence[Post]
    approved: Sequence[Post]
    damaged: Sequence[str]
    """Why other drafts cannot be shown."""
    slots: Sequence[tuple[datetime, Mapping[str, Sequence[Post]]]]
    """The rows of each by what is shown of them: their text, or why there is none."""
    best_first: bool
    """Whether the drafts are sorted by their scores instead of their slots."""


def queue(config: Config, outbox: Outbox, now: datetime, *, best_first: bool = False) -> QueueView:
    """Read the queue page."""
    post = config.settings.post
    held, damaged = _read(outbox, _ids(outbox, post.all, [State.HELD], SHOWN))
    approved, damaged_too = _read(outbox, _ids(outbox, post.all, [State.APPROVED], SHOWN))
    slots = schedule.next_slots(config.settings.schedule, now, SLOTS)
    return QueueView(
        bot=config.folder.resolve().name or "biobot",
        networks=post.all,
        review=post.review == "on",
        running=locks.holder(config.home, locks.DAEMON) is not None,
        paused=bot_state.read(outbox).paused is not None,
        review_ahead=post.review_ahead,
        held=by_score(held) if best_first else by_slot(held),
        approved=by_slot(approved),
        damaged=damaged + damaged_too,
        slots=[(slot, _at(outbox, slot, post.all)) for slot in slots],
        best_first=best_first,
    )


def by_score(rows: Iterable[Post]) -> list[Post]:
    """Sort rows by their scores, the best first; those without a known score come last."""
    return sorted(by_slot(rows), key=lambda row: -math.inf if (value := score(row)) is None else value, reverse=True)


def by_slot(rows: Iterable[Post]) -> list[Post]:
    """Sort rows by when they go out; those without a slot come first, since they go out at once."""
    return sorted(rows, key=lambda row: (row.slot is not None, row.slot or row.created, row.id))


# -- history -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HistoryView:
    """A page of the history of all networks, the latest first by the time that it shows."""

    networks: Sequence[str]
    """Those that have rows."""
    rows: Sequence[Post]
    damaged: Sequence[str]
    """Why other rows of this page cannot be shown."""
    counts: dict[str, int]
    state: str | None
    older: int | None
    """Where the next page begins: after this row; None at the end."""
    unconfirmed: Sequence[Post]
    refused: dict[str, int]
    """How many candidates each filter has refused, the strictest filter first."""
    reactions: Mapping[int, Engagement]
    """What people did with the posts among the rows."""


def history(outbox: Outbox, state: str | None = None, below: int = 0) -> HistoryView:
    """Read a page of the history: rows in `state` (None: in any) with an id below `below` (0: the newest)."""
    states, networks = [State(state)] if state in set(State) else list(State), outbox.networks()
    ids = _ids(outbox, networks, states, ROWS + 1, below)
    rows, damaged = _read(outbox, ids[:ROWS])
    return HistoryView(
        networks=networks,
        rows=rows,
        damaged=damaged,
        counts={name: count for name, count in outbox.counts(*networks).items() if count},
        state=state if len(states) == 1 else None,
        older=ids[ROWS - 1] if len(ids) > ROWS else None,
        unconfirmed=_read(outbox, _ids(outbox, networks, [State.UNCONFIRMED], ROWS))[0],
        refused=outbox.refused(),
        reactions=engagement.of_posts(outbox, [row.id for row in rows]),
    )


def _ids(outbox: Outbox, networks: Sequence[str], states: Sequence[State], limit: int, below: int = 0) -> list[int]:
    """Return the ids of the latest rows in these states by time; `below` is the row that they come after, 0: none."""
    where = " AND ".join(
        f"{column} IN ({', '.join('?' * len(among))})" for column, among in (("network", networks), ("state", states))
    )
    at = "coalesce(posted, slot, created)"
    query = f"SELECT id FROM post WHERE {where} AND (? = 0 OR ({at}, id) < (SELECT {at}, id FROM post WHERE id = ?))"
    found = outbox.ask(f"{query} ORDER BY {at} DESC, id DESC LIMIT ?", *networks, *states, below, below, limit)
    return [post for (post,) in found]


def _read(outbox: Outbox, ids: Iterable[int]) -> tuple[list[Post], list[str]]:
    """Return the rows with these ids, and the error of each damaged one."""
    rows, damaged = [], []
    for post in ids:
        try:
            rows.append(outbox.get(post))
        except OutboxError as error:
            damaged.append(f"post {post} is damaged: {error}")
    return rows, damaged


def _at(outbox: Outbox, slot: datetime, networks: Sequence[str]) -> dict[str, list[Post]]:
    """Return the rows that a slot belongs to, one a network, by their texts; damaged ones are left out."""
    found: dict[str, list[Post]] = {}
    for name in networks:
        with suppress(OutboxError):
            if row := outbox.at(slot, name):
                found.setdefault(row.text or row.reason or "", []).append(row)
    return found


# -- training ----------------------------------------------------------------------------------------

CURVES = 3
"""Learning curves in the plot."""


def models(config: Config) -> list[ModelSummary]:
    """Return every model, the newest first."""
    registry = Registry(config.home)
    try:
        active = registry.find(config.settings.model.name).id
    except ModelError:
        active = None
    return list(summaries(registry, active))


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """The last training: under way, stopped and ready to be resumed, or over; what is not known is None."""

    alive: bool
    resumable: bool
    phase: str
    """The step of the record, a `training_record.Step`; "" without a record."""
    outcome: str
    why: str
    step: int
    steps: int | None
    seen: float
    rate: float | None
    eta: timedelta | None
    train_bits: float | None
    best: float | None
    curve: Sequence[Sequence[float]]


def training_run(config: Config) -> TrainingRun | None:
    """Return the last training of this home, or None."""
    record = training_record.last(config.home)
    try:
        state: TrainingState | None = training_state.read(config.home / "training")
    except (OSError, ModelError):
        state = None  # there is none, or another version of biobot wrote it
    if record is None and state is None:
        return None
    record = record or {"outcome": "interrupted", "step": "", "why": ""}
    alive = record["outcome"] == "running"
    now = record.get("progress") if alive else None
    learning = alive and record["step"] == "learn"
    if state is not None and alive and (not learning or (now and now["step"] < state.step)):
        state = None  # that of the training before this one
    if now is None and state is not None:
        now = {
            "step": state.step,
            "steps": state.steps,
            "seen_bytes": state.seen,
            "train_bits_per_byte": state.train_bits,
        }
    now = now or {}
    eta = _number(now.get("eta_s"))
    return TrainingRun(
        alive=alive,
        resumable=not alive and state is not None and not state.finished,
        phase=record["step"],
        outcome=record["outcome"],
        why=record["why"],
        step=int(now.get("step") or 0),
        steps=now.get("steps"),
        seen=now.get("seen_bytes") or 0,
        rate=_number(now.get("bytes_per_second")),
        eta=None if eta is None else timedelta(seconds=eta),
        train_bits=_number(now.get("train_bits_per_byte")),
        best=state.best if state else None,
        curve=state.curve if state else (),
    )


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def learning_curves(shown: Sequence[tuple[str, Sequence[Sequence[float]]]]) -> dict[str, Any]:
    """Return named learning curves, as model cards have them, in the shape that the page's plot wants.

    The starter's is cut off where the others end, or its hundred megabytes would squeeze them into a corner.
    """
    own = max((curve[-1][1] for name, curve in shown if name != "starter" and curve), default=None)
    if own is not None:
        shown = [(name, [at for at in curve if name != "starter" or at[1] <= 1.5 * own]) for name, curve in shown]
    points = [{x / 1e6: _number(dev) for _, x, _, dev in curve if math.isfinite(x)} for _, curve in shown]
    x = sorted({each for found in points for each in found})
    return {
        "data": [x, *([found.get(each) for each in x] for found in points)],
        "series": [name for name, _ in shown],
        "x": "MB of training data seen",
        "y": "bits per byte",
        "percent": False,
        "marker": False,
    }
