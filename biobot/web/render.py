"""Templates, and how times, numbers and texts are shown."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from biobot.app import console
from biobot.candidate import Candidate
from biobot.text import graphemes
from biobot.text.length import weighted_length
from biobot.web.assets import Assets

LEVELS = 8
"""Number of tints; level 0 is no tint."""

MAX_ENTROPY, MAX_SURPRISAL = 4.8, 12.0
"""Bits at which the tint is strongest: of entropy, and of surprisal (-log2 p)."""


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of text of one tint: its levels by entropy and by surprisal."""

    text: str
    entropy: int
    surprisal: int


def runs(bio: Candidate) -> Iterator[Run]:
    """Yield the stretches of a bio that have one tint.

    A grapheme has one tint: the mean entropy of its bytes, and the sum of their surprisal.
    """
    at, last = 0, Run("", -1, -1)
    for grapheme in graphemes.split(bio.text):
        size = len(grapheme.encode())
        entropy = sum(bio.entropies[at : at + size]) / size
        surprisal = -sum(math.log2(max(each, 1e-12)) for each in bio.probabilities[at : at + size])
        at += size
        run = Run(grapheme, _level(entropy, MAX_ENTROPY), _level(surprisal, MAX_SURPRISAL))
        if (run.entropy, run.surprisal) == (last.entropy, last.surprisal):
            last = Run(last.text + grapheme, last.entropy, last.surprisal)
            continue
        if last.text:
            yield last
        last = run
    if last.text:
        yield last


def _level(bits: float, maximum: float) -> int:
    return max(0, min(LEVELS, round(bits / maximum * LEVELS)))


class Render:
    """Renders pages and parts of them; every text in them is escaped."""

    def __init__(self, assets: Assets, zone: tzinfo, clock: Callable[[], datetime]) -> None:
        self.zone = zone
        self.clock = clock
        self._env = Environment(
            loader=PackageLoader("biobot.web", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._env.globals |= {"asset": assets.url, "runs": runs, "zone": str(zone), "timedelta": timedelta}
        filters: dict[str, Callable[[Any], object]] = {
            "when": self.when,
            "clock": self.clock_time,
            "day": self.day,
            "ago": self.ago,
            "count": lambda number: f"{number:,}",
            "percent": lambda share: f"{share:.0%}" if share >= 0.1 else f"{share:.1%}",
            "usd": lambda dollars: f"${dollars:,.2f}",
            "weight": lambda text: weighted_length(text or ""),
            "bits": console.bits_per_byte,
            "score": console.score,
            "network": lambda name: console.NETWORKS.get(name, name),
            "plot": lambda facts: json.dumps(facts, allow_nan=False),
        }
        self._env.filters |= filters
        for name in self._env.list_templates():
            self._env.get_template(name)  # a broken template fails at the start, not in use

    def __call__(self, name: str, **facts: Any) -> str:
        """Render a template."""
        return self._env.get_template(name).render(**facts)

    def part(self, name: str, macro: str, *facts: Any) -> str:
        """Render one macro of a template."""
        return str(getattr(self._env.get_template(name).make_module({}), macro)(*facts))

    def _local(self, moment: datetime) -> datetime:
        try:
            return moment.astimezone(self.zone)
        except OverflowError:  # a damaged time, at the end of the year 9999
            return moment

    def _time(self, moment: datetime, shown: str) -> Markup:
        whole = f"{self._local(moment):%A %d %B %Y, %H:%M:%S %Z}"
        return Markup('<time datetime="{}" title="{}">{}</time>').format(
            moment.astimezone(UTC).isoformat(timespec="seconds"), whole, shown
        )

    def when(self, moment: datetime) -> Markup:
        """Return a time: "18:00" today, "Tue 18:00" within six days, else "3 Nov 18:00"."""
        local = self._local(moment)
        today = local.date() == self._local(self.clock()).date()
        return self._time(moment, f"{local:%H:%M}" if today else f"{self._date(local)} {local:%H:%M}")

    def clock_time(self, moment: datetime) -> Markup:
        """Return the time of day."""
        return self._time(moment, f"{self._local(moment):%H:%M}")

    def day(self, moment: datetime) -> str:
        """Return the day: "today", "tomorrow", "Tue", "3 Nov"."""
        local = self._local(moment)
        days = (local.date() - self._local(self.clock()).date()).days
        return {0: "today", 1: "tomorrow"}.get(days) or self._date(local)

    def _date(self, local: datetime) -> str:
        now = self._local(self.clock())
        if abs((local.date() - now.date()).days) < 6:
            return f"{local:%a}"
        return f"{local.day} {local:%b}{'' if local.year == now.year else f' {local.year}'}"

    def ago(self, moment: datetime) -> Markup:
        """Return how long ago, or how far ahead, a time is: "3 min ago", "in 2 h"."""
        seconds = (moment - self.clock()).total_seconds()
        size = abs(seconds)
        for length, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
            if size >= length:
                shown = f"{size / length:.0f} {unit}"
                break
        else:
            shown = "a moment"
        return self._time(moment, f"{shown} ago" if seconds <= 0 else f"in {shown}")
