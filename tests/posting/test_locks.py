"""The locks: one holder, whose name the others are told, and never held by the dead."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from biobot.errors import LockHeld
from biobot.posting import locks

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
NONE = timedelta(0)


def test_the_second_is_told_who_holds_it(home: Path) -> None:
    with locks.lock(home, locks.post("x"), "`biobot post`", NOW):
        said = rf"`biobot post` \(pid {os.getpid()}, since 2026-11-22 18:00:00 UTC\)"
        with pytest.raises(LockHeld, match=said), locks.lock(home, locks.post("x"), "another", NOW, NONE):
            raise AssertionError("two holders")
        assert "`biobot post`" in (locks.holder(home, locks.post("x")) or "")
    assert locks.holder(home, locks.post("x")) is None


def test_f19_an_exception_never_leaves_a_lock_held(home: Path) -> None:
    with pytest.raises(ZeroDivisionError), locks.lock(home, locks.post("x"), "one", NOW):
        raise ZeroDivisionError
    with locks.lock(home, locks.post("x"), "two", NOW, NONE):
        pass


def test_a_killed_process_holds_no_lock(home: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from datetime import datetime, UTC; from biobot.posting import locks\n"
        f"with locks.lock(Path({str(home)!r}), locks.DAEMON, 'the daemon', datetime.now(UTC)):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    assert f"pid {process.pid}" in (locks.holder(home, locks.DAEMON) or "")
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()
    assert locks.holder(home, locks.DAEMON) is None


def test_looking_makes_no_file(home: Path) -> None:
    assert locks.holder(home, locks.DAEMON) is None
    assert list(home.iterdir()) == []
