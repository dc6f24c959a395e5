"""Figures over temperature: measured by a worker, and kept in the home until the next sweep."""

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

FIGURES = (
    ("accepted", "Accepted", "{:.0%}"),
    ("novelty", "Novelty", "{:.0%}"),
    ("real_words", "Real words", "{:.0%}"),
    ("length", "Mean length", "{:.0f}"),
)
"""The figures that are plotted: their keys in `tune --json`, titles and formats."""


@dataclass(frozen=True, slots=True)
class Plot:
    """One figure over temperature: for the eye, and in words."""

    title: str
    data: Mapping[str, Any]
    words: str


@dataclass(frozen=True, slots=True)
class SweepView:
    """The last sweep, or the running one as far as it got."""

    plots: Sequence[Plot]
    recommended: Sequence[float]
    running: bool
    done: int
    """Temperatures that the running sweep has measured."""
    error: str


class Tuner:
    """Runs one sweep at a time and remembers the last."""

    def __init__(self, config: Config, jobs: Jobs) -> None:
        self._file = config.home / "web" / "tune.json"
        self._jobs = jobs
        self._rows: list[dict[str, Any]] = []
        self._task: asyncio.Task[None] | None = None
        self._error = ""
        try:
            self._last = [dict(each) for each in json.loads(self._file.read_text(encoding="utf-8"))]
        except (OSError, TypeError, ValueError):
            self._last = []

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start a sweep, unless one is running."""
        if self._task is None:
            self._rows, self._error = [], ""
            self._task = loop.create_task(self._run())

    async def _run(self) -> None:
        try:
            async with aclosing(self._jobs.stream(SWEEP, SWEEP_TIMEOUT)) as found:
                async for each in found:
                    self._rows.append(dict(each.values))
            self._last = self._rows
            with atomic_write(self._file) as file:
                file.write(json.dumps(self._last).encode())
        except BiobotError as error:
            self._error = str(error)
        finally:
            self._task = None

    def view(self) -> SweepView:
        """Return what has been measured so far."""
        running = self._task is not None
        rows = self._rows if running and len(self._rows) > 1 else self._last
        points = sorted((row for row in rows if "temperature" in row), key=lambda row: float(row["temperature"]))
        return SweepView(
            plots=[each for figure in FIGURES if (each := _plot(points, *figure))] if len(points) > 1 else [],
            recommended=next((row["recommended"] for row in rows if row.get("recommended")), []),
            running=running,
            done=sum("temperature" in row for row in self._rows),
            error=self._error,
        )


def _plot(points: Sequence[Mapping[str, Any]], key: str, title: str, form: str) -> Plot | None:
    """Return the plot of one figure; None when it was not measured."""
    x = [float(row["temperature"]) for row in points]
    y = [row.get(key) for row in points]
    words = ", ".join(f"{form.format(b)} at {a:g}" for a, b in zip(x, y, strict=True) if b is not None)
    axes = {"x": "temperature", "y": "", "percent": form.endswith("%}"), "marker": True}
    return Plot(title, {"data": [x, y], "series": [title], **axes}, words) if words else None
