"""The interface to a network: one account that can post, be read and delete. Plugins can add networks.

A subclass of `Network` is what the hook `biobot_network` returns; docs/plugins.md shows a whole one.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Self

from biobot.networks.errors import Kind, Refused
from biobot.text import graphemes
from biobot.text.humanize import counted

FOR_EVER = timedelta.max
"""`Network.key_lasts` where a key never expires: a call repeated in a month still does nothing twice."""


@dataclass(frozen=True, slots=True)
class Account:
    """The account that the keys belong to; `access` is what they allow ("read", "read-write"), "" if not said."""

    id: str
    handle: str
    access: str = ""


@dataclass(frozen=True, slots=True)
class Tweet:
    """A post on the timeline, as a person reads it: links written out, HTML's escapes undone."""

    id: str
    text: str
    created: datetime | None


class Timeline(list[Tweet]):
    """Own posts, newest first; `reaches`: all that were made after then are among them. None: that is not known.

    Only where it is known how far a timeline reaches does it prove that a post is not there.
    """

    def __init__(self, posts: Iterable[Tweet] = (), reaches: datetime | None = None) -> None:
        super().__init__(posts)
        self.reaches = reaches


@dataclass(frozen=True, slots=True)
class Engagement:
    """What people did with a post."""

    likes: int = 0
    reposts: int = 0
    replies: int = 0


@dataclass(frozen=True, slots=True)
class NoSettings:
    """The settings of a network that has no table in biobot.toml."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What a network is opened with.

    `settings` is an instance of the network's `settings`, and `secrets` has a value for each name in its `secrets`,
    "" where it is missing. Files of its own belong into `home`. `clock` returns the time. `stop` is set when the
    process is to stop: from then on a post under way gets `biobot.networks.watchdog.GRACE` for its answer, and every
    other call ends at once.
    """

    settings: Any
    secrets: Mapping[str, str]
    home: Path
    clock: Callable[[], datetime]
    stop: threading.Event = field(default_factory=threading.Event)


class Network(ABC):
    """One account on a network; every method raises the errors of `biobot.networks.errors`.

    A subclass sets what differs from the defaults here: `name`, as `post.network` has it; `title`, what people call
    the network; `settings`, the frozen dataclass of its table `[NAME]` in biobot.toml; `secrets`, the environment
    variables it needs (their values come from `.env` too); and `max_length` by `length`.

    `key_lasts` says what the key of a post is worth. None: nothing, so that a post of unknown fate is only looked for.
    A duration: so long after the first attempt the same call can be made again, once the post was looked for.
    `FOR_EVER`: the same call can always be made again, and is the way to settle what became of the first.
    """

    name: ClassVar[str]
    title: ClassVar[str] = ""
    settings: ClassVar[type] = NoSettings
    secrets: ClassVar[tuple[str, ...]] = ()
    max_length: int = 500
    key_lasts: timedelta | None = None

    @property
    def clock_offset(self) -> timedelta | None:
        """How far the network's clock is ahead of this machine's, by its last answer; None before it told."""
        return None

    @classmethod
    def open(cls, opening: Opening) -> Self:
        """Open the network without making a call."""
        return cls(opening)  # type: ignore[call-arg]

    # -- before a post: no calls ---------------------------------------------------------------------

    def length(self, text: str) -> int:
        """Return the length of `text` as the network counts it: by default in graphemes.

        Where the code points fit, so do the graphemes, and their tables need not be loaded to tell.
        """
        return len(text) if len(text) <= self.max_length else sum(1 for _ in graphemes.split(text))

    def objection(self, text: str) -> str | None:
        """Return why the network would not take `text`; None if it would."""
        length = self.length(text)
        if length > self.max_length:
            return f"too long for {self.title or self.name}: {length} of {counted(self.max_length, 'character')}"
        return None

    def make_key(self, text: str, row: int, slot: datetime, now: datetime) -> str:  # noqa: ARG002
        """Return the key of a post; it is kept in the outbox before the first call.

        `row` is the post's number there, and `slot` its slot, for a manual post the time when it was written.
        """
        return ""

    def compose(self, text: str, now: datetime) -> str:  # noqa: ARG002
        """Return the request that posts `text`, whole; kept in the outbox with the key, for every repetition."""
        return text

    # -- calls ---------------------------------------------------------------------------------------

    @abstractmethod
    def me(self) -> Account:
        """Return which account the secrets belong to."""

    @abstractmethod
    def post(self, request: str, key: str = "") -> str:
        """Post what `compose` made (by default, the text) under what `make_key` made; return the post's id."""

    @abstractmethod
    def timeline(self, since: datetime, limit: int = 20) -> list[Tweet]:
        """Return the account's own posts made since then by the network's clock, newest first, at most `limit`.

        Read page after page until `since` is passed or `limit` is reached, and return `Timeline(posts, since)`: it
        promises that no post made since then is missing, but for those beyond the limit. A plain list promises
        nothing, so that a post which is not on it may be there. Raise what keeps the pages from being read.
        """

    @abstractmethod
    def delete(self, id: str) -> None:  # noqa: A002
        """Delete one of the own posts; Refused with Kind.NOT_FOUND when it is gone already."""

    def engagement(self, ids: Sequence[str]) -> Mapping[str, Engagement]:  # noqa: ARG002
        """Return what people did with own posts, by id; those that are gone, or not to be read, are left out."""
        return {}

    def check(self) -> Iterator[str]:
        """Yield a sentence on the account and on each of its limits; raise NetworkError if it cannot post."""
        account = self.me()
        if account.access == "read":
            raise Refused(
                Kind.READ_ONLY,
                403,
                f"@{account.handle}: the keys may only read",
                title=self.title or self.name,
                remedy='set the app to "Read and write", and make new keys',
            )
        yield f"@{account.handle} ({account.id}){', may read and write' if account.access else ''}"
        yield f"a post may have {counted(self.max_length, 'character')}"

    def label(self) -> str:
        """Mark the account as a bot's where the network has a mark for it; return what was done, in a sentence."""
        return f"{self.title or self.name} has no mark for bots; say in the profile that the account is one"

    def close(self) -> None:  # noqa: B027
        """Close connections, threads and files."""
