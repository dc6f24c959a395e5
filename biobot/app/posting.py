"""Posting what workers draw and judge: for the commands, the daemon and the console."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime

from biobot.app.networks import require
from biobot.candidate import Candidate
from biobot.config import Config
from biobot.errors import BiobotError, OutboxError, Stale, TasteError
from biobot.networks.opening import open_network
from biobot.posting import schedule, transitions
from biobot.posting.blocks import is_ahead, posting_block
from biobot.posting.drafts import request, to_draft
from biobot.posting.outbox import Outbox
from biobot.posting.post import PENDING, Draft, Post, State, stamp
from biobot.posting.poster import Clock, Poster
from biobot.taste.marks import Mark, open_marks
from biobot.worker.client import Worker


def open_poster(
    config: Config, clock: Clock, *, who: str, stop: threading.Event | None = None, network: str | None = None
) -> Poster:
    """Open a poster with its outbox, as configured, for a network (None: the first that is posted to)."""
    outbox = Outbox(config.home / "outbox.db", network or config.settings.post.first)
    worker = Worker(config)
    return Poster(
        config,
        outbox,
        lambda: open_network(config, clock, stop, outbox.network),
        lambda row: worker.judge(row.text or "", row.id),
        clock,
        who=who,
        stop=stop,
    )


TAKEN = "the outbox already has a text like that; nothing is posted twice"


@contextmanager
def opened_poster(
    config: Config, clock: Clock, *, who: str, stop: threading.Event | None = None, network: str | None = None
) -> Iterator[Poster]:
    """Yield a poster, and close it afterwards."""
    poster = open_poster(config, clock, who=who, stop=stop, network=network)
    try:
        yield poster
    finally:
        poster.close()
        poster.outbox.close()


def one(poster: Poster, worker: Worker, text: str | None, slot: datetime | None = None) -> Post:
    """Make one post now on one network, as `post_everywhere` does."""
    _check(poster)
    return _sent(poster, _row(poster, worker, text, slot))


def _check(poster: Poster) -> None:
    """Raise OutboxError if nothing can be posted now, before a row is made that would wait."""
    block = posting_block(poster.outbox, poster.budget, poster.clock())
    if block is not None:
        raise OutboxError(f"nothing can be posted now: {block.text}")
    require(poster.config, poster.outbox.network)


def _row(poster: Poster, worker: Worker, text: str | None, slot: datetime | None) -> Post:
    """Return the row to post now: that of `text`, else the draft that waits longest, else a new one.

    With review on, a text that no person has seen is only held. Raises OutboxError when there is no text that may be
    posted.
    """
    config, outbox, now = poster.config, poster.outbox, poster.clock()
    review = config.settings.post.review == "on"
    mine = outbox.at(slot) if slot else None
    if mine is not None and mine.state is State.HELD and review and text is None:
        return mine
    if text is not None:
        said = worker.judge(text)
        if said:
            raise OutboxError(f"the text is refused: {'; '.join(said)}")
        row = outbox.add([Draft(text, slot)], State.APPROVED, now, "person")[0]
    else:
        ready = (row for row in outbox.posts(State.APPROVED) if not review or row.approved_by == "person")
        row = next((row for row in ready if not row.attempted or (slot is None and _is_due(row, now))), None)
        if row is not None and not row.attempted:
            outbox.assign_slot(slot, row.id, now)
        if row is None:
            (found,) = worker.draw([request(config, f"manual {stamp(now)}", slot)])
            outbox.count_refused(found.refused)
            if found.verdict is None:
                raise OutboxError(f"there is nothing to post: {found.reason}")
            state = State.HELD if review else State.APPROVED
            row = outbox.add([to_draft(found.verdict, slot, drawn=found)], state, now)[0]
    if row is None:
        raise OutboxError(TAKEN)
    return row


def _is_due(row: Post, now: datetime) -> bool:
    """Return whether a text that could not be sent may be tried again; one of unknown fate is looked for first."""
    return not row.in_doubt and not (row.not_before is not None and is_ahead(row.not_before, now))


def _copy(poster: Poster, other: Post, slot: datetime | None) -> Post:
    """Return the row to post now that has the text of another network's."""
    how = (other.temperature, other.seed, other.model, other.controls, other.origin or other.id)
    state = State.HELD if other.state is State.HELD else State.APPROVED
    outbox, by = poster.outbox, other.approved_by or "policy"
    (row,) = outbox.add([Draft(other.text or "", slot, *how)], state, poster.clock(), by)
    there = (each for each in map(outbox.get, outbox.siblings(other.id)) if each.network == outbox.network)
    row = row or next((each for each in there if each.state in PENDING and not each.attempted), None)
    if row is None:
        raise OutboxError(TAKEN)
    return row


def _sent(poster: Poster, row: Post) -> Post:
    if row.state is State.HELD:
        return row
    try:
        return poster.send(row.id)
    except Stale:  # the daemon was faster, and is done: it held the post lock until then
        return poster.outbox.get(row.id)
    except BiobotError as error:
        if poster.outbox.get(row.id).state is not State.APPROVED:
            raise
        raise OutboxError(
            f"{error}; post {row.id} waits: `biobot run`, or `biobot post` without --text, sends it; "
            f"`biobot reject {row.id}` drops it"
        ) from error


def post_everywhere(
    config: Config,
    clock: Clock,
    who: str,
    text: str | None,
    slot: Callable[[Outbox], datetime | None] = lambda _: None,
) -> list[Post]:
    """Make one post now, whatever the schedule says, with the same text on every network.

    It is `text`, else the draft that waits longest, else a new one. `slot` says which slot it fills on each network;
    None leaves all of them to others. With review on, a text that no person has seen is only held. Raises OutboxError
    when there is no text that may be posted or posting is blocked; on several networks, the others have their posts.
    """
    worker, rows, failed = Worker(config), list[Post](), list[BiobotError]()
    text_of: Post | None = None
    for name in config.settings.post.all:
        with opened_poster(config, clock, who=who, network=name) as poster:
            try:
                _check(poster)
                here = slot(poster.outbox)
                row = _copy(poster, text_of, here) if text_of else _row(poster, worker, text, here)
                text_of = text_of or row
                rows.append(_sent(poster, row))
            except BiobotError as error:
                if len(config.settings.post.all) == 1:
                    raise
                failed.append(OutboxError(f"{name}: {error}"))
    if failed:
        done = [f"{row.network}: post {row.id} is {row.state}" for row in rows]
        raise OutboxError("; ".join([*map(str, failed), *done]))
    return rows


def network_of(config: Config, post: int) -> str:
    """Return the network that a row belongs to."""
    with Outbox(config.home / "outbox.db", config.settings.post.first, read_only=True) as outbox:
        return outbox.get(post).network


def submit(config: Config, outbox: Outbox, draft: Draft, now: datetime) -> Post:
    """Put a text that a person picked into the next free slot, if the filters let it pass.

    With review on it is held like any other draft. Raises OutboxError with the filters' objections, for a text
    that is there already, and when there is no free slot.
    """
    said = Worker(config).judge(draft.text)
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


def edit(config: Config, outbox: Outbox, post: int, text: str, now: datetime, rev: int | None = None) -> Post:
    """Change a draft's text, if the filters accept the new one; else raise OutboxError with their objections."""
    seen = outbox.get(post).rev if rev is None else rev
    said = Worker(config).judge(text, post)
    if said:
        raise OutboxError(f"the new text is refused: {'; '.join(said)}")
    before = outbox.get(post).text or ""
    row = transitions.edit(outbox, post, text, now, seen)
    with suppress(TasteError), open_marks(config.home) as marks:  # the edit is what was asked for
        marks.add([Mark(Candidate(text), worse=before, source="edit")], now)
    return row
