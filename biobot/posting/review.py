"""A person's say: about drafts (yes, no, a change; each names the revision that was seen), and about going on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from biobot.errors import OutboxError
from biobot.posting.outbox import Outbox, Post, stamp

Judge = Callable[[str, int], list[str]]
"""What judges the new text of a row: its objections, none when it may be posted."""


def approve(outbox: Outbox, post: int, now: datetime, rev: int | None = None) -> Post:
    """Let a held draft be posted at its slot. Raises OutboxError when it is not held, or has changed."""
    return outbox.approve(post, now, rev)


def reject(outbox: Outbox, post: int, now: datetime, rev: int | None = None) -> Post:
    """Drop a draft that was not sent yet: another gets its slot, its text never comes back by itself."""
    return outbox.reject(post, now, "rejected by a person", "person", rev)


def reopen(outbox: Outbox, post: int, now: datetime, rev: int | None = None) -> Post:
    """Take back a yes or a no, as long as nothing was sent: the draft is held again."""
    return outbox.reopen(post, now, rev)


def edit(outbox: Outbox, judge: Judge, post: int, text: str, now: datetime, rev: int | None = None) -> Post:
    """Change a draft's text, if the filters let the new one pass; else raise OutboxError with their objections."""
    seen = outbox.get(post).rev if rev is None else rev
    said = judge(text, post)
    if said:
        raise OutboxError(f"the new text is refused: {'; '.join(said)}")
    return outbox.edit(post, text, now, seen)


def resume(outbox: Outbox, now: datetime) -> None:
    """Go on after a pause, a block or a wait; what is unconfirmed now no longer holds the breaker open."""
    for flag in ("paused", "blocked", "wait"):
        outbox.set_flag(flag, None, now, "person")
    outbox.set_flag("resumed", stamp(now), now, "person")
