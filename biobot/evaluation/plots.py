"""Plots, by matplotlib: a temperature sweep, and a model's learning curve (that one for a terminal, too)."""

from __future__ import annotations

import io
import math
import os
import tempfile
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from biobot.errors import SampleError
from biobot.storage import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from biobot.evaluation import audit
    from biobot.evaluation.tune import Row
    from biobot.taste.taste import Agreement

Curve = Sequence[Sequence[float]]
"""A learning curve as model cards have it: (step, bytes of training data, train bits, dev bits) per evaluation."""

_BLUE, _GREEN, _ORANGE, _PURPLE, _GREY = "#0072b2", "#007a59", "#b35c00", "#9b4f85", "#656d76"
"""Colours that remain distinguishable with a colour vision deficiency."""

_BAND = "#e3f0fa"
_MARKERS_UP_TO = 30
"""Points of a curve; more are drawn as a line without markers."""


def sweep(rows: Sequence[Row], chosen: Sequence[float], model: str) -> Figure:
    """Return a plot of a sweep by `biobot tune`, with the temperatures in `chosen` shaded."""
    from biobot.evaluation.tune import refusers

    rows = sorted(rows, key=lambda row: row.temperature)
    x = [row.temperature for row in rows]
    gap = min((b - a for a, b in pairwise(x)), default=0.1)
    figure = _figure(11, 8)
    grid = figure.add_gridspec(2, 3, height_ratios=(2, 1))
    shares, refused, length, seconds = (
        figure.add_subplot(grid[place]) for place in ((0, slice(None)), (1, 0), (1, 1), (1, 2))
    )
    recommended = f"; recommended: {', '.join(f'{each:g}' for each in chosen)}" if chosen else ""
    figure.suptitle(f"Temperature sweep of {model}: {rows[0].bios:,} bios at each temperature{recommended}")
    for name, values, colour in (
        ("accepted by every filter", [row.accepted for row in rows], _BLUE),
        ("novelty", [row.novelty for row in rows], _GREEN),
        ("distinct word pairs", [row.distinct for row in rows], _PURPLE),
        ("real words", [row.real_words for row in rows], _ORANGE),
    ):
        _line(shares, x, values, colour, name)
    for name, colour in zip(refusers(rows), (_BLUE, _ORANGE, _PURPLE), strict=False):
        _line(refused, x, [row.objections.get(name, 0.0) for row in rows], colour, name)
    _line(length, x, [row.length for row in rows], _BLUE)
    _line(seconds, x, [row.seconds for row in rows], _BLUE)
    shares.set(ylim=(0, 1.02), ylabel="share")
    refused.set(ylabel="share refused, by filter")
    length.set(ylabel="mean weighted length")
    seconds.set(ylabel="seconds per accepted bio")
    for axes in (shares, refused, length, seconds):
        axes.set(xlabel="temperature", xlim=(x[0] - gap / 2, x[-1] + gap / 2))
        axes.set_ylim(bottom=0)
        for each in chosen:
            axes.axvspan(each - gap / 4, each + gap / 4, color=_BAND, zorder=0)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False)
    for axes in (shares, refused):
        axes.yaxis.set_major_formatter("{x:.0%}")
    return figure


def learning_curve(curve: Curve, model: str) -> Figure:
    """Return the figure of bits per byte over the training data that a model has seen."""
    figure = _figure(8, 4.5)
    axes = figure.add_subplot()
    seen = [each[1] / 1e6 for each in curve]
    _line(axes, seen, [each[2] for each in curve], _GREY, "training bios")
    _line(axes, seen, [each[3] for each in curve], _BLUE, "held-out bios")
    axes.set(title=f"Learning curve of {model}", xlabel="training data seen (MB)", ylabel="bits per byte")
    # the first, steep part of a long curve is cut off, or the rest would look flat
    late = [bits for each in curve for bits in each[2:4] if each[1] >= 0.02 * curve[-1][1] and math.isfinite(bits)]
    if late:
        margin = 0.05 * (max(late) - min(late)) or 0.05
        axes.set_ylim(min(late) - margin, max(late) + margin)
        best = min(each[3] for each in curve)
        axes.axhline(best, color=_BLUE, linewidth=0.8, linestyle=":", label=f"best: {best:.3f}")
    axes.legend(frameon=False)
    return figure


def memorised(rows: Sequence[audit.Row], model: str) -> Figure:
    """Return the figure of how many bits training bios and unseen ones take, at each temperature."""
    from biobot.evaluation.audit import EXTRACTABLE_BITS

    figure = _figure(8, 1 + 3 * len(rows))
    most = max(float(bits.max()) for row in rows for bits in (row.training, row.unseen))
    bins = [most * k / 100 for k in range(101)]
    for number, row in enumerate(rows):
        axes = figure.add_subplot(len(rows), 1, number + 1)
        for bits, name, colour in ((row.training, "training bios", _ORANGE), (row.unseen, "unseen bios", _BLUE)):
            weights = [1 / len(bits)] * len(bits)
            axes.hist(bits, bins, weights=weights, histtype="step", color=colour, label=name)
        axes.axvline(EXTRACTABLE_BITS, color=_GREY, linestyle=":", label="emitted by a million samples")
        axes.set(title=f"What {model} has memorised, T = {row.temperature:g}", xlabel="bits of a bio", ylabel="share")
        axes.legend(frameon=False)
    return figure


def taste_curve(curve: Sequence[tuple[int, Agreement]], shipped: Agreement) -> Figure:
    """Return the figure of how well an owner's taste predicts marks by the number of marks it learnt from."""
    figure = _figure(8, 4.5)
    axes = figure.add_subplot()
    sizes = [size for size, _ in curve]
    _line(axes, sizes, [each.spearman for _, each in curve], _BLUE, "rank correlation")
    _line(axes, sizes, [each.top_tenth_good for _, each in curve], _GREEN, "good ones in the top tenth")
    for value, colour in ((shipped.spearman, _BLUE), (shipped.top_tenth_good, _GREEN)):
        axes.axhline(value, color=colour, linestyle=":", label="the same of the shipped taste")
    axes.set(title="What the taste learns from your marks", xlabel="marks", ylim=(0, 1.02))
    axes.legend(frameon=False)
    return figure


def png(figure: Figure) -> bytes:
    """Return a figure as a PNG file; the same figure always gives the same bytes."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a filter's name may have characters that the font lacks
        figure.savefig(file, format="png", dpi=150, metadata={"Software": None})
    return file.getvalue()


def save(figure: Figure, path: Path) -> None:
    """Write a figure to a PNG file; raises SampleError."""
    try:
        with atomic_write(path) as file:
            file.write(png(figure))
    except OSError as error:
        raise SampleError(f"cannot write {path}: {error.strerror}") from None


def sketch(curve: Curve, width: int = 60, height: int = 12) -> list[str]:
    """Return the dev bits of a learning curve as lines for a terminal, in Braille dots (two by four to a character)."""
    import numpy as np

    if not curve:
        return []
    seen, bits = (np.array([each[column] for each in curve], float) for column in (1, 3))
    top, bottom = bits.max(), bits.min()
    columns = np.interp(np.linspace(seen[0], seen[-1], 2 * width), seen, bits)
    heights = np.rint((top - columns) / (top - bottom or 1) * (4 * height - 1)).astype(int)
    cells = np.full((height, width), 0x2800)
    for x, y in enumerate(heights):
        cells[y // 4, x // 2] |= ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))[y % 4][x % 2]
    labels = [f"{top:.2f}", *[""] * (height - 2), f"{bottom:.2f}"]
    rows = [f"{label:>6} {''.join(map(chr, row))}" for label, row in zip(labels, cells, strict=True)]
    return [*rows, f"{'':6} {f'{seen[0] / 1e6:.1f}':<{width - 8}}{f'{seen[-1] / 1e6:.1f} MB':>8}"]


def _figure(width: float, height: float) -> Figure:
    """Return an empty figure, its size in inches."""
    configured = os.environ.get("MPLCONFIGDIR")
    with tempfile.TemporaryDirectory(prefix="biobot-matplotlib-") as folder:
        os.environ["MPLCONFIGDIR"] = folder  # where its caches go when it is imported: by default into the user's home
        try:
            import matplotlib
            from matplotlib.figure import Figure

            matplotlib.rcdefaults()  # nobody's matplotlibrc changes what the plots look like
        finally:
            os.environ.pop("MPLCONFIGDIR")
            os.environ |= {"MPLCONFIGDIR": configured} if configured else {}
    return Figure((width, height), layout="constrained")


def _line(axes: Axes, x: Sequence[float], y: Sequence[float | None], colour: str, label: str = "") -> None:
    marker = "o" if len(x) <= _MARKERS_UP_TO else ""
    values = [float("nan") if each is None else each for each in y]
    axes.plot(x, values, color=colour, marker=marker, linewidth=1.8, label=label)
    axes.grid(axis="y", color="#e4e7eb")
    axes.spines[["top", "right"]].set_visible(False)
