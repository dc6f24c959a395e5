"""`biobot train` in a process of its own, which the console starts, stops and looks at.

It outlives the console. How far it is stands in its record, as for a training that was started in a terminal.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from biobot.app.training_record import LOCK
from biobot.config import Config
from biobot.errors import BiobotError, LockHeld
from biobot.posting import locks
from biobot.storage import make_folder

LOG = "training.log"
"""What the process prints, in the console's folder of the home."""

PATIENCE = 30.0
"""Seconds in which a training begins or fails; importing torch takes some of them."""


def start(config: Config, words: Sequence[str]) -> None:
    """Start `biobot train` with these words; return once it has begun. Raises BiobotError with why it has not."""
    if holder := locks.holder(config.home, LOCK):
        raise LockHeld(f"{holder} is under way")
    file = ["--config", str(config.file)] if config.file else []
    command = [sys.executable, "-P", "-m", "biobot", *file, "--home", str(config.home), "train", *words]
    log = config.home / "web" / LOG
    make_folder(log.parent)
    with log.open("wb") as said:
        child = subprocess.Popen(
            command,
            cwd=config.folder,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,  # Ctrl-C of the console is not meant for it
        )
    threading.Thread(target=child.wait, daemon=True).start()  # or it would stay a zombie
    until = time.monotonic() + PATIENCE
    while child.poll() is None and time.monotonic() < until:
        if locks.holder_pid(config.home, LOCK) == child.pid:
            return
        time.sleep(0.05)
    if child.returncode:
        lines = log.read_text(errors="replace").strip().splitlines()
        raise BiobotError(lines[-1].removeprefix("biobot: ") if lines else "the training ended at once")


def stop(config: Config, *, at_once: bool = False) -> None:
    """End the training early, as Ctrl-C does: its best model is measured; `at_once`: it is not, and can be resumed."""
    pid = locks.holder_pid(config.home, LOCK)
    if pid is None:
        raise BiobotError("no training is under way")
    try:
        os.kill(pid, signal.SIGINT)
        until = time.monotonic() + PATIENCE
        while at_once and locks.holder_pid(config.home, LOCK) == pid and time.monotonic() < until:
            time.sleep(0.2)
            os.kill(pid, signal.SIGINT)
    except ProcessLookupError:
        return
    except PermissionError:
        raise BiobotError("the training belongs to another user: stop it where it was started") from None
