"""Where posts go: X, the built-in fake X, or standard output, behind one Protocol."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from biobot.config import Config
from biobot.networks.secrets import load
from biobot.networks.x.client import Account, Tweet, XClient

if TYPE_CHECKING:
    from biobot.rehearsal.server import FakeX

Clock = Callable[[], datetime]

__all__ = ["Account", "Network", "Rehearsal", "Stdout", "Tweet", "X", "open_network"]


class Network(Protocol):
    """A place for posts; every method raises the errors of `biobot.networks.errors`; `close` releases its resources."""

    name: str

    def post(self, text: str) -> str:
        """Post `text` and give its id there."""
        ...

    def timeline(self, since: datetime, limit: int = 20) -> list[Tweet]:
        """Read the account's own posts made since then, newest first, at most `limit`."""
        ...

    def delete(self, id: str) -> None:  # noqa: A002
        """Delete one of the own posts; Refused with Kind.NOT_FOUND when it is gone already."""
        ...

    def me(self) -> Account:
        """Return which account the keys belong to."""
        ...

    def close(self) -> None:
        """Let go of connections, threads and files."""
        ...


class X(XClient):
    """X itself."""

    name = "x"


class Rehearsal(XClient):
    """The built-in fake X, run in a thread on loopback and reached over HTTP like the real one.

    Its timeline lies in `home/rehearsal.db`: it outlives restarts, and every process of this bot sees it.
    """

    name = "rehearsal"

    def __init__(self, fake: FakeX, timeout: timedelta) -> None:
        self.fake = fake.start()
        super().__init__(fake.keys, fake.address, timeout, fake.clock)

    def close(self) -> None:
        """Stop the fake."""
        super().close()
        self.fake.stop()


class Stdout:
    """Prints instead of posting; keeps no timeline, so nothing can be found there again."""

    name = "stdout"

    def __init__(self) -> None:
        self._printed = 0

    def post(self, text: str) -> str:
        """Print `text`."""
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
        self._printed += 1
        return str(self._printed)

    def timeline(self, since: datetime, limit: int = 20) -> list[Tweet]:  # noqa: ARG002
        """Return nothing."""
        return []

    def delete(self, id: str) -> None:  # noqa: A002
        """Do nothing: what is printed is printed."""

    def me(self) -> Account:
        """Return the account that standard output is."""
        return Account("0", "stdout")

    def close(self) -> None:
        """Do nothing."""


def open_network(config: Config, clock: Clock | None = None) -> Network:
    """Open the network that `post.network` names.

    `clock` dates signatures, and is the fake X's time; without one both read the machine's.
    Raises SecretsError when X's keys lie where others can read them; missing ones are noticed at the first call.
    """
    settings = config.settings
    match settings.post.network:
        case "x":
            return X(load(config), settings.x.api_base, settings.x.timeout, clock)
        case "stdout":
            return Stdout()
        case "rehearsal":
            from biobot.rehearsal.server import FakeX

            config.home.mkdir(parents=True, exist_ok=True)
            fake = FakeX(clock or _now, config.home / "rehearsal.db")
            return Rehearsal(fake, settings.x.timeout)


def _now() -> datetime:
    return datetime.now(UTC)
