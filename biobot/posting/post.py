"""A row of the outbox: its states, its columns, and how its times are written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal, Self

from biobot.errors import OutboxError

By = Literal["person", "policy"]
"""Who changed a row: somebody, or the bot by its settings."""


class State(StrEnum):
    """Where a row stands; `biobot.posting.transitions` has every way from one state to another."""

    HELD = "held"
    APPROVED = "approved"
    REJECTED = "rejected"
    SENDING = "sending"
    POSTED = "posted"
    UNCONFIRMED = "unconfirmed"
    FAILED = "failed"
    DELETED = "deleted"
    SKIPPED = "skipped"


PENDING = (State.HELD, State.APPROVED)
"""The states of a row that is still to be sent."""

ATTEMPTED = (State.SENDING, State.POSTED, State.UNCONFIRMED, State.DELETED)
"""The states of a row that is or was on the network, or may be."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A text that may become a row; `slot` is None for a manual post, and `origin` another network's row of it."""

    text: str
    slot: datetime | None = None
    temperature: float | None = None
    seed: int | None = None
    model: str | None = None
    controls: str = "{}"
    origin: int | None = None


@dataclass(frozen=True, slots=True)
class Post:
    """One row of the outbox as it is now; the migrations say what each column means."""

    id: int
    rev: int
    state: State
    text: str | None
    slot: datetime | None
    slot_released: bool
    network: str
    account: str
    temperature: float | None
    seed: int | None
    model: str | None
    controls: str
    created: datetime
    approved_by: By | None
    edited: bool
    reason: str | None
    not_before: datetime | None
    attempted: datetime | None
    in_doubt: bool
    look_from: datetime | None
    resends: int
    reconcile_misses: int
    posted: datetime | None
    remote_id: str | None
    missed: bool
    expired: datetime | None
    key: str | None
    request: str | None
    undone: datetime | None
    origin: int | None
    looked: datetime | None

    @classmethod
    def read(cls, row: Sequence[Any]) -> Self:
        """Read a row of `COLUMNS`; OutboxError for one that is damaged."""
        try:
            return cls(*(read(value) for read, value in zip(_READERS, row, strict=True)))
        except ValueError as error:
            raise OutboxError(f"{error}; restore a backup of the outbox") from None


@dataclass(frozen=True, slots=True)
class Audit:
    """One change of one row, or of the whole bot (`post` is None)."""

    post: int | None
    at: datetime
    was: str | None
    state: str
    by: str
    reason: str | None


def stamp(moment: datetime) -> str:
    """Write a time as the outbox keeps it: UTC, milliseconds, sorted like the times themselves."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def slot_key(slot: datetime) -> str:
    """Write a slot: UTC, whole seconds."""
    return f"{slot.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def moment(text: str) -> datetime:
    """Read what `stamp` or `slot_key` wrote; OutboxError for anything else."""
    with suppress(ValueError):
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found
    raise OutboxError(f"{text!r} stands where a time belongs; restore a backup of the outbox")


def _optional_moment(text: str | None) -> datetime | None:
    return None if text is None else moment(text)


COLUMNS = tuple(each.name for each in fields(Post))
_BY_TYPE: dict[str, Callable[[Any], Any]] = {
    "State": State,
    "bool": bool,
    "datetime": moment,
    "datetime | None": _optional_moment,
}
_READERS = tuple(_BY_TYPE.get(str(each.type), lambda value: value) for each in fields(Post))
