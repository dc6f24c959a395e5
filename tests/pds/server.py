"""A real PDS on loopback, run by node, and the levers that its administrator has."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

HERE = Path(__file__).parent
NODE = shutil.which("node") or ""
_numbers = itertools.count(1)


def missing() -> str:
    """Return what keeps a real PDS from running here; "" when nothing does."""
    if not NODE:
        return "node is not installed"
    if not (HERE / "node_modules" / "better-sqlite3" / "build" / "Release" / "better_sqlite3.node").is_file():
        return "the PDS is not installed: make pds"
    return ""


@dataclass(frozen=True)
class TestAccount:
    """An account made for one test."""

    __test__ = False
    did: str
    handle: str
    password: str
    app_password: str


class Pds:
    """A PDS with an empty folder; `limits` turns its rate limits on."""

    def __init__(self, folder: Path, *, limits: bool = False) -> None:
        self.admin, self.secret = "admin", secrets.token_hex(16)
        given = {"PDS_FOLDER": str(folder), "PDS_ADMIN": self.admin, "PDS_JWT_SECRET": self.secret}
        folder.mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(
            [NODE, "pds.cjs"],
            cwd=HERE,
            env=os.environ | given | {"PDS_LIMITS": "yes" if limits else ""},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith('{"url"'):
                self.address: str = json.loads(line)["url"]
                return
        raise AssertionError("the PDS did not start")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()

    def account(self) -> TestAccount:
        """Make an account with an app password."""
        handle, password = f"jester{next(_numbers)}-{secrets.token_hex(3)}.test", "main-password"
        made = self.call(
            "server.createAccount", {"handle": handle, "email": f"{handle}@example.test", "password": password}
        )
        app = self.call("server.createAppPassword", {"name": "biobot"}, made["accessJwt"])
        return TestAccount(made["did"], handle, password, app["password"])

    def call(self, method: str, body: Any, token: str = "") -> Any:
        """Make a call; those of `admin` are the administrator's."""
        who = {"Authorization": f"Bearer {token}"} if token else None
        answer = requests.post(
            f"{self.address}/xrpc/com.atproto.{method}",
            json=body,
            headers=who,
            auth=("admin", self.admin) if method.startswith("admin.") else None,
            timeout=30,
        )
        assert answer.ok, answer.text
        return answer.json() if answer.content else {}

    def take_down(self, did: str) -> None:
        """Take an account down, as moderators do."""
        subject = {"$type": "com.atproto.admin.defs#repoRef", "did": did}
        self.call("admin.updateSubjectStatus", {"subject": subject, "takedown": {"applied": True, "ref": "1"}})

    def deactivate(self, did: str) -> None:
        """Deactivate an account."""
        subject = {"$type": "com.atproto.admin.defs#repoRef", "did": did}
        self.call("admin.updateSubjectStatus", {"subject": subject, "deactivated": {"applied": True}})

    def delete_account(self, did: str) -> None:
        """Delete an account."""
        self.call("admin.deleteAccount", {"did": did})

    def expired(self, token: str) -> str:
        """Return a token as it will be when its time is over."""
        return sign(token, self.secret, iat=1, exp=2)

    def records(self, did: str, collection: str = "app.bsky.feed.post") -> list[dict[str, Any]]:
        """Return every record of an account, newest first."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            params: dict[str, Any] = {"repo": did, "collection": collection, "limit": 100, "cursor": cursor}
            page = requests.get(f"{self.address}/xrpc/com.atproto.repo.listRecords", params=params, timeout=30).json()
            found += page["records"]
            cursor = page.get("cursor") or ""
            if not cursor or len(page["records"]) < 100:
                return found


def sign(token: str, secret: str, **claims: Any) -> str:
    """Return a token (HS256) with other claims."""
    head, payload, _ = token.split(".")
    kept = json.loads(base64.urlsafe_b64decode(payload + "=="))
    body = f"{head}.{_plain(json.dumps({**kept, **claims}).encode())}"
    return f"{body}.{_plain(hmac.new(secret.encode(), body.encode(), hashlib.sha256).digest())}"


def _plain(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
