"""The judge: asks every filter about a candidate, keeps every objection, and never lets one pass by default.

A filter that raises, takes longer than `timeout`, or answers anything but a reason or None has objected. Python
code that hangs is cut off by an alarm (SIGALRM), which only the main thread of a process can set; elsewhere, and
in C code that never returns to Python, nothing in this process can stop it, and the process that judges must
have a deadline: `biobot.worker.server` gives its child one.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType
from typing import Any

from biobot.candidate import Candidate, KnownTexts, Objection, Verdict
from biobot.errors import PluginError
from biobot.filters.loader import Hook, Plugin, Plugins
from biobot.text import unicode_policy

_AGAIN = 0.1
"""Seconds between alarms: a filter that catches one, with a bare `except`, gets the next."""


class _TimeUp(BaseException):
    """Raised by the alarm; no Exception, so that a filter does not catch it by accident."""


class Judge:
    """Asks every plugin's filter, and adds up their scores."""

    def __init__(self, plugins: Plugins, seen: KnownTexts, timeout: timedelta) -> None:
        self._filters = tuple(plugins.with_hook("biobot_filter"))
        self._scores = tuple(plugins.with_hook("biobot_score"))
        self._seen = seen
        self._timeout = timeout.total_seconds()

    def judge(self, candidate: Candidate) -> Verdict:
        """Ask every filter about `candidate`; a text that is not well-formed is shown to none of them."""
        if problem := unicode_policy.problem(candidate.text):
            return Verdict(candidate, (Objection("wellformed", problem),))
        objections, seconds = [], []
        for plugin, hook in self._filters:
            start = time.perf_counter()
            reason = self._ask(plugin, hook, candidate)
            seconds.append((plugin.name, time.perf_counter() - start))
            if reason is not None:
                objections.append(Objection(plugin.name, reason))
        return Verdict(candidate, tuple(objections), tuple(seconds))

    @property
    def scores(self) -> bool:
        """Return whether any plugin scores: otherwise one candidate is as good as another."""
        return bool(self._scores)

    def score(self, candidate: Candidate) -> float:
        """Add up what the plugins think of `candidate`; raise PluginError if one does not answer a finite number."""
        total = 0.0
        for plugin, hook in self._scores:
            try:
                with _alarm(self._timeout):
                    total += _finite(hook(candidate=candidate, settings=plugin.settings))
            except (Exception, SystemExit, _TimeUp) as error:
                raise PluginError(f"the plugin {plugin.name} cannot score: {_say(error)}") from error
        return total

    def _ask(self, plugin: Plugin, hook: Hook, candidate: Candidate) -> str | None:
        start = time.perf_counter()
        try:
            with _alarm(self._timeout):
                answer = hook(candidate=candidate, settings=plugin.settings, seen=self._seen)
        except _TimeUp:
            return f"took longer than {self._timeout:g} s and was cut off"
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin is someone else's code
            return f"failed: {_say(error)}"
        if time.perf_counter() - start > self._timeout:
            return f"took longer than {self._timeout:g} s"
        if answer is None:
            return None
        if isinstance(answer, str):
            return answer.strip() or "gave no reason"
        return f"answered {type(answer).__name__}, not a reason or None"


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise _TimeUp in the block after `seconds`, and leave the process's alarm as it was."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    inside = True

    def ring(_signal: int, _frame: FrameType | None) -> None:
        if inside:
            raise _TimeUp

    handler: Any = signal.signal(signal.SIGALRM, ring)
    start = time.monotonic()
    before = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        try:
            yield
        finally:
            inside = False
    except _TimeUp:  # it can ring once more in that `finally`
        inside = False
        raise
    finally:
        left = max(before[0] - (time.monotonic() - start), 0.001) if before[0] else 0.0
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, left, before[1])


def _finite(score: Any) -> float:
    if not math.isfinite(number := float(score)):
        raise ValueError(f"{number} cannot be compared")
    return number


def _say(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
