"""Cutting off a plugin's Python code that takes too long, with SIGALRM, which only a process's main thread can use."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_AGAIN = 0.1
"""Seconds between alarms: a plugin that catches one, with a bare `except`, gets the next."""


class TimeUp(BaseException):
    """Raised by the alarm; no Exception, so that a plugin does not catch it by accident."""


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise TimeUp in the block after `seconds`, and leave the process's alarm as it was; elsewhere do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    inside = True

    def ring(_signal: int, _frame: FrameType | None) -> None:
        if inside:
            raise TimeUp

    handler: Any = signal.signal(signal.SIGALRM, ring)
    start = time.monotonic()
    before = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        try:
            yield
        finally:
            inside = False
    except TimeUp:  # it can ring once more in that `finally`
        inside = False
        raise
    finally:
        left = max(before[0] - (time.monotonic() - start), 0.001) if before[0] else 0.0
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, left, before[1])
