"""The locks of a home: `daemon.lock` for the life of `run`, and a network's `post-NETWORK.lock` around each post there.

The kernel holds them (flock), so they end with their process, however it ends. The file names the holder, for
messages only.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from biobot.errors import LockHeld, OutboxError
from biobot.storage import make_folder
from biobot.text.humanize import when

DAEMON = "daemon.lock"

_POLL = 0.05
_MIN_TIMEOUT = timedelta(seconds=0.5)
"""`holder` takes a lock for an instant to see whether it is free; nobody should fail because of that."""


def post(network: str) -> str:
    """Return the name of the lock around each post on a network: one that hangs keeps nobody from another."""
    return f"post-{network}.lock"


@contextmanager
def lock(home: Path, name: str, who: str, now: datetime, timeout: timedelta = _MIN_TIMEOUT) -> Iterator[None]:
    """Hold a lock of this home; raise LockHeld, naming its holder, if it is not free within `timeout`."""
    path = home / name
    try:
        make_folder(home)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise OutboxError(f"cannot write {path}: {error.strerror}; fix its mode, or use another --home") from None
    try:
        deadline = time.monotonic() + timeout.total_seconds()
        while not _try(handle, fcntl.LOCK_EX):
            if time.monotonic() >= deadline:
                raise LockHeld(f"{_read(handle) or 'another process'} holds {path}; wait for it, or stop it")
            time.sleep(_POLL)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{who} (pid {os.getpid()}, since {when(now)})".encode(), 0)
        yield
    finally:
        os.close(handle)  # F19: this releases the lock, whatever was raised


def holder(home: Path, name: str) -> str | None:
    """Return who holds a lock, or None; writes nothing."""
    try:
        handle = os.open(home / name, os.O_RDONLY)
    except OSError:
        return None
    try:
        return None if _try(handle, fcntl.LOCK_SH) else _read(handle) or "another process"
    finally:
        os.close(handle)


def holder_pid(home: Path, name: str) -> int | None:
    """Return the process that holds a lock; None where nobody does, or does not say so."""
    found = re.search(r"\(pid (\d+),", holder(home, name) or "")
    return int(found[1]) if found else None


def _try(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(handle: int) -> str:
    return os.pread(handle, 200, 0).decode(errors="replace")
