"""Posting with what a worker process draws and judges: for the commands, the daemon and the console."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import datetime, timedelta

from biobot.config import Config
from biobot.errors import BiobotError, OutboxError, PluginError, SampleError
from biobot.networks.network import open_network
from biobot.networks.secrets import POSTING, load
from biobot.posting import locks, schedule
from biobot.posting.drafts import Draw, Drawn, drawn, request
from biobot.posting.outbox import Draft, Outbox, Post, State, stamp
from biobot.posting.poster import Clock, Poster, hindrance
from biobot.worker import client, server


def open_poster(config: Config, clock: Clock, *, who: str, stop: threading.Event | None = None) -> Poster:
    """Open the outbox and what posts from it, as the config says."""
    outbox = Outbox(config.home / "outbox.db", config.settings.post.network)
    return Poster(
        config, outbox, lambda: open_network(config), lambda row: judge(config, row), clock, who=who, stop=stop
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
    has seen is only held. Raises OutboxError when there is no text that may be posted, or posting is hindered.
    """
    outbox, now = poster.outbox, poster.clock()
    hindered = hindrance(outbox, poster.budget, now)
    if hindered is not None:
        raise OutboxError(f"nothing is posted: {hindered.text}")
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
            outbox.give(slot, row.id, now)
        if row is None:
            name = f"manual {stamp(now)}"
            (found,) = list(drawn([request(config, name, slot)], draw, {name: slot})) or [
                Drawn(name, None, "none came")
            ]
            outbox.count_refused(found.refused, now)
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


def reconcile_now(poster: Poster, post: int | None = None) -> list[Post]:
    """Look for unconfirmed posts on the timeline before it is time; what is not found stays as it is."""
    with locks.lock(poster.config.home, locks.POST, poster.who, poster.clock(), timedelta(seconds=2)):
        poster.adopt_orphans()
        rows = poster.outbox.posts(State.UNCONFIRMED) if post is None else [poster.outbox.get(post)]
        for row in rows:
            if row.state not in (State.UNCONFIRMED, State.FAILED):
                raise OutboxError(f"post {row.id} is {row.state}: there is nothing to settle")
        return poster.settle(rows, early=True)


def resend(poster: Poster, post: int) -> Post:
    """Send a text again on a person's word, unless the timeline shows that it is there."""
    row = reconcile_now(poster, post)[0]
    if row.state is State.POSTED:
        return row
    poster.outbox.resend(post, poster.clock())
    return poster.send(post)
