"""Likes, reposts and replies of the bot's own posts: read once a day, all at once, and kept in the outbox.

Once a day is also when a post that was sent again under its key is looked for again: a server may have doubled it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta

from biobot.networks.network import FOR_EVER, Engagement, Network
from biobot.posting.budget import Budget
from biobot.posting.outbox import Outbox
from biobot.posting.post import Post, moment, stamp
from biobot.text.normalize import published

EVERY = timedelta(days=1)
RECENT = timedelta(days=30)
"""Older posts keep the figures they have."""
SETTLED = timedelta(days=2)
"""After so long few reactions follow."""
MAX_POSTS = 100
"""How many posts, the newest ones, one reading covers."""


@dataclass(frozen=True, slots=True)
class Totals:
    """The figures of a network's posts, and when they were read."""

    posts: int
    likes: int
    reposts: int
    replies: int
    at: datetime

    @property
    def per_post(self) -> float:
        """Return likes, reposts and replies of an average post."""
        return (self.likes + self.reposts + self.replies) / self.posts


def read(network: Network, outbox: Outbox, budget: Budget, now: datetime) -> int:
    """Read the figures of recent posts with one call or a few, keep them, and return of how many posts.

    Where reading costs money, only as much is read as the budget allows. Raises NetworkError.
    """
    rows = {row.remote_id or "": row.id for row in recent(outbox, now)}
    if price := budget.price("read_own"):
        affordable = int((budget.settings.budget.usd_per_month - budget.month_spend(now)) / price)
        rows = dict(list(rows.items())[: max(affordable, 0)])
    found = network.engagement(list(rows)) if rows else {}
    budget.record("read_own", len(found), now)
    figures = [(rows[each], stamp(now), *astuple(found[each])) for each in found if each in rows]
    with outbox.transaction() as db:
        # an upsert: a replacement would pass by the triggers that keep the sums
        again = "at = excluded.at, likes = excluded.likes, reposts = excluded.reposts, replies = excluded.replies"
        db.executemany(f"INSERT INTO engagement VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET {again}", figures)
    return len(found)


def last_read(outbox: Outbox) -> datetime | None:
    """Return when a network's figures were last read."""
    found = outbox.ask("SELECT at FROM reactions WHERE network = ?", outbox.network)
    return moment(found[0][0]) if found else None


def of_posts(outbox: Outbox, posts: Sequence[int]) -> Mapping[int, Engagement]:
    """Return the figures of rows, by id; those that were never read are left out."""
    marks = ", ".join("?" * len(posts))
    rows = outbox.ask(f"SELECT post, likes, reposts, replies FROM engagement WHERE post IN ({marks})", *posts)
    return {post: Engagement(*figures) for post, *figures in rows}


def totals(outbox: Outbox) -> dict[str, Totals]:
    """Return the figures of each network that has any."""
    columns = "network, posts, likes, reposts, replies, at"
    rows = outbox.ask(f"SELECT {columns} FROM reactions WHERE posts > 0 ORDER BY network")
    return {
        network: Totals(posts, likes, reposts, replies, moment(at))
        for network, posts, likes, reposts, replies, at in rows
    }


def best(outbox: Outbox, limit: int) -> list[tuple[Post, Engagement]]:
    """Return this network's posts that people reacted to most, the most popular first."""
    rows = outbox.ask(
        "SELECT post, likes, reposts, replies FROM engagement JOIN post ON id = post WHERE network = ? AND "
        "state = 'posted' AND likes + reposts + replies > 0 ORDER BY likes + reposts + replies DESC, post LIMIT ?",
        outbox.network,
        limit,
    )
    return [(outbox.get(post), Engagement(*figures)) for post, *figures in rows]


def weak_marks(outbox: Outbox) -> list[tuple[str, float]]:
    """Return sampled texts with the marks that people's reactions are: within half a mark of the middle, by rank.

    Only posts that were up for some days count, each compared with those of its own network.
    """
    rows = outbox.ask(
        "SELECT text, percent_rank() OVER (PARTITION BY network ORDER BY likes + 2 * reposts + replies) "
        "FROM engagement JOIN post ON id = post WHERE state = 'posted' AND model IS NOT NULL AND edited = 0 "
        "AND julianday(at) - julianday(posted) >= ? ORDER BY post",
        SETTLED / timedelta(days=1),
    )
    return [(text, 1.0 + rank) for text, rank in rows]


def doubled(network: Network, outbox: Outbox, now: datetime) -> list[tuple[Post, str]]:
    """Return the posts of the last days that the server made twice, each with the id of the other one.

    That can only be where a post was sent again under a key that the server had not stored yet. Raises NetworkError.
    """
    if network.key_lasts == FOR_EVER:
        return []
    repeated = "EXISTS (SELECT 1 FROM audit WHERE post = post.id AND state = 'posted' AND reason LIKE 'sent again%')"
    query = f"SELECT id FROM post WHERE network = ? AND +state = 'posted' AND posted > ? AND {repeated}"
    rows = [outbox.get(post) for (post,) in outbox.ask(query, outbox.network, stamp(now - 2 * EVERY))]
    if not rows:
        return []
    tweets = network.timeline(min(row.look_from or row.created for row in rows) - timedelta(minutes=10), 300)
    known = outbox.remote_ids([tweet.id for tweet in tweets])
    others = {published(tweet.text): tweet.id for tweet in tweets if tweet.id not in known}
    return [(row, other) for row in rows if (other := others.get(published(row.text or "")))]


def recent(outbox: Outbox, now: datetime) -> list[Post]:
    """Return the posts whose figures are read, the newest first."""
    return outbox.posted_since(now - RECENT, MAX_POSTS)
