"""Two servers with an account on Bluesky behind one set of levers: biobot's fake, and a real PDS."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from biobot.networks.bluesky.client import Bluesky
from biobot.networks.network import Opening
from biobot.rehearsal.bluesky import DID, HANDLE, PASSWORD, FakeBluesky
from biobot.settings import BlueskySettings
from biobot.text.language import language
from tests.pds.server import Pds, TestAccount

language("the cat and the dog")  # loads the model here, so that no text of the tests needs a process of its own


class Host(ABC):
    """An account on a server, and what its administrator can do to it."""

    address: str
    account: TestAccount

    def client(self, home: Path, *, password: str = "", seconds: float = 5, address: str = "") -> Bluesky:
        """Open the account, as the program would in a process of its own."""
        settings = BlueskySettings(address or self.address, timedelta(seconds=seconds))
        secrets = {
            "BIOBOT_BLUESKY_HANDLE": self.account.handle,
            "BIOBOT_BLUESKY_APP_PASSWORD": password or self.account.app_password,
        }
        return Bluesky.open(Opening(settings, secrets, home, self.now))

    def now(self) -> datetime:
        return datetime.now(UTC)

    def expire(self, home: Path) -> None:
        """Let the access token that is kept in a home be over its time."""
        file = home / "bluesky.json"
        tokens = json.loads(file.read_text())
        file.write_text(json.dumps(tokens | {"accessJwt": self.expired(tokens["accessJwt"])}))

    @abstractmethod
    def expired(self, token: str) -> str: ...

    @abstractmethod
    def revoke(self, home: Path) -> None:
        """Revoke the refresh token that is kept in a home."""

    @abstractmethod
    def records(self) -> list[dict[str, Any]]:
        """Return every post of the account, newest first."""

    @abstractmethod
    def profile(self) -> dict[str, Any]: ...

    @abstractmethod
    def set_status(self, status: str) -> None:
        """Make the account takendown, deactivated or deleted."""


class FakeHost(Host):
    def __init__(self, file: Path | None = None) -> None:
        self.fake = FakeBluesky(self.now, file).start()
        self.address = self.fake.address
        self.account = TestAccount(DID, HANDLE, "", PASSWORD)

    def expired(self, token: str) -> str:
        return f"access.{int(token.partition('.')[2]) - 7201}"

    def revoke(self, home: Path) -> None:
        self.fake.revoke()

    def records(self) -> list[dict[str, Any]]:
        posts = (post for post in self.fake.posts() if not post.deleted)
        return [
            {"uri": post.id, **self.fake.state.recall("record", post.id.removeprefix(f"at://{DID}/"))} for post in posts
        ]

    def profile(self) -> dict[str, Any]:
        found: dict[str, Any] = self.fake.state.recall("record", "app.bsky.actor.profile/self")["value"]
        return found

    def set_status(self, status: str) -> None:
        self.fake.status = status  # type: ignore[assignment]


class PdsHost(Host):
    def __init__(self, pds: Pds) -> None:
        self.pds, self.address, self.account = pds, pds.address, pds.account()

    def expired(self, token: str) -> str:
        return self.pds.expired(token)

    def revoke(self, home: Path) -> None:
        tokens = json.loads((home / "bluesky.json").read_text())
        self.pds.call("server.deleteSession", None, tokens["refreshJwt"])

    def records(self) -> list[dict[str, Any]]:
        return self.pds.records(self.account.did)

    def profile(self) -> dict[str, Any]:
        (found,) = self.pds.records(self.account.did, "app.bsky.actor.profile")
        value: dict[str, Any] = found["value"]
        return value

    def set_status(self, status: str) -> None:
        {"takendown": self.pds.take_down, "deactivated": self.pds.deactivate, "deleted": self.pds.delete_account}[
            status
        ](self.account.did)
