"""Settling posts of unknown fate from the account's own timeline, which alone can tell.

Found: it was posted, and this is its id. Not found: look again at the next of `post.reconcile_after`, since a
timeline may lag (F46). Not found at the last one: failed, and never sent again by itself. A timeline that cannot be
read, that was not read back far enough, or that was asked for a time still to come concludes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from biobot.networks.network import Network, Tweet
from biobot.posting import transitions
from biobot.posting.budget import Budget
from biobot.posting.outbox import Outbox
from biobot.posting.post import Post
from biobot.settings import PostSettings
from biobot.text.normalize import published

MARGIN = timedelta(minutes=10)
"""The timeline is read from this long before an attempt: X takes signatures whose clock is some 5 minutes off."""

MAX_READ = 300
"""How many posts one look reads at most; each costs money."""

NEVER_AGAIN = "not on the timeline; never sent again by itself: `biobot reconcile ID --resend`"
INCONCLUSIVE = "the timeline was not read back far enough to tell; `biobot reconcile ID` looks again"


@dataclass(frozen=True, slots=True)
class Look:
    """What one reading of the timeline shows of some rows; a row in neither was not looked for far enough."""

    found: Mapping[int, Tweet]
    absent: Collection[int]


def due(row: Post, settings: PostSettings) -> datetime | None:
    """Return when an unconfirmed row is to be looked for next; None when only a person can settle it."""
    assert row.attempted is not None
    waits = settings.reconcile_after
    return row.attempted + waits[row.reconcile_misses] if row.reconcile_misses < len(waits) else None


def look(network: Network, outbox: Outbox, budget: Budget, rows: Sequence[Post], now: datetime) -> Look:
    """Look for rows in doubt on the timeline, all with one reading; raise NetworkError when it cannot be read."""
    there = now + (network.clock_offset or timedelta(0))
    begins = {row.id: min(row.look_from or row.created, there) - MARGIN for row in rows}
    tweets = network.timeline(min(begins.values()), MAX_READ)
    budget.record("read_own", len(tweets), now)
    # where the reading ended: all that is newer was seen
    reached = min((tweet.created or there for tweet in tweets), default=there) if len(tweets) >= MAX_READ else None
    taken = outbox.remote_ids([tweet.id for tweet in tweets])
    found: dict[int, Tweet] = {}
    absent = set()
    for row in rows:
        begin = begins[row.id]
        same = (tweet for tweet in tweets if tweet.id not in taken and _same(tweet, row, begin))
        if (tweet := next(same, None)) is not None:
            taken.add(tweet.id)
            found[row.id] = tweet
        elif (reached is None or reached < begin) and (row.look_from or row.created) <= there:
            absent.add(row.id)
    return Look(found, absent)


def settle(outbox: Outbox, seen: Look, row: Post, settings: PostSettings, now: datetime) -> Post:
    """Draw the conclusion of a look for an unconfirmed row whose time had come."""
    if row.id in seen.found:
        return transitions.find(outbox, row.id, seen.found[row.id].id, now)
    if row.id not in seen.absent:
        return transitions.record_miss(outbox, row.id, now, INCONCLUSIVE)
    if row.reconcile_misses + 1 < len(settings.reconcile_after):
        return transitions.record_miss(outbox, row.id, now)
    return transitions.give_up(outbox, row.id, now, NEVER_AGAIN)


def _same(tweet: Tweet, row: Post, begin: datetime) -> bool:
    return published(tweet.text) == published(row.text or "") and (tweet.created is None or tweet.created >= begin)
