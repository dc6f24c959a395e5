"""Posting with what a worker process draws and judges: for the commands, the daemon and the console."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import datetime

from biobot.app.networks import open_network
from biobot.config import Config
from biobot.errors import BiobotError, OutboxError, PluginError, SampleError
from biobot.networks.secrets import POSTING, load
from biobot.posting import schedule, transitions
from biobot.posting.blocks import posting_block
from biobot.posting.drafts import Draw, Drawn, drawn, request
from biobot.posting.outbox import Outbox
from biobot.posting.post import Draft, Post, State, stamp
from biobot.posting.poster import Clock, Poster
from biobot.worker import client, server


def open_poster(config: Config, clock: Clock, *, who: str, stop: threading.Event | None = None) -> Poster:
    """Open the outbox and what posts from it, as the config says."""
    outbox = Outbox(config.home / "outbox.db", config.settings.post.network)
    return Poster(
        config,
        outbox,
        lambda: open_network(config, clock, stop),
        lambda row: judge(config, row),
        clock,
        who=who,
        stop=stop,
    )


def judge(config: Config, row: Post) -> list[str]:
    """Judge a row's text in a child process, against everything but the row itself; give the objections."""
    return objections(config, row.text or "", row.id)


def objections(config: Config, text: str, post: int | None = None) -> list[str]:
    """Judge a text in a child process; `post` is the row that it is the text of, or shall be."""
    given = {"text": text} if post is None else {"text": text, "id": str(post)}
    command = [*(["--config", str(config.file)] if config.file else []), "--home", str(config.home)]
    command += ["check", "--json", "-"]
    try:
        lines = list(client.run(command, f"{json.dumps(given)}\n", config.settings.sample.deadline, "judging the text"))
        (found,) = map(json.loads, lines)
    except (SampleError, ValueError) as error:
        raise PluginError(f"{error}; what was not judged is not posted") from error
    if found["accepted"]:
        return []
    return [f"{each['filter']}: {each['reason']}" for each in found["objections"]] or ["refused"]


def spawn(config: Config) -> Draw:
    """Return what draws drafts in a child process."""
    return lambda requests: server.spawn(config, requests, config.settings.sample.deadline)


def one(config: Config, poster: Poster, draw: Draw, text: str | None, slot: datetime | None = None) -> Post:
    """Make one post now, whatever the schedule says: `text`, else the draft that waits longest, else a new one.

    `slot` is the slot that it fills; None leaves all of them to others. With review on, a text that no person
    has seen is only held. Raises OutboxError when there is no text that may be posted, or posting is blocked.
    """
    outbox, now = poster.outbox, poster.clock()
    block = posting_block(outbox, poster.budget, now)
    if block is not None:
        raise OutboxError(f"nothing is posted: {block.text}")
    if config.settings.post.network == "x":
        load(config).require(*POSTING)  # before a row is made that would wait for them
    review = config.settings.post.review == "on"
    if text is not None:
        said = objections(config, text)
        if said:
            raise OutboxError(f"the text is refused: {'; '.join(said)}")
        row = outbox.add([Draft(text, slot)], State.APPROVED, now, "person")[0]
    else:
        ready = (row for row in outbox.posts(State.APPROVED) if not review or row.approved_by == "person")
        row = next((row for row in ready if not row.attempted), None)
        if row is not None:
            outbox.assign_slot(slot, row.id, now)
        if row is None:
            name = f"manual {stamp(now)}"
            (found,) = list(drawn([request(config, name, slot)], draw, {name: slot})) or [
                Drawn(name, None, "none came")
            ]
            outbox.count_refused(found.refused)
            if found.draft is None:
                raise OutboxError(f"there is nothing to post: {found.reason}")
            row = outbox.add([found.draft], State.HELD if review else State.APPROVED, now)[0]
    if row is None:
        raise OutboxError("the outbox already has a text like that; nothing is posted twice")
    if row.state is State.HELD:
        return row
    try:
        return poster.send(row.id)
    except BiobotError as error:
        if outbox.get(row.id).state is not State.APPROVED:
            raise
        raise OutboxError(
            f"{error}; post {row.id} waits: `biobot run` or `biobot post` sends it, `biobot reject {row.id}` drops it"
        ) from error


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


def edit(config: Config, outbox: Outbox, post: int, text: str, now: datetime, rev: int | None = None) -> Post:
    """Change a draft's text, if the filters accept the new one; else raise OutboxError with their objections."""
    seen = outbox.get(post).rev if rev is None else rev
    said = objections(config, text, post)
    if said:
        raise OutboxError(f"the new text is refused: {'; '.join(said)}")
    return transitions.edit(outbox, post, text, now, seen)
