"""One-time links and the sessions they open.

A link's token is 256 random bits. The home keeps only its SHA-256, as the name of a file, so that another process
(`biobot web --link`) can make one. Removing the file redeems the link, which only one request can do.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from biobot.storage import atomic_write, make_folder

LINK_LIFETIME = timedelta(minutes=10)
"""How long a link works."""

IDLE_TIMEOUT = timedelta(hours=2)
"""A session ends after so long without use."""

LIFETIME = timedelta(hours=12)
"""No session lasts longer, however busy."""

_MAX_SESSIONS = 50


def digest(secret: str) -> str:
    """Return the hash of a secret that is stored instead of it."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Links:
    """The unused links, in a folder that only its owner can read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, now: datetime) -> str:
        """Return the token of a new link, and remove expired ones."""
        make_folder(self.folder)
        for each in self.folder.glob("[!.]*"):
            if not _fresh(each, now):
                each.unlink(missing_ok=True)
        token = secrets.token_urlsafe(32)
        with atomic_write(self.folder / digest(token)) as file:
            file.write((now + LINK_LIFETIME).isoformat().encode())
        return token

    def redeem(self, token: str, now: datetime) -> bool:
        """Use a token up; return whether it was valid."""
        path = self.folder / digest(token)
        fresh = _fresh(path, now)
        try:
            path.unlink()
        except OSError:
            return False  # never made, expired, or another browser was faster
        return fresh


def _fresh(path: Path, now: datetime) -> bool:
    try:
        return now < datetime.fromisoformat(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return False


@dataclass
class Session:
    """One signed-in browser."""

    started: datetime
    last_used: datetime


class Sessions:
    """The signed-in browsers, in memory: a restart signs everyone out."""

    def __init__(self) -> None:
        self._open: dict[str, Session] = {}

    def open(self, now: datetime) -> str:
        """Start a session and return the secret for its cookie."""
        self._open = {key: each for key, each in self._open.items() if _alive(each, now)}
        while len(self._open) >= _MAX_SESSIONS:
            del self._open[min(self._open, key=lambda key: self._open[key].last_used)]
        secret = secrets.token_urlsafe(32)
        self._open[digest(secret)] = Session(now, now)
        return secret

    def check(self, secret: str, now: datetime, *, touch: bool) -> bool:
        """Return whether a cookie's session is alive; `touch` counts as use of it."""
        found = self._open.get(digest(secret))
        if found is None or not _alive(found, now):
            return False
        if touch:
            found.last_used = now
        return True

    def close(self, secret: str) -> None:
        """End a session."""
        self._open.pop(digest(secret), None)


def _alive(session: Session, now: datetime) -> bool:
    return now - session.last_used < IDLE_TIMEOUT and now - session.started < LIFETIME
