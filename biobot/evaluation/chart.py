"""What `biobot tune` found, as a picture: one PNG with the shares on top, and below who refused and what bios cost."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from PIL import Image, ImageDraw, ImageFont

from biobot.evaluation.tune import Row, refusers

WIDTH, HEIGHT = 960, 720
"""The size in points; the picture has PIXELS times as many each way."""

PIXELS = 2
_UNIT = 2 * PIXELS  # drawn twice as large and reduced, which smooths every edge

_PAPER, _INK, _FAINT, _GRID, _BAND = "#ffffff", "#1f2328", "#656d76", "#e4e7eb", "#e3f0fa"
_BLUE, _GREEN, _ORANGE, _PURPLE = "#0072b2", "#007a59", "#b35c00", "#9b4f85"
"""Colours that the colour-blind tell apart, dark enough to be read as text on paper."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in points."""


@dataclass(frozen=True, slots=True)
class Line:
    """A figure over the temperatures; None where there is none."""

    name: str
    values: Sequence[float | None]
    colour: str


def png(rows: Sequence[Row], chosen: Sequence[float], model: str) -> bytes:
    """Draw what was measured of a model, the temperatures in `chosen` marked."""
    rows = sorted(rows, key=lambda row: row.temperature)
    page = _Page([row.temperature for row in rows], chosen)
    page.text(40, 44, f"What temperature does to the bios of {model}", 22, _INK)
    marked = f"; recommended: {', '.join(f'{each:g}' for each in chosen)}" if chosen else ""
    page.text(40, 74, f"{rows[0].bios:,} bios at each temperature{marked}", 14, _FAINT)
    shares = (
        Line("accepted", [row.accepted for row in rows], _BLUE),
        Line("novelty", [row.novelty for row in rows], _GREEN),
        Line("distinct pairs", [row.distinct for row in rows], _PURPLE),
        Line("real words", [row.real_words for row in rows], _ORANGE),
    )
    page.panel((84, 112, 830, 440), "", shares, percent=True, top=1.0)
    refused = [
        Line(name, [row.objections.get(name, 0.0) for row in rows], colour)
        for name, colour in zip(refusers(rows), (_BLUE, _ORANGE, _PURPLE), strict=False)
    ]
    page.panel((84, 540, 280, 670), "Refused by", refused, percent=True)
    page.panel((440, 540, 600, 670), "Length, as X counts it", [Line("", [row.length for row in rows], _INK)])
    page.panel((720, 540, 900, 670), "Seconds for one accepted", [Line("", [row.seconds for row in rows], _INK)])
    return page.png()


class _Page:
    """A sheet to draw on, in points; every panel has the temperatures along its foot."""

    def __init__(self, temperatures: Sequence[float], chosen: Sequence[float]) -> None:
        self._temperatures, self._chosen = temperatures, chosen
        self._image = Image.new("RGB", (WIDTH * _UNIT, HEIGHT * _UNIT), _PAPER)
        self._draw = ImageDraw.Draw(self._image)

    def png(self) -> bytes:
        """Return the picture as the bytes of a PNG."""
        file = io.BytesIO()
        small = self._image.resize((WIDTH * PIXELS, HEIGHT * PIXELS), Image.Resampling.BOX)
        small.save(file, "PNG", optimize=True)
        return file.getvalue()

    def text(self, x: float, y: float, words: str, size: float, colour: str, anchor: str = "lm") -> None:
        """Write words; `anchor` says which of their points is at (x, y), as Pillow has it."""
        font = ImageFont.load_default(size * _UNIT)
        self._draw.text((x * _UNIT, y * _UNIT), words, colour, font, anchor)

    def panel(
        self, box: Box, title: str, lines: Sequence[Line], *, percent: bool = False, top: float | None = None
    ) -> None:
        """Draw lines in a box, from 0 to `top` (None: what fits), named at their right ends."""
        left, upper, right, lower = box
        step, top = _scale(max((value for line in lines for value in line.values if value is not None), default=0), top)
        height = lower - upper
        gaps = [self._x(b, box) - self._x(a, box) for a, b in pairwise(self._temperatures)]
        half = min(9, 0.35 * min(gaps, default=right - left))
        self.text(left - 44, upper - 28, title, 14, _INK)
        for each in self._chosen:
            self._rectangle((self._x(each, box) - half, upper, self._x(each, box) + half, lower + 24), _BAND)
        for tick in range(round(top / step) + 1):
            y = lower - height * tick * step / top
            self._trace([(left, y), (right, y)], _GRID, 1)
            self.text(left - 10, y, f"{tick * step:.0%}" if percent else f"{tick * step:g}", 12, _FAINT, "rm")
        for each in _apart(self._temperatures, 30 / (self._x(1, box) - self._x(0, box))):
            self.text(self._x(each, box), lower + 14, f"{each:g}", 12, _INK if each in self._chosen else _FAINT, "mm")
        names = []
        for line in lines:
            points = [
                (self._x(x, box), lower - height * value / top)
                for x, value in zip(self._temperatures, line.values, strict=True)
                if value is not None
            ]
            if points:
                self._trace(points, line.colour, 2.5)
                names.append((points[-1][1], line))
            for x, y in points:
                self._dot(x, y, line.colour, 2.5 + half / 6)
        for y, line in _spread(names, 17):
            self.text(right + 14, y, line.name, 13, line.colour)

    def _x(self, temperature: float, box: Box) -> float:
        low, high = self._temperatures[0], self._temperatures[-1]
        if low == high:
            low, high = low - 0.5, high + 0.5
        inset = 12
        return box[0] + inset + (box[2] - box[0] - 2 * inset) * (temperature - low) / (high - low)

    def _rectangle(self, box: Box, colour: str) -> None:
        left, upper, right, lower = (each * _UNIT for each in box)
        self._draw.rounded_rectangle((left, upper, right, lower), 4 * _UNIT, colour)

    def _trace(self, points: Sequence[tuple[float, float]], colour: str, width: float) -> None:
        self._draw.line([(x * _UNIT, y * _UNIT) for x, y in points], colour, round(width * _UNIT), "curve")

    def _dot(self, x: float, y: float, colour: str, radius: float) -> None:
        self._draw.circle((x * _UNIT, y * _UNIT), radius * _UNIT, colour, _PAPER, round(1.5 * _UNIT))


def _scale(most: float, top: float | None) -> tuple[float, float]:
    """Choose the distance between two ticks, a round number, and the uppermost of some three to five."""
    top = top or most or 1.0
    size = 10 ** math.floor(math.log10(top / 4))
    step = next(size * each for each in (1, 2, 2.5, 5, 10) if size * each >= top / 4 * 0.999)
    return step, step * math.ceil(top / step - 0.001)


def _apart(places: Sequence[float], gap: float) -> list[float]:
    """Leave out those of the ascending places that are nearer than `gap` to the one before."""
    kept: list[float] = []
    for each in places:
        if not kept or each - kept[-1] >= gap - 1e-9:
            kept.append(each)
    return kept


def _spread(names: Sequence[tuple[float, Line]], gap: float) -> list[tuple[float, Line]]:
    """Move names apart that would overlap, as little as it takes."""
    placed = sorted(names, key=lambda each: each[0])
    for _ in range(20):
        for at, ((upper, one), (lower, other)) in enumerate(pairwise(placed)):
            push = max(gap - (lower - upper), 0) / 2
            placed[at], placed[at + 1] = (upper - push, one), (lower + push, other)
    return placed
