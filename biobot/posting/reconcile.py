"""Settling posts of unknown fate from the account's own timeline, which alone can tell.

Found: it was posted, and this is its id. Not found: look again at the next of `post.reconcile_after`, since a
timeline may lag (F46). Not found at the last one: failed, and never sent again by itself. A timeline that
cannot be read concludes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from biobot.networks.network import Tweet
from biobot.posting.budget import Budget
from biobot.posting.outbox import Outbox, Post, State
from biobot.settings import PostSettings
from biobot.text.normalize import published

EARLIER = timedelta(minutes=2)
"""The timeline is read from this long before the call: its clock need not be ours."""

LIMIT = 20
"""How many posts are read for one that is looked for; each costs money."""

NEVER_AGAIN = "not on the timeline; never sent again by itself: `biobot reconcile ID --resend`"

Timeline = Callable[[datetime, int], Sequence[Tweet]]


def due(row: Post, settings: PostSettings) -> datetime:
    """Return when an unconfirmed row is to be looked for next."""
    assert row.sending is not None
    waits = settings.reconcile_after
    return row.sending + waits[min(row.checks, len(waits) - 1)]


def settle(
    outbox: Outbox, budget: Budget, timeline: Timeline, rows: Sequence[Post], now: datetime, *, early: bool = False
) -> list[Post]:
    """Look for unconfirmed rows on the timeline, all with one reading, and give them as they are then.

    `early`: a person asked before it was time; what is not found waits for its next time. Raises NetworkError
    when the timeline cannot be read; nothing changes then.
    """
    # one that was given up may turn up after all; one that was refused never does: what is there is not ours (F20)
    wanted = [row for row in rows if row.state is State.UNCONFIRMED or (row.state is State.FAILED and not row.freed)]
    if not wanted:
        return list(rows)
    tweets = timeline(min(map(_since, wanted)), min(LIMIT * len(wanted), 100))
    budget.record("read_own", len(tweets), now)
    taken = outbox.remote_ids([tweet.id for tweet in tweets])
    settled = []
    for row in wanted:
        found = next((tweet for tweet in tweets if tweet.id not in taken and _same(tweet, row)), None)
        if found is not None:
            taken.add(found.id)
            settled.append(outbox.posted(row.id, found.id, now, "found on the timeline"))
        elif early:
            settled.append(row)
        elif row.checks + 1 >= len(budget.settings.reconcile_after):
            settled.append(outbox.lost(row.id, now, NEVER_AGAIN))
        else:
            settled.append(outbox.looked(row.id, now))
    return settled


def _since(row: Post) -> datetime:
    """Return from when on the post may be there; one that was sent twice may be there since the first time."""
    assert row.sending is not None
    return (row.created if row.resends else row.sending) - EARLIER


def _same(tweet: Tweet, row: Post) -> bool:
    since = _since(row)
    return published(tweet.text) == published(row.text or "") and (tweet.created is None or tweet.created >= since)
