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


RESUME = ", then run `biobot resume`"
UNSENT = "unsent"
UNKNOWN = "unknown"

_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)


def _block(remedy: str) -> Rule:
    return Rule(State.APPROVED, Then.BLOCK, f"{remedy}{RESUME}")


def _wait(remedy: str, wait: timedelta, max_wait: timedelta = MAX_WAIT) -> Rule:
    return Rule(State.APPROVED, Then.WAIT, remedy, wait, max_wait)


def _fail(remedy: str, wait: timedelta = timedelta(0), strikes: int = 3) -> Rule:
    return Rule(State.FAILED, Then.WAIT if wait else Then.GO_ON, remedy, wait, strikes=strikes)


TABLE: Mapping[str, Rule] = {
    UNSENT: _wait("nothing was sent; if this goes on, run `biobot doctor --online`", _MINUTE, 15 * _MINUTE),
    UNKNOWN: Rule(
        State.UNCONFIRMED,
        Then.GO_ON,
        "the timeline will settle it; `biobot reconcile` looks now; three in a row open the circuit breaker",
    ),
    Kind.DUPLICATE.value: _fail("the account already has this text; the slot gets another one", strikes=0),
    Kind.TAKEN.value: _fail("another record has the post's key: look at the account, and delete one of the two"),
    Kind.RATE_LIMIT.value: _wait("too many calls; if this happens often, post less often", _MINUTE, _HOUR),
    Kind.DAILY_LIMIT.value: _wait("the day's posts are used up; lower `post.budget.posts_per_day`", _HOUR),
    Kind.USAGE_CAP.value: _block("the monthly usage cap is reached: raise it at console.x.com"),
    Kind.NO_CREDITS.value: _block("the account has no credits: buy some at console.x.com"),
    Kind.SUSPENDED.value: _block("the account is suspended: appeal at help.x.com"),
    Kind.LOCKED.value: _block("the account is locked: log in at x.com and unlock it"),
    Kind.DEACTIVATED.value: _block("the account is deactivated: log in and activate it"),
    Kind.REVOKED.value: _block("the keys are wrong or revoked: make new ones at console.x.com"),
    Kind.CLOCK.value: _wait(
        "this machine's clock is wrong: let NTP set it (timedatectl set-ntp true)", 15 * _MINUTE, _HOUR
    ),
    Kind.READ_ONLY.value: _block('the app may only read: set it to "Read and write", make a NEW access token'),
    Kind.NOT_ENROLLED.value: _block("the app belongs to no project: add it to one at console.x.com"),
    Kind.APP_ONLY.value: _block("the keys are an app's, not an account's: make an access token"),
    Kind.NOT_PERMITTED.value: _fail(
        "X disliked this text or this pace: look at the account, and post less often", _HOUR
    ),
    Kind.INVALID.value: _fail("X found the post invalid: please report it, with what `biobot why` says"),
    Kind.NOT_FOUND.value: _block("there is no such address: check `x.api_base`"),
    Kind.MOVED.value: _block("X has moved: set `x.api_base` to its new address"),
    Kind.GONE.value: _block("the account or its server is gone: look at it, and correct its address and keys"),
    Kind.DELETED.value: _fail("the post was made, and somebody has deleted it since", strikes=0),
    Kind.OTHER.value: _fail("X refused for an unknown reason: please report it, with what `biobot why` says", _HOUR),
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
    remedy = rule.remedy
    if isinstance(error, Refused) and error.remedy:
        remedy = f"{error.remedy}{RESUME if rule.then is Then.BLOCK else ''}"
    if rule.strikes and before + 1 >= rule.strikes:
        return Decision(
            rule.state,
            Then.BLOCK,
            None,
            f"{remedy}; after {before + 1} in a row posting stops until `biobot resume`",
        )
    if rule.then is not Then.WAIT:
        return Decision(rule.state, rule.then, None, remedy)
    asked = error.wait if isinstance(error, Refused) and error.wait is not None else timedelta(0)
    grown = min(rule.wait * 2 ** min(before, 16), rule.max_wait)
    return Decision(rule.state, rule.then, now + max(asked, grown), remedy)


assert set(TABLE) == {UNSENT, UNKNOWN, *(kind.value for kind in Kind)}
