"""The one table of what an error does: to the post, to the daemon, and what a person can do about it.

docs/errors.md is this table for people; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from biobot.errors import NetworkError
from biobot.networks.errors import Kind, Refused, Unsent
from biobot.networks.rate_limits import MAX_WAIT
from biobot.posting.post import State


class Then(Enum):
    """What the daemon does after an error."""

    GO_ON = "goes on"
    """With the next slot, at its time."""
    WAIT = "waits"
    """No call before the decision's `until`."""
    BLOCK = "blocks"
    """Says so once, keeps the queue, and calls no more until a person resumes."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table.

    `state` is what the row of the outbox becomes: `approved` (again, with a not-before: the same text is tried
    later), `failed` (the slot is free for another text) or `unconfirmed` (never sent again by itself).
    `wait` is the least wait before the next call; it doubles with each failure in a row, up to `max_wait`.
    `strikes`: that many in a row, and the daemon blocks; 0 is never.
    """

    state: State
    then: Then
    remedy: str
    wait: timedelta = timedelta(0)
    max_wait: timedelta = MAX_WAIT
    strikes: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """What one error comes to: the row's next state, and for the daemon what to do and until when."""

    state: State
    then: Then
    until: datetime | None
    remedy: str


UNSENT = "unsent"
UNKNOWN = "unknown"

_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)

TABLE: Mapping[str, Rule] = {
    UNSENT: Rule(
        State.APPROVED,
        Then.WAIT,
        "nothing was sent; if this goes on, check the network and `x.api_base`",
        wait=_MINUTE,
        max_wait=15 * _MINUTE,
    ),
    UNKNOWN: Rule(
        State.UNCONFIRMED,
        Then.GO_ON,
        "the timeline will settle it; `biobot reconcile` looks now; three in a row open the circuit breaker",
    ),
    Kind.DUPLICATE.value: Rule(
        State.FAILED, Then.GO_ON, "the account already has this text; the slot gets another one"
    ),
    Kind.RATE_LIMIT.value: Rule(
        State.APPROVED,
        Then.WAIT,
        "too many calls; if this happens often, post less often",
        wait=_MINUTE,
        max_wait=_HOUR,
    ),
    Kind.DAILY_LIMIT.value: Rule(
        State.APPROVED, Then.WAIT, "the day's posts are used up; lower `post.budget.posts_per_day`", wait=_HOUR
    ),
    Kind.USAGE_CAP.value: Rule(
        State.APPROVED,
        Then.BLOCK,
        "the monthly usage cap is reached: raise it at console.x.com, then run `biobot resume`",
    ),
    Kind.NO_CREDITS.value: Rule(
        State.APPROVED, Then.BLOCK, "the account has no credits: buy some at console.x.com, then run `biobot resume`"
    ),
    Kind.SUSPENDED.value: Rule(
        State.APPROVED, Then.BLOCK, "the account is suspended: appeal at help.x.com, then run `biobot resume`"
    ),
    Kind.LOCKED.value: Rule(
        State.APPROVED, Then.BLOCK, "the account is locked: log in at x.com and unlock it, then run `biobot resume`"
    ),
    Kind.REVOKED.value: Rule(
        State.APPROVED,
        Then.BLOCK,
        "the keys are wrong or revoked: make new ones at console.x.com, then run `biobot resume`",
    ),
    Kind.CLOCK.value: Rule(
        State.APPROVED,
        Then.WAIT,
        "this machine's clock is wrong: let NTP set it (timedatectl set-ntp true)",
        wait=15 * _MINUTE,
        max_wait=_HOUR,
    ),
    Kind.READ_ONLY.value: Rule(
        State.APPROVED,
        Then.BLOCK,
        'the app may only read: set it to "Read and write", make a NEW access token, then run `biobot resume`',
    ),
    Kind.NOT_ENROLLED.value: Rule(
        State.APPROVED,
        Then.BLOCK,
        "the app belongs to no project: add it to one at console.x.com, then run `biobot resume`",
    ),
    Kind.APP_ONLY.value: Rule(
        State.APPROVED,
        Then.BLOCK,
        "the keys are an app's, not an account's: make an access token, then run `biobot resume`",
    ),
    Kind.NOT_PERMITTED.value: Rule(
        State.FAILED,
        Then.WAIT,
        "X disliked this text or this pace: look at the account, and post less often",
        wait=_HOUR,
        strikes=3,
    ),
    Kind.INVALID.value: Rule(
        State.FAILED, Then.GO_ON, "X found the post invalid: please report it, with what `biobot why` says", strikes=3
    ),
    Kind.NOT_FOUND.value: Rule(
        State.APPROVED, Then.BLOCK, "there is no such address: check `x.api_base`, then run `biobot resume`"
    ),
    Kind.MOVED.value: Rule(
        State.APPROVED, Then.BLOCK, "X has moved: set `x.api_base` to its new address, then run `biobot resume`"
    ),
    Kind.OTHER.value: Rule(
        State.FAILED,
        Then.WAIT,
        "X refused for an unknown reason: please report it, with what `biobot why` says",
        wait=_HOUR,
        strikes=3,
    ),
}
"""Every kind of error and its rule: the single place where this is decided."""


def name(error: NetworkError) -> str:
    """Name the table's row for an error."""
    if isinstance(error, Refused):
        return error.kind.value
    return UNSENT if isinstance(error, Unsent) else UNKNOWN


def decide(error: NetworkError, now: datetime, *, before: int = 0) -> Decision:
    """Look an error from `Network.post` up in the table.

    `before` counts the failures of this same kind that came directly before.
    """
    rule = TABLE[name(error)]
    if rule.strikes and before + 1 >= rule.strikes:
        return Decision(
            rule.state,
            Then.BLOCK,
            None,
            f"{rule.remedy}; after {before + 1} in a row posting stops until `biobot resume`",
        )
    if rule.then is not Then.WAIT:
        return Decision(rule.state, rule.then, None, rule.remedy)
    asked = error.wait if isinstance(error, Refused) and error.wait is not None else timedelta(0)
    grown = min(rule.wait * 2 ** min(before, 16), rule.max_wait)
    return Decision(rule.state, rule.then, now + max(asked, grown), rule.remedy)


assert set(TABLE) == {UNSENT, UNKNOWN, *(kind.value for kind in Kind)}
