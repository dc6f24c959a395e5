"""The judge: asks every filter about a candidate, keeps every objection, and accepts nothing by default.

A filter that raises, takes longer than `timeout`, or returns anything but a reason or None has objected. Python
code that hangs is cut off by an alarm (SIGALRM), which only the main thread of a process can set. Elsewhere, and
in C code that never returns to Python, nothing inside the process can stop it: the process that judges must have a
deadline, as a worker has.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from biobot.candidate import Candidate, KnownTexts, Objection, Verdict
from biobot.errors import PluginError, say
from biobot.filters import output
from biobot.filters.alarm import TimeUp, alarm
from biobot.filters.loader import Hook, Plugin, Plugins
from biobot.text import unicode_policy
from biobot.text.terminal import clean

MAX_REASON = 500
"""Characters that are kept of a plugin's reason."""


class Judge:
    """Asks every plugin's filter, and adds up the scores of taste and plugins."""

    def __init__(
        self,
        plugins: Plugins,
        known: KnownTexts,
        timeout: timedelta,
        taste: Callable[[Candidate], float] | None = None,
        networks: Mapping[str, Callable[[str], str | None]] = MappingProxyType({}),
    ) -> None:
        """Ask these plugins; `taste` returns what a candidate is worth to this bot's owner.

        `networks` says of each network that is posted to why it would not take a text: one at least must take it.
        """
        self._networks = networks
        self._filters = tuple(plugins.with_hook("biobot_filter"))
        self._scorers = tuple(plugins.with_hook("biobot_score"))
        self.known = known
        self._timeout = timeout.total_seconds()
        self._taste = taste

    def judge(self, candidate: Candidate) -> Verdict:
        """Ask every filter about `candidate`; a text that is not well-formed is shown to none of them."""
        if problem := unicode_policy.problem(candidate.text):
            return Verdict(candidate, (Objection("wellformed", problem),))
        objections, seconds = [], []
        facts = [getattr(candidate, each.name) for each in fields(candidate)]
        with output.diverted():
            for plugin, hook in self._filters:
                start = time.perf_counter()
                # each gets a copy: whatever it does to that, the others judge the text that is posted
                reason, failed = self._ask(plugin, hook, Candidate(*facts))
                seconds.append((plugin.name, time.perf_counter() - start))
                if reason is not None:
                    objections.append(Objection(plugin.name, _printable(reason), failed))
        # a text that is refused goes nowhere: no network is asked about it
        answers = {} if objections else {name: fits(candidate.text) for name, fits in self._networks.items()}
        misfits = tuple(Objection(name, _printable(reason)) for name, reason in answers.items() if reason)
        if misfits and len(misfits) == len(self._networks):
            objections, misfits = list(misfits), ()
        return Verdict(candidate, tuple(objections), tuple(seconds), misfits=misfits)

    @property
    def scores(self) -> bool:
        """Return whether anything scores: otherwise one candidate is as good as another."""
        return bool(self._scorers) or self._taste is not None

    def score(self, verdict: Verdict) -> Verdict:
        """Return the verdict with the taste's score plus all plugins', if it accepts and there are any.

        Raises PluginError if a plugin does not return a finite number.
        """
        if not (verdict.accepted and self.scores):
            return verdict
        total = self._taste(verdict.candidate) if self._taste else 0.0
        for plugin, hook in self._scorers:
            try:
                with output.logged_as(plugin.name, "scored a text"), alarm(self._timeout):
                    total += _finite(hook(candidate=replace(verdict.candidate), settings=plugin.settings))
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                raise PluginError(_printable(f"the plugin {plugin.name} cannot score: {say(error)}")) from error
        return replace(verdict, score=total)

    def _ask(self, plugin: Plugin, hook: Hook, candidate: Candidate) -> tuple[str | None, bool]:
        """Return a filter's reason, if it has one, and whether that is only that it failed."""
        start = time.perf_counter()
        try:
            with output.logged_as(plugin.name, "judged a text"), alarm(self._timeout):
                answer = hook(candidate=candidate, settings=plugin.settings, seen=self.known)
        except TimeUp:
            return f"took longer than {self._timeout:g} s and was cut off", True
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - a plugin is someone else's code
            return f"failed: {say(error)}", True
        if time.perf_counter() - start > self._timeout:
            return f"took longer than {self._timeout:g} s", True
        if answer is None:
            return None, False
        if isinstance(answer, str):
            return answer.strip() or "gave no reason", False
        return f"answered {type(answer).__name__}, not a reason or None", True


def _printable(reason: str) -> str:
    """Return a plugin's reason as one printable line of at most `MAX_REASON` characters."""
    return clean(" ".join(reason[:MAX_REASON].split()))[:MAX_REASON]


def _finite(score: Any) -> float:
    if not math.isfinite(number := float(score)):
        raise ValueError(f"{number} cannot be compared")
    return number
