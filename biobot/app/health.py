"""How the bot is, for `status` and the console; a post's whole history, for `why`. Nothing here changes anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from biobot.app import running, training_record
from biobot.app.models import created
from biobot.candidate import Candidate
from biobot.collect.ledger import month_spend
from biobot.config import Config
from biobot.errors import BiobotError, CorpusError, ModelError, OutboxError
from biobot.model.registry import Registry
from biobot.posting import engagement, locks, schedule
from biobot.posting.blocks import PROBLEMS, posting_block
from biobot.posting.budget import Budget, Left
from biobot.posting.drafts import SamplingRecord
from biobot.posting.engagement import Totals
from biobot.posting.notices import REVIEW, problems
from biobot.posting.outbox import Outbox
from biobot.posting.post import PENDING, Post, State, slot_key, stamp
from biobot.text.humanize import counted, one_line, when
from biobot.text.terminal import clean
from biobot.worker.client import Worker
from biobot.worker.protocol import Choice, Explain, Replay

EFFECTS = 5
"""Words and features that `why` names on either side."""


def open_outbox(config: Config) -> Outbox:
    """Open the bot's outbox without changing a byte of it (F9)."""
    return Outbox(config.home / "outbox.db", config.settings.post.first, read_only=True)


# -- status ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NetworkStatus:
    """How the bot is on one network: `queue` counts rows by state, `problem` is what keeps it from posting."""

    name: str
    state: str
    last_post: datetime | None
    next_slot: datetime | None
    queue: dict[str, int]
    left: Left
    problem: str | None


@dataclass(frozen=True, slots=True)
class Status:
    """How the bot is: `daemon` says who runs it, and `refused` counts candidates by filter.

    Where the outbox could not be read it is `unread`, and only what does not come from there is true.
    """

    daemon: str | None
    networks: list[NetworkStatus]
    refused: dict[str, int]
    collect_usd: float | None
    training: dict[str, Any] | None
    model: str | None
    problems: list[str]
    engagement: dict[str, Totals]
    unread: bool = False

    @property
    def state(self) -> str:
        """The bot's state; it is blocked only if no network is posted to."""
        if self.unread:
            return "blocked"
        states = [each.state for each in self.networks]
        return next((state for state in ("running", "stopped") if state in states), states[0])

    @property
    def last_post(self) -> datetime | None:
        """When the last post was made, on any network."""
        return max((each.last_post for each in self.networks if each.last_post), default=None)

    @property
    def next_slot(self) -> datetime | None:
        """The next slot of any network."""
        return min((each.next_slot for each in self.networks if each.next_slot), default=None)

    @property
    def queue(self) -> dict[str, int]:
        """The rows of all networks by state."""
        return {state: sum(each.queue[state] for each in self.networks) for state in self.networks[0].queue}

    @property
    def left(self) -> Left:
        """The budget of the first network."""
        return self.networks[0].left


def status(config: Config, now: datetime) -> Status:
    """Return how the bot is; of what cannot be read, why."""
    try:
        return _status(config, config.home / "outbox.db", now)
    except OutboxError as error:
        found = _status(config, config.home / "no-outbox.db", now)  # which reads as an empty one
        return replace(found, problems=[str(error), *found.problems], unread=True)


_CONFIG = "config"
"""The problem that the daemon has with its biobot.toml."""


def _status(config: Config, path: Path, now: datetime) -> Status:
    daemon = locks.holder(config.home, locks.DAEMON)
    names = config.settings.post.all
    networks = [_network(config, path, name, daemon, now) for name in names]
    with Outbox(path, config.settings.post.first, read_only=True) as outbox:
        # what blocks posting is known better from the outbox as it is now, daemon or not
        known = {name.rpartition(": ")[2]: text for name, text in problems(outbox).items()}
        found = [text for name, text in known.items() if name not in (*PROBLEMS, REVIEW, *_daemons(daemon))]
        refused, engaged = outbox.refused(), engagement.totals(outbox)
    blocks = [f"{each.name}: {each.problem}" if len(names) > 1 else each.problem for each in networks if each.problem]
    found = blocks + found
    try:
        model = Registry(config.home).find(config.settings.model.name).id
    except BiobotError as error:
        model = None
        found.append(str(error))
    # a change that the daemon has read already is a problem of its own
    changed = None if daemon and _CONFIG in known else running.difference(config)
    if changed is not None:
        found = [changed, *(each for each in found if each != changed)]
    spent, training = None, training_record.last(config.home)
    try:
        spent = month_spend(config.home / "corpus.db", now)
    except CorpusError as error:
        found.append(str(error))
    return Status(daemon, networks, refused, spent, training, model, found, engaged)


def _daemons(daemon: str | None) -> tuple[str, ...]:
    """Return the problems that only a running daemon has: nobody else reads a changed file again."""
    return () if daemon else (_CONFIG,)


def _network(config: Config, path: Path, name: str, daemon: str | None, now: datetime) -> NetworkStatus:
    with Outbox(path, name, read_only=True) as outbox:
        budget = Budget(outbox, config.settings.post)
        left = budget.left(now)
        block = posting_block(outbox, budget, now)
        state = "running" if daemon else "stopped"
        if block is not None and block.until is None:
            state = "paused" if block.kind == "paused" else "blocked"
        return NetworkStatus(
            name=name,
            state=state,
            last_post=outbox.last_attempt(now),
            next_slot=None if state in ("paused", "blocked") else _next_slot(config, outbox, left, now),
            queue=outbox.counts(),
            left=left,
            problem=None if block is None or block.kind == "paused" else block.text,
        )


def status_json(config: Config, found: Status) -> dict[str, Any]:
    """Return the object of `biobot status --json`."""
    post = config.settings.post
    return {
        **_json(found, config),
        **({"queue": {}, "unconfirmed": None, "budget": None} if found.unread else {}),
        "filters": found.refused,
        "collect": {
            "usd_this_month": None if found.collect_usd is None else round(found.collect_usd, 6),
            "usd_per_month": config.settings.collect.usd_per_month,
        },
        "training": found.training,
        "model": found.model,
        "problems": found.problems,
        "engagement": {name: totals_json(each) for name, each in found.engagement.items()},
        "network": post.first,
        "networks": {
            each.name: {**_json(each, config), "problem": each.problem} for each in found.networks if not found.unread
        },
        "review": post.review,
        "daemon": found.daemon,
        "home": str(config.home),
    }


def totals_json(found: Totals) -> dict[str, Any]:
    """Return the figures of a network's posts as `status` and `stats` print them."""
    figures = {name: getattr(found, name) for name in ("posts", "likes", "reposts", "replies")}
    return {**figures, "per_post": round(found.per_post, 3), "read": stamp(found.at)}


def totals_line(found: Totals) -> str:
    """Format a network's figures for people."""
    figures = f"{counted(found.likes, 'like')}, {counted(found.reposts, 'repost')}, "
    figures += f"{found.replies:,} {'reply' if found.replies == 1 else 'replies'}"
    return f"{figures} of {counted(found.posts, 'post')}, read {when(found.at)}"


def _json(found: Status | NetworkStatus, config: Config) -> dict[str, Any]:
    """Return what the bot and each of its networks have in common."""
    left = found.left
    return {
        "state": found.state,
        "last_post": stamp(found.last_post) if found.last_post else None,
        "next_slot": slot_key(found.next_slot) if found.next_slot else None,
        "queue": found.queue,
        "unconfirmed": found.queue[State.UNCONFIRMED],
        "budget": {
            "posts_today": left.posts_today,
            "posts_per_day": left.posts_per_day,
            "usd_this_month": round(left.usd_month, 6),
            "usd_per_month": left.usd_per_month,
            "prices_as_of": config.settings.post.prices.as_of,
            "next_post_from": stamp(left.until) if left.until else None,
        },
    }


def _next_slot(config: Config, outbox: Outbox, left: Left, now: datetime) -> datetime | None:
    """Return the first slot that the budget allows and that is free, or whose post still waits."""
    for slot in schedule.slots(config.settings.schedule, left.until - timedelta(seconds=1) if left.until else now):
        row = outbox.at(slot)
        if row is None or row.state in PENDING:
            return slot
    return None


# -- why ---------------------------------------------------------------------------------------------


def why(config: Config, post: int) -> dict[str, Any]:
    """Return a post's whole history, and draw its text again with all that is on record about how it was drawn.

    `same` is whether that gives the same text; None when it cannot be drawn again. `note` says why, or what differs.
    """
    with open_outbox(config) as outbox:
        row, audit = outbox.get(post), outbox.audit(post)
        others = [outbox.get(each) for each in outbox.siblings(post) if each != post]
    story: dict[str, Any] = row_json(row) | {
        "model": row.model,
        "seed": row.seed,
        "controls": json.loads(row.controls),
        "approved_by": row.approved_by,
        "remote_id": row.remote_id,
        "account": row.account,
        "sent": stamp(row.attempted) if row.attempted else None,
        "story": [
            {"at": stamp(each.at), "was": each.was, "state": each.state, "by": each.by, "reason": each.reason}
            for each in audit
        ],
        "elsewhere": [{"id": each.id, "network": each.network, "state": str(each.state)} for each in others],
        "same": None,
        "drawn_again": None,
        "taste": _taste(config, row),
    }
    if row.text is None:
        return story | {"note": "a skipped slot has no text"}
    if row.seed is None or row.temperature is None or row.model is None:
        return story | {"note": "a person wrote the text"}
    try:
        record = SamplingRecord.read(row.controls)
        Registry(config.home).find(row.model)
        again = Worker(config).answer(Replay(row.model, row.temperature, row.seed, record.controls, record.numerics))
    except ModelError:
        return story | {"note": f"the model {row.model} is no longer here"}
    except BiobotError as error:
        return story | {"note": f"it could not be drawn again: {error}"}
    same = again.text == row.text
    if row.edited:
        note = "a person has edited it"
    elif not same and row.model == "starter" and _made_after(config, row):
        note = "the starter that this biobot ships is a newer model than the one that drew it"
    elif record.numerics not in (None, again.numerics):
        note = f"it was drawn with {record.numerics}; here it is {again.numerics}, which can give another text"
    elif same:
        note = ""
    elif record.numerics is None:
        note = "the arithmetic it was drawn with is not on record; with other arithmetic a seed can give another text"
    else:
        note = "with everything on record the same, so the model's file or biobot itself has changed since"
    return story | {"same": same, "drawn_again": again.text, "note": note}


def _made_after(config: Config, row: Post) -> bool:
    """Return whether the model of that name was made after it drew the row's text: it is another one."""
    made = created(Registry(config.home).find(str(row.model)).header().card)
    return made is not None and made > row.created


def _taste(config: Config, row: Post) -> dict[str, Any] | None:
    """Return what the taste says of a row's text now, and how it stood among those drawn; None if it cannot say."""
    if row.text is None or not config.settings.taste.enabled:
        return None
    try:
        record = SamplingRecord.read(row.controls)
        found = Worker(config).answer(Explain(Candidate(row.text, bits=record.bits, entropy=record.entropy)))
    except BiobotError:
        return None
    return {
        "score": found.score,
        "score_when_chosen": record.score,
        "best_of": record.best_of,
        **_choice(config, row, record),
        "for": [name for name, effect in found.effects.items() if effect > 0][:EFFECTS],
        "against": [name for name, effect in found.effects.items() if effect < 0][:EFFECTS],
    }


def _choice(config: Config, row: Post, record: SamplingRecord) -> dict[str, Any]:
    """Return where a row's text stands among those drawn with it, when they are all drawn, judged and scored again."""
    if row.edited or row.model is None or row.temperature is None or record.first_seed is None or not record.tries:
        return {}
    asked = Choice(row.model, row.temperature, record.first_seed, record.tries, str(row.id), record.numerics)
    found = Worker(config).answer(asked).accepted
    rank = next((place for place, each in enumerate(found, 1) if each.text == row.text), None)
    best = [{"text": each.text, "score": round(each.score, 4)} for each in found[:EFFECTS]]
    return {"rank": rank, "of": len(found), "best": best}


def story_lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield what `why` returns as lines for people."""
    known_as = f" as {found['remote_id']}" if found["remote_id"] else ""
    yield f"post {found['id']}, on {found['network']}, is {found['state']}{known_as}"
    yield f"  {clean(one_line(found['text'] or '(no text)'))}"
    for each in found["elsewhere"]:
        yield f"the same text is post {each['id']}, on {each['network']}: {each['state']}"
    if found["seed"] is not None:
        yield f"model {found['model']}, temperature {found['temperature']:g}, seed {found['seed']}"
    if taste := found["taste"]:
        chosen = f", the best of {taste['best_of']} accepted bios" if taste["best_of"] else ""
        yield f"score {taste['score']:.2f}{chosen}"
        if taste.get("rank"):
            yield f"drawn again, number {taste['rank']} of {taste['of']} accepted ones by score alone; the best:"
            yield from (f"  {each['score']:.2f} {clean(one_line(each['text']))}" for each in taste["best"])
        for side in ("for", "against"):
            yield f"  {side}: {clean(', '.join(taste[side]))}"
    for each in found["story"]:
        reason = f": {each['reason']}" if each["reason"] else ""
        yield f"{when(datetime.fromisoformat(each['at']))}  {each['state']:<11}  by {each['by']}{reason}"
    note = f" ({found['note']})" if found["note"] else ""
    if found["same"] is None:
        yield found["note"]
    elif found["same"]:
        yield f"redrawn: the same text{note}"
    else:
        yield f"redrawn: a different text{note}:"
        yield f"  {clean(one_line(found['drawn_again']))}"


def row_json(row: Post) -> dict[str, Any]:
    """Return the object that `queue list --json` prints for a row."""
    return {
        "id": row.id,
        "rev": row.rev,
        "state": str(row.state),
        "text": row.text,
        "slot": slot_key(row.slot) if row.slot else None,
        "network": row.network,
        "temperature": row.temperature,
        "created": stamp(row.created),
        "reason": row.reason,
    }
