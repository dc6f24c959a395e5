"""X's API as biobot uses it: the only module that knows tweepy.

Posting, deleting and reading the own timeline authenticate as the account (OAuth 1.0a), collecting as the app (bearer
token). tweepy provides routes and signatures; addresses, deadlines and errors are those of `biobot.networks.x.session`,
so a method raises only Unsent, Refused and Unknown (`biobot.networks.errors`), and SecretsError for a missing key.
Nothing is retried here, and nothing waits.
"""

from __future__ import annotations

import html
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import requests
import tweepy

from biobot.networks.errors import Unknown, classify_failure, moment
from biobot.networks.network import Account, Engagement, Network, Opening, Timeline, Tweet
from biobot.networks.secrets import COLLECTING, POSTING, PREFIX, Secrets, of_x
from biobot.networks.session import Clock
from biobot.networks.x import MAX_LENGTH
from biobot.networks.x.session import Session
from biobot.settings import XSettings
from biobot.text.length import weighted_length

PEOPLE = ["description", "entities", "protected", "withheld"]
"""The fields of a user that are asked for, besides id, name and username."""


@dataclass(frozen=True, slots=True)
class Person:
    """A user and their bio, links written out; `withheld` in some country, which X's terms make us respect."""

    id: str
    handle: str
    bio: str
    protected: bool = False
    withheld: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of a collecting call.

    `next` asks for the page after this one (None: there is none); `errors` are X's problems with single users
    (suspended, not found), each with `resource_id` or `value`; `headers` have lower-case names; `posts` counts
    the posts that came along and are paid for as such.
    """

    people: tuple[Person, ...]
    next: str | None = None
    errors: tuple[Mapping[str, Any], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    posts: int = 0


class XClient(Network):
    """One account on X, or on a server with X's API at `api_base`.

    `timeout` bounds each call, and `stop` is set when the process is to stop. `clock` dates the signatures;
    without one it is the machine's clock.
    """

    name = "x"
    title = "X"
    settings = XSettings
    secrets = tuple(PREFIX + name.upper() for name in POSTING)
    max_length = MAX_LENGTH
    counts = False
    """Whether likes are read: each post read costs money."""

    @classmethod
    def open(cls, opening: Opening) -> Self:
        """Open the account whose keys these are."""
        x = opening.settings
        network = cls(of_x(opening.secrets), x.api_base, x.timeout, opening.clock, opening.stop)
        network.counts = x.engagement == "on"
        return network

    def __init__(
        self,
        secrets: Secrets,
        api_base: str,
        timeout: timedelta,
        clock: Clock | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._secrets = secrets
        self.session = Session(api_base, timeout, clock, stop)
        self._tweepy = tweepy.Client(
            bearer_token=secrets.bearer_token,
            consumer_key=secrets.api_key,
            consumer_secret=secrets.api_secret,
            access_token=secrets.access_token,
            access_token_secret=secrets.access_secret,
            return_type=requests.Response,
        )
        self._tweepy.session = self.session
        self._me: Account | None = None

    @property
    def clock_offset(self) -> timedelta | None:
        """How far X's clock is ahead of this machine's, by the Date of its last answer."""
        return self.session.clock_offset

    def length(self, text: str) -> int:
        """Return the weighted length of `text`."""
        return weighted_length(text)

    # -- as the account ------------------------------------------------------------------------------

    def post(self, request: str, key: str = "") -> str:  # noqa: ARG002 - X knows no key
        """Post a text and return its id. Unknown means that it may be on the account: look before trying again."""
        data = self._data(self._as_account(self._tweepy.create_tweet, text=request))
        return _id(data, "the new post")

    def timeline(self, since: datetime, limit: int = 20) -> list[Tweet]:
        """Read the own posts made since then, newest first, at most `limit` of them."""
        tweets: list[Tweet] = []
        token = None
        for _ in range(limit // 50 + 20):  # pages may come short, or empty
            document = self._as_account(
                self._tweepy.get_users_tweets,
                id=self.me().id,
                start_time=since.astimezone(UTC),
                max_results=min(max(limit - len(tweets), 5), 100),
                tweet_fields=["created_at", "entities", "note_tweet"],
                pagination_token=token,
            )
            tweets += [_tweet(each) for each in _listed(document, "data")]
            token = _meta(document).get("next_token")
            if not token or len(tweets) >= limit:
                return Timeline(tweets[:limit], since)
        raise Unknown("X does not come to an end of the timeline")

    def engagement(self, ids: Sequence[str]) -> Mapping[str, Engagement]:
        """Return likes, reposts and replies of at most 100 own posts; nothing unless `x.engagement` is "on"."""
        if not self.counts or not ids:
            return {}
        document = self._as_account(self._tweepy.get_tweets, list(ids)[:100], tweet_fields=["public_metrics"])
        return {_id(each, "a post"): _engagement(each.get("public_metrics")) for each in _listed(document, "data")}

    def delete(self, id: str) -> None:  # noqa: A002 - X's own word
        """Delete one of the own posts; Refused with NOT_FOUND when it is no longer there."""
        if self._data(self._as_account(self._tweepy.delete_tweet, id)).get("deleted") is not True:
            raise Unknown(f"X did not say that post {id} is deleted; look at the account")

    def me(self) -> Account:
        """Return whose keys these are: asked once, then remembered."""
        if self._me is None:
            data = self._data(self._as_account(self._tweepy.get_me))
            access = self.session.answered.get("x-access-level", "")
            self._me = Account(_id(data, "the account"), str(data.get("username") or ""), access)
        return self._me

    # -- as the app ----------------------------------------------------------------------------------

    def users(self, ids: Sequence[str]) -> Page:
        """Look up at most 100 users by id."""
        return self._page(self._tweepy.get_users, ids=list(ids))

    def users_named(self, handles: Sequence[str]) -> Page:
        """Look up at most 100 users by handle, without the @."""
        return self._page(self._tweepy.get_users, usernames=list(handles))

    def followers(self, id: str, token: str | None = None, size: int = 1000) -> Page:  # noqa: A002
        """Read `size` of a user's followers, 1,000 at most, from where `token` says."""
        return self._page(self._tweepy.get_users_followers, id=id, max_results=size, pagination_token=token)

    def following(self, id: str, token: str | None = None, size: int = 1000) -> Page:  # noqa: A002
        """Read `size` of those whom a user follows, 1,000 at most, from where `token` says."""
        return self._page(self._tweepy.get_users_following, id=id, max_results=size, pagination_token=token)

    def list_members(self, id: str, token: str | None = None, size: int = 100) -> Page:  # noqa: A002
        """Read `size` members of a list, 100 at most, from where `token` says."""
        return self._page(self._tweepy.get_list_members, id=id, max_results=size, pagination_token=token)

    def search(self, query: str, token: str | None = None, size: int = 100) -> Page:
        """Read the authors of `size` (10 to 100) posts of the last week that match `query`, from where `token` says."""
        return self._page(
            self._tweepy.search_recent_tweets,
            query=query,
            max_results=size,
            next_token=token,
            expansions=["author_id"],
        )

    def close(self) -> None:
        """Close the connections that are kept."""
        self.session.close()

    # -- one call ------------------------------------------------------------------------------------

    def _as_account(self, method: Callable[..., requests.Response], *given: Any, **named: Any) -> dict[str, Any]:
        self._secrets.require(*POSTING)
        return self._call(method, *given, user_auth=True, **named)

    def _page(self, method: Callable[..., requests.Response], **named: Any) -> Page:
        self._secrets.require(*COLLECTING)
        document = self._call(method, user_auth=False, user_fields=PEOPLE, **named)
        found = _listed(document, "data")
        searched = "expansions" in named
        people = _listed(document.get("includes"), "users") if searched else found
        token = _meta(document).get("next_token")
        return Page(
            people=tuple(_person(each) for each in people),
            next=token if isinstance(token, str) and token else None,
            errors=tuple(_listed(document, "errors")),
            headers=dict(self.session.answered),
            posts=len(found) if searched else 0,
        )

    def _call(self, method: Callable[..., requests.Response], *given: Any, **named: Any) -> dict[str, Any]:
        """Make one call through tweepy and return the answer's JSON object; anything else is Unknown."""
        self.session.begun = False
        try:
            response = method(*given, **named)
        except Exception as error:  # tweepy lets anything through; all of it is sorted
            raise classify_failure(error, self.session.begun) from error
        return self.session.document(response)

    @staticmethod
    def _data(document: dict[str, Any]) -> dict[str, Any]:
        data = document.get("data")
        return data if isinstance(data, dict) else {}


def readable(text: str, entities: Any) -> str:
    """Write out the t.co links that `entities` explain, and undo the escapes of &, < and >."""
    for link in _listed(entities, "urls"):
        short, full = link.get("url"), link.get("expanded_url")
        if isinstance(short, str) and short and isinstance(full, str) and full:
            text = text.replace(short, full)
    return html.unescape(text) if "&" in text else text


def _tweet(data: Mapping[str, Any]) -> Tweet:
    note = data.get("note_tweet")
    whole = note if isinstance(note, dict) and note.get("text") else data
    return Tweet(
        _id(data, "a post"),
        readable(str(whole.get("text") or ""), whole.get("entities")),
        moment(data.get("created_at")),
    )


def _engagement(metrics: Any) -> Engagement:
    counts = metrics if isinstance(metrics, dict) else {}
    likes, retweets, quotes, replies = (
        count if isinstance(count := counts.get(f"{name}_count"), int) else 0
        for name in ("like", "retweet", "quote", "reply")
    )
    return Engagement(likes, retweets + quotes, replies)


def _person(data: Mapping[str, Any]) -> Person:
    entities = data.get("entities")
    bio = readable(
        str(data.get("description") or ""), entities.get("description") if isinstance(entities, dict) else None
    )
    return Person(
        _id(data, "a user"),
        str(data.get("username") or ""),
        bio,
        protected=bool(data.get("protected")),
        withheld=bool(data.get("withheld")),
    )


def _id(data: Mapping[str, Any], what: str) -> str:
    """Read an id; an answer without one proves nothing, whatever its status."""
    found = data.get("id")
    text = str(found) if isinstance(found, str | int) else ""
    if not (text.isascii() and text.isdigit()):
        raise Unknown(f"X answered without the id of {what}; it may have been done")
    return text


def _listed(document: Any, key: str) -> list[dict[str, Any]]:
    found = document.get(key) if isinstance(document, dict) else None
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _meta(document: Mapping[str, Any]) -> Mapping[str, Any]:
    meta = document.get("meta")
    return meta if isinstance(meta, dict) else {}
