"""Settling posts of unknown fate: by the same call once more where the network knows their key, else by looking.

What the key is worth decides. For ever: the same call, at once or in a month, does nothing twice and says whether the
post is there. A while: first a look at the account's own timeline, then the same call, as long as the key lasts.
Nothing: the timeline alone can tell.

Found there: it was posted, and this is its id. Not found: look again at the next of `post.reconcile_after`, since a
timeline may lag (F46). Not found at the last one: failed, and never sent again by itself. A timeline that cannot be
read, that was not read back far enough, or that was asked too early by its own clock concludes nothing. Before a text
is sent again on a person's word, `MAX_LAG` must have passed since a look that did not show it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from biobot.networks.network import FOR_EVER, Network, Tweet
from biobot.posting import transitions
from biobot.posting.budget import Budget
from biobot.posting.outbox import Outbox
from biobot.posting.post import PENDING, Post, State
from biobot.settings import PostSettings
from biobot.text.normalize import published

MARGIN = timedelta(minutes=10)
"""The timeline is read from this long before an attempt: X takes signatures whose clock is some 5 minutes off."""

MAX_LAG = timedelta(minutes=2)
"""So long after an attempt the timeline shows what came of it: what it does not show then is not there."""

DATE_RESOLUTION = timedelta(seconds=1)
"""How finely a network's clock is known: by the Date of its answers."""

MAX_READ = 3200
"""How many posts one look reads at most: X shows no more. Each costs money, and a bot makes far fewer in a week."""

NEVER_AGAIN = "not on the timeline; never sent again by itself: `biobot reconcile ID --resend`"
INCONCLUSIVE = "the timeline could not be read back far enough to tell; `biobot reconcile ID` looks again"


@dataclass(frozen=True, slots=True)
class Look:
    """What one reading of the timeline shows of some rows; a row in neither was not looked for far enough.

    `at` is when it was read, by the network's clock.
    """

    at: datetime
    found: Mapping[int, Tweet]
    absent: Collection[int]


def is_settled_by_repeating(network: Network, row: Post) -> bool:
    """Return whether the same call can be made again whenever it suits, and so settles the row."""
    return network.key_lasts == FOR_EVER and row.key is not None


def may_repeat(network: Network, row: Post, now: datetime) -> bool:
    """Return whether the same call, made again now, cannot post a second time."""
    lasts, first = network.key_lasts, row.look_from
    if row.key is None or lasts is None or first is None:
        return False
    return lasts == FOR_EVER or timedelta(0) <= now + (network.clock_offset or timedelta(0)) - first <= lasts


def due(network: Network, row: Post, settings: PostSettings) -> datetime | None:
    """Return when an unconfirmed row is to be settled next; None when only a person can settle it."""
    assert row.attempted is not None
    if is_settled_by_repeating(network, row):
        return row.attempted
    waits = settings.reconcile_after
    return row.attempted + waits[row.reconcile_misses] if row.reconcile_misses < len(waits) else None


def look(network: Network, outbox: Outbox, budget: Budget, rows: Sequence[Post], now: datetime) -> Look:
    """Look for rows that may be on the timeline, all with one reading; raise NetworkError when it cannot be read."""
    begins = {row.id: min(earliest(row), now + _ahead(network)) - MARGIN for row in rows}
    tweets = network.timeline(min(begins.values()), MAX_READ)
    at = now + _ahead(network)  # as this answer says
    budget.record("read_own", len(tweets), now)
    reached = _reached(outbox, tweets, min(begins.values()), at)
    taken = outbox.remote_ids([tweet.id for tweet in tweets])
    found: dict[int, Tweet] = {}
    absent = set()
    for row in rows:
        begin = begins[row.id]
        same = (tweet for tweet in tweets if tweet.id not in taken and _same(tweet, row, begin))
        if (tweet := next(same, None)) is not None:
            taken.add(tweet.id)
            found[row.id] = tweet
        elif reached is not None and reached <= begin and earliest(row) <= at:
            absent.add(row.id)
    return Look(at, found, absent)


def lags_until(row: Post, at: datetime) -> datetime | None:
    """Return until when, by the network's clock, the timeline may still lag behind the last attempt of a row in doubt.

    None: a look at `at` that does not show it proves that it is not there. Looks are dated by the network. When the
    attempt began is known by this machine's clock only, which may have been off by half of `MARGIN`, and set since.
    """
    attempt = row.attempted + MARGIN if row.attempted else None
    until = min(each + MAX_LAG for each in (attempt, row.looked or at) if each is not None)
    return until if at < until else None


def is_restored(network: Network, outbox: Outbox, budget: Budget, now: datetime) -> bool:
    """Return whether the account has posts since the outbox's newest that the outbox does not know.

    Then it was restored from a backup, or somebody posts by hand. Raises NetworkError.
    """
    last, rows = outbox.last_posted(), outbox.posts(*PENDING, State.UNCONFIRMED, State.FAILED)
    begins = [last.look_from or last.created] if last else [earliest(row) for row in rows]
    if not begins:
        return False
    tweets = network.timeline(min(begins), 20)
    budget.record("read_own", len(tweets), now)
    known = outbox.remote_ids([tweet.id for tweet in tweets])
    in_doubt = {published(row.text or "") for row in rows if row.in_doubt}
    return any(tweet.id not in known and published(tweet.text) not in in_doubt for tweet in tweets)


def settle(outbox: Outbox, seen: Look, row: Post, settings: PostSettings, now: datetime) -> Post:
    """Settle an unconfirmed row that is due by what a look showed."""
    if row.id in seen.found:
        return transitions.find(outbox, row.id, seen.found[row.id].id, now)
    waited, waits = seen.at - earliest(row), settings.reconcile_after
    if row.id not in seen.absent:
        return transitions.record_miss(outbox, row, now, INCONCLUSIVE)
    if waited + DATE_RESOLUTION < waits[row.reconcile_misses] / 2:  # a clock was set
        return transitions.record_miss(outbox, row, now, INCONCLUSIVE, seen.at)
    if row.reconcile_misses + 1 < len(waits):
        return transitions.record_miss(outbox, row, now, "not on the timeline yet", seen.at)
    return transitions.give_up(outbox, row, now, NEVER_AGAIN, seen.at)


def _reached(outbox: Outbox, tweets: Sequence[Tweet], begin: datetime, at: datetime) -> datetime | None:
    """Return the moment after which all own posts are among those read at `at`; None where that is not known.

    Whatever a network promises: where the limit cut the list off, or it lacks a post of this outbox that is older than
    all that are listed, it ends with the oldest one.
    """
    reached: datetime | None = getattr(tweets, "reaches", None)
    if reached is None:
        return None
    oldest = min((tweet.created or at for tweet in tweets), default=begin)
    listed = {tweet.id for tweet in tweets}
    known = (row for row in outbox.posted_since(begin, MAX_READ) if row.remote_id not in listed)
    is_cut = len(tweets) >= MAX_READ or any(begin < (row.look_from or at) < oldest - MAX_LAG for row in known)
    return max(reached, oldest) if is_cut else reached


def _ahead(network: Network) -> timedelta:
    return network.clock_offset or timedelta(0)


def earliest(row: Post) -> datetime:
    """Return when a row may have been posted first; one that was never sent may have been by a copy of the outbox."""
    return row.look_from or min(row.created, row.slot or row.created)


def _same(tweet: Tweet, row: Post, begin: datetime) -> bool:
    return published(tweet.text) == published(row.text or "") and (tweet.created is None or tweet.created >= begin)
