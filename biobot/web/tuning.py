"""The curves over temperature: measured by a worker, kept in the home until the next time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from biobot.config import Config
from biobot.errors import BiobotError
from biobot.storage import atomic_write
from biobot.web.jobs import Jobs
from biobot.worker.protocol import Sweep

SWEEP = Sweep()
"""What is measured."""

SWEEP_TIMEOUT = timedelta(hours=1)
"""The longest that a sweep may take."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One figure over temperature, ready to be drawn and to be read out."""

    title: str
    plot: Mapping[str, Any]
    words: str


@dataclass(frozen=True, slots=True)
class Tuned:
    """What is known: curves, whether they are being measured, and what went wrong."""

    curves: Sequence[Curve]
    points: int
    running: bool
    error: str
    words: str


FIGURES = (
    ("accepted", "Accepted", True),
    ("novelty", "Novelty", True),
    ("real_words", "Real words", True),
    ("length", "Mean length", False),
)
"""The figures that are drawn: the key of `tune --json`, its title, and whether it is a share."""


class Tuner:
    """Runs one sweep at a time and remembers the last."""

    def __init__(self, config: Config, jobs: Jobs) -> None:
        self._file = config.home / "web" / "tune.json"
        self._jobs = jobs
        self._rows: list[dict[str, Any]] = []
        self._task: asyncio.Task[None] | None = None
        self._error = ""
        try:
            self._kept: list[dict[str, Any]] = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._kept = []

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin a sweep, unless one runs."""
        if self._task is None:
            self._rows, self._error = [], ""
            self._task = loop.create_task(self._run())

    async def _run(self) -> None:
        try:
            async with aclosing(self._jobs.stream(SWEEP, SWEEP_TIMEOUT)) as found:
                async for each in found:
                    self._rows.append(dict(each.values))
            self._kept = self._rows
            with atomic_write(self._file) as file:
                file.write(json.dumps(self._kept).encode())
        except BiobotError as error:
            self._error = str(error)
        finally:
            self._task = None

    def shown(self) -> Tuned:
        """Return what is known now: of a running sweep what it has so far."""
        running = self._task is not None
        rows = self._rows if running and len(self._rows) > 1 else self._kept
        points = sorted((row for row in rows if "temperature" in row), key=lambda row: float(row["temperature"]))
        figures = [each for each in FIGURES if any(row.get(each[0]) is not None for row in points)]
        said = next((row["recommended"] for row in rows if row.get("recommended")), None)
        words = f"Recommended: temperatures = [{', '.join(f'{each:g}' for each in said)}]" if said else ""
        return Tuned(
            curves=[_curve(points, *figure) for figure in figures] if len(points) > 1 else [],
            points=sum("temperature" in row for row in self._rows),
            running=running,
            error=self._error,
            words=words,
        )


def _curve(points: Sequence[Mapping[str, Any]], key: str, title: str, percent: bool) -> Curve:
    x = [float(row["temperature"]) for row in points]
    y = [row.get(key) for row in points]
    show = "{:.0%}" if percent else "{:.0f}"
    words = ", ".join(f"{show.format(b)} at {a:g}" for a, b in zip(x, y, strict=True) if b is not None)
    return Curve(
        title,
        {"data": [x, y], "series": [title], "percent": percent, "marker": True, "x": "temperature", "y": ""},
        words,
    )
