"""One-time links and the sessions they open.

A link's token is 256 random bits. The home keeps its SHA-256 only, as a file's name, so that another process
(`biobot web --link`) can make one; whoever removes the file has used the link, and only one can.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

LINK_LIFE = timedelta(minutes=10)
"""How long a link waits for its browser."""

IDLE = timedelta(hours=2)
"""A session that was not used for so long is over."""

LIFE = timedelta(hours=12)
"""No session lasts longer, however busy."""

_MOST = 50  # sessions at once: nobody has so many browsers


def digest(secret: str) -> str:
    """Return what is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Links:
    """The links that were given out and not used yet, in a folder that only its owner can enter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, now: datetime) -> str:
        """Make a token, and forget those that nobody came for."""
        self.folder.mkdir(exist_ok=True, mode=0o700)
        for each in self.folder.iterdir():
            if not _fresh(each, now):
                each.unlink(missing_ok=True)
        token = secrets.token_urlsafe(32)
        write_private(self.folder / digest(token), (now + LINK_LIFE).isoformat())
        return token

    def take(self, token: str, now: datetime) -> bool:
        """Use a token up; tell whether it was good."""
        path = self.folder / digest(token)
        fresh = _fresh(path, now)
        try:
            path.unlink()
        except OSError:
            return False  # never made, too old and swept, or another browser was faster
        return fresh


def _fresh(path: Path, now: datetime) -> bool:
    try:
        return now < datetime.fromisoformat(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return False


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody else can read, not even for a moment."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


@dataclass
class Session:
    """One signed-in browser."""

    began: datetime
    seen: datetime


class Sessions:
    """The signed-in browsers, in memory: a restart signs everyone out."""

    def __init__(self) -> None:
        self._open: dict[str, Session] = {}

    def open(self, now: datetime) -> str:
        """Begin a session; give the secret for its cookie."""
        self._open = {key: each for key, each in self._open.items() if _alive(each, now)}
        while len(self._open) >= _MOST:
            del self._open[min(self._open, key=lambda key: self._open[key].seen)]
        secret = secrets.token_urlsafe(32)
        self._open[digest(secret)] = Session(now, now)
        return secret

    def check(self, secret: str, now: datetime, *, touch: bool) -> bool:
        """Return whether a cookie's session is alive; with `touch` its owner is there and its idle time begins anew."""
        found = self._open.get(digest(secret))
        if found is None or not _alive(found, now):
            return False
        if touch:
            found.seen = now
        return True

    def close(self, secret: str) -> None:
        """End a session."""
        self._open.pop(digest(secret), None)


def _alive(session: Session, now: datetime) -> bool:
    return now - session.seen < IDLE and now - session.began < LIFE
