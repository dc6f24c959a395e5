"""What a network is to the bot: one account that can post, be read, and delete."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


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


class Network(Protocol):
    """A place for posts; every method raises the errors of `biobot.networks.errors`.

    A network is opened with the event that is set when the process shall end. From then on a post under way
    gets `biobot.networks.watchdog.GRACE` for its answer, and every other call ends at once.
    """

    name: str

    @property
    def clock_offset(self) -> timedelta | None:
        """How far the network's clock is ahead of this machine's, by its last answer; None before it told."""
        ...

    def post(self, text: str) -> str:
        """Post `text` and return its id there."""
        ...

    def timeline(self, since: datetime, limit: int = 20) -> list[Tweet]:
        """Return the account's own posts made since then by the network's clock, newest first, at most `limit`."""
        ...

    def delete(self, id: str) -> None:  # noqa: A002
        """Delete one of the own posts; Refused with Kind.NOT_FOUND when it is gone already."""
        ...

    def me(self) -> Account:
        """Return which account the keys belong to."""
        ...

    def close(self) -> None:
        """Close connections, threads and files."""
        ...
