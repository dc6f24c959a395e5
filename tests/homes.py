"""Homes as they are found in life: what is in one at a moment, and what a kill leaves behind."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

_KILLED = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA journal_mode = TRUNCATE")
db.execute("PRAGMA cache_size = 1")  # so that changed pages reach the file before the commit
db.execute("BEGIN IMMEDIATE")
db.execute(sys.argv[2])
os._exit(9)
"""


def snapshot(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Return when each file and folder was changed, its permissions, and its bytes as a hash."""
    found = {}
    for path in (folder, *sorted(folder.rglob("*"))):
        status = path.stat()
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path)] = status.st_mtime_ns, status.st_mode, digest
    return found


def kill_within_a_transaction(path: Path, statement: str) -> None:
    """Leave a database as a process does that was killed while it wrote: half changed, a hot journal beside it."""
    subprocess.run([sys.executable, "-c", _KILLED, str(path), statement], check=False)
    assert path.with_name(f"{path.name}-journal").stat().st_size, "too little changed to reach the file"
