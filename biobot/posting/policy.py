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

    `row` is the state that the outbox row gets: `approved` (again, with a not-before: the same text is tried
    later), `failed` (the slot is free for another text) or `unconfirmed` (never sent again by itself).
    `wait` is the least wait before the next call; it doubles with each failure in a row, up to `longest`.
    `strikes`: that many in a row, and the daemon blocks; 0 is never.
    """

    row: str
    then: Then
    mend: str
    wait: timedelta = timedelta(0)
    longest: timedelta = timedelta(hours=25)
    strikes: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """What one error comes to: the row's next state, and for the daemon what to do and until when."""

    row: str
    then: Then
    until: datetime | None
    mend: str


UNSENT = "unsent"
UNKNOWN = "unknown"

_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)

TABLE: Mapping[str, Rule] = {
    UNSENT: Rule(
        "approved",
        Then.WAIT,
        "nothing was sent; check the network and `x.api_base` if it goes on",
        wait=_MINUTE,
        longest=15 * _MINUTE,
    ),
    UNKNOWN: Rule(
        "unconfirmed",
        Then.GO_ON,
        "the timeline will tell; `biobot reconcile` looks now, and three in a row open the breaker",
    ),
    Kind.DUPLICATE.value: Rule(
        "failed", Then.GO_ON, "the account already has this text; it is blocked, and the slot gets another"
    ),
    Kind.RATE_LIMIT.value: Rule(
        "approved", Then.WAIT, "X counts calls; nothing to do but post less often", wait=_MINUTE, longest=_HOUR
    ),
    Kind.DAILY_LIMIT.value: Rule(
        "approved", Then.WAIT, "the day's posts are used up; lower `post.budget.posts_per_day`", wait=_HOUR
    ),
    Kind.USAGE_CAP.value: Rule(
        "approved", Then.BLOCK, "the month's usage is used up: raise the cap at console.x.com, then `biobot resume`"
    ),
    Kind.NO_CREDITS.value: Rule(
        "approved", Then.BLOCK, "the account has no credits: buy some at console.x.com, then `biobot resume`"
    ),
    Kind.SUSPENDED.value: Rule(
        "approved", Then.BLOCK, "the account is suspended: appeal at help.x.com, then `biobot resume`"
    ),
    Kind.LOCKED.value: Rule(
        "approved", Then.BLOCK, "the account is locked: log in at x.com and unlock it, then `biobot resume`"
    ),
    Kind.REVOKED.value: Rule(
        "approved", Then.BLOCK, "the keys are wrong or revoked: make new ones at console.x.com, then `biobot resume`"
    ),
    Kind.CLOCK.value: Rule(
        "approved",
        Then.WAIT,
        "this machine's clock is wrong: let NTP set it (timedatectl set-ntp true)",
        wait=15 * _MINUTE,
        longest=_HOUR,
    ),
    Kind.READ_ONLY.value: Rule(
        "approved",
        Then.BLOCK,
        'the app may only read: set it to "Read and write", make a NEW access token, then `biobot resume`',
    ),
    Kind.NOT_ENROLLED.value: Rule(
        "approved", Then.BLOCK, "the app is in no project: put it into one at console.x.com, then `biobot resume`"
    ),
    Kind.APP_ONLY.value: Rule(
        "approved", Then.BLOCK, "the keys speak for an app, not an account: make an access token, then `biobot resume`"
    ),
    Kind.NOT_PERMITTED.value: Rule(
        "failed",
        Then.WAIT,
        "X disliked this text or this pace; look at the account, and post less often",
        wait=_HOUR,
        strikes=3,
    ),
    Kind.INVALID.value: Rule("failed", Then.GO_ON, "X found the post invalid; report it with `biobot why`", strikes=3),
    Kind.NOT_FOUND.value: Rule(
        "approved", Then.BLOCK, "there is no such address: check `x.api_base`, then `biobot resume`"
    ),
    Kind.MOVED.value: Rule(
        "approved", Then.BLOCK, "X's address has changed: set `x.api_base` to the new one, then `biobot resume`"
    ),
    Kind.OTHER.value: Rule(
        "failed", Then.WAIT, "X refused in a way not known here; report it with `biobot why`", wait=_HOUR, strikes=3
    ),
}
"""Every kind of error and its rule: the single place where this is decided."""


def name(error: NetworkError) -> str:
    """Name the table's row for an error."""
    if isinstance(error, Refused):
        return error.kind.value
    return UNSENT if isinstance(error, Unsent) else UNKNOWN


def decide(error: NetworkError, now: datetime, *, before: int = 0, resent: bool = False) -> Decision:
    """Look an error from `Network.post` up in the table.

    `before` counts the failures of this same kind that came directly before. `resent` says that a person had
    this unconfirmed text sent again: then a duplicate means that the first try had been accepted, and the row
    stays unconfirmed until the timeline gives its id (F20).
    """
    rule = TABLE[name(error)]
    if resent and isinstance(error, Refused) and error.kind is Kind.DUPLICATE:
        return Decision("unconfirmed", Then.GO_ON, None, "X has this text already; the timeline will give its id")
    if rule.strikes and before + 1 >= rule.strikes:
        return Decision(rule.row, Then.BLOCK, None, f"{rule.mend}; after {before + 1} in a row: `biobot resume`")
    if rule.then is not Then.WAIT:
        return Decision(rule.row, rule.then, None, rule.mend)
    asked = error.wait if isinstance(error, Refused) and error.wait is not None else timedelta(0)
    grown = min(rule.wait * 2 ** min(before, 16), rule.longest)
    return Decision(rule.row, rule.then, now + max(asked, grown), rule.mend)


assert set(TABLE) == {UNSENT, UNKNOWN, *(kind.value for kind in Kind)}
