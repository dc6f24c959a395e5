"""What keeps the bot from posting now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from biobot.networks.rate_limits import MAX_WAIT
from biobot.posting import bot_state
from biobot.posting.budget import Budget
from biobot.posting.outbox import Outbox
from biobot.text.humanize import when

BREAKER = 3
"""After this many posts of unknown fate in a row no more are made until the timeline or a person has settled them."""

MAX_BELIEVED_WAIT = MAX_WAIT + timedelta(hours=1)
"""A longer wait was set while the clock ran ahead (F47)."""

Problem = Literal["blocked", "breaker", "wait", "budget"]
PROBLEMS: tuple[str, ...] = get_args(Problem)
"""What blocks posting without a person's wish: each is a problem of that name while it lasts."""


@dataclass(frozen=True, slots=True)
class PostingBlock:
    """Why nothing is posted now; `until` is when that ends by itself (None: not by the clock)."""

    kind: Literal["paused"] | Problem
    text: str
    until: datetime | None = None


def posting_block(outbox: Outbox, budget: Budget, now: datetime) -> PostingBlock | None:
    """Return why nothing may be posted now; None when something may."""
    state = bot_state.read(outbox)
    if state.paused is not None:
        return PostingBlock("paused", "paused until `biobot resume`")
    if state.blocked is not None:
        return PostingBlock("blocked", state.blocked)
    if outbox.unconfirmed_run(state.resumed, now) >= BREAKER:
        return PostingBlock(
            "breaker",
            f"{BREAKER} posts of unknown fate in a row: nothing is posted until the timeline settles them, "
            "or until `biobot resume`",
        )
    until = state.wait_until
    if until is not None and is_ahead(until, now):
        return PostingBlock("wait", f"waiting until {when(until)}: {state.wait_reason}", until)
    left = budget.left(now)
    if left.until is not None:
        return PostingBlock("budget", left.spent, left.until)
    return None


def may_send(outbox: Outbox, now: datetime) -> bool:
    """Return whether a call that may post is allowed now; breaker and budget do not stop one that settles a post."""
    state = bot_state.read(outbox)
    waits = state.wait_until is not None and is_ahead(state.wait_until, now)
    return state.paused is None and state.blocked is None and not waits


def is_ahead(until: datetime, now: datetime) -> bool:
    """Return whether a wait lasts; one that is longer than any is ever set does not (F47)."""
    return now < until <= now + MAX_BELIEVED_WAIT
