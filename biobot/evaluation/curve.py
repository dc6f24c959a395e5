"""A training's loss curve: as lines for a terminal, and as a PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence

Point = tuple[float, float]
"""Megabytes learnt, bits per byte."""

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_WHITE, _GREY, _BLUE = (255, 255, 255), (220, 220, 220), (40, 90, 200)


def points(curve: Sequence[Sequence[float]]) -> list[Point]:
    """Take the looks at dev out of a model card's curve (step, bytes, train, dev)."""
    return [(seen / 1e6, dev) for _, seen, _, dev in curve]


def lines(curve: Sequence[Point], width: int = 60, height: int = 12) -> list[str]:
    """Draw the curve in Braille dots, two by four to a character, with its extremes beside it."""
    if not curve:
        return []
    cells = [[0] * width for _ in range(height)]
    for x, y in _trace(curve, 2 * width, 4 * height):
        cells[y // 4][x // 2] |= _DOTS[y % 4][x % 2]
    top, bottom = (f"{pick(bits for _, bits in curve):.2f}" for pick in (max, min))
    rows = ["".join(chr(0x2800 + cell) for cell in row) for row in cells]
    labels = [top, *([" " * len(top)] * (height - 2)), bottom]
    axis = f"{curve[0][0]:.1f}".ljust(width - 8) + f"{curve[-1][0]:.1f} MB".rjust(8)
    return [*(f"{label:>6} {row}" for label, row in zip(labels, rows, strict=True)), f"{'':6} {axis}"]


def png(curve: Sequence[Point], width: int = 640, height: int = 360) -> bytes:
    """Draw the curve as a PNG, with a grey line at every tenth of a bit."""
    from PIL import Image

    pixels = [[_WHITE] * width for _ in range(height)]
    if curve:
        low, high = min(bits for _, bits in curve), max(bits for _, bits in curve)
        for tenth in range(int(low * 10) + 1, int(high * 10) + 1):
            y = round((high - tenth / 10) / (high - low or 1) * (height - 1))
            pixels[y] = [_GREY] * width
        for x, y in _trace(curve, width, height):
            for down in (-1, 0, 1):
                pixels[min(max(y + down, 0), height - 1)][x] = _BLUE
    file = io.BytesIO()
    raw = bytes(value for row in pixels for pixel in row for value in pixel)
    Image.frombytes("RGB", (width, height), raw).save(file, "PNG", optimize=True)
    return file.getvalue()


def _trace(curve: Sequence[Point], width: int, height: int) -> list[tuple[int, int]]:
    """Return one dot for every column, (0, 0) at the upper left, along straight lines from point to point."""
    left, right = curve[0][0], curve[-1][0]
    low, high = min(bits for _, bits in curve), max(bits for _, bits in curve)
    dots, place = [], 0
    for x in range(width):
        at = left + (right - left) * x / max(width - 1, 1)
        while place < len(curve) - 2 and curve[place + 1][0] < at:
            place += 1
        (x0, y0), (x1, y1) = curve[place], curve[min(place + 1, len(curve) - 1)]
        bits = y0 + (y1 - y0) * (min((at - x0) / (x1 - x0), 1.0) if x1 > x0 else 0.0)
        dots.append((x, round((high - bits) / (high - low or 1) * (height - 1))))
    return dots
