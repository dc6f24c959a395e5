"""Plots show what was measured, with named axes, the same way on every machine, and leave nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from biobot.evaluation import plots
from biobot.evaluation.tune import Row

CURVE = [(1, 0, 5.0, 5.0), (2, 1_000_000, 4.0, 3.0), (3, 4_000_000, 3.0, 2.5)]


def row(temperature: float, accepted: float, real_words: float | None = 1.0) -> Row:
    refused = {"length": 1 - accepted, "dedupe": 0.1}
    return Row(temperature, 100, accepted, refused, 0.9, 0.5, real_words, 80.0, 2.0, 0.0, None, accepted or None)


def series(figure: Figure, axes: int = 0) -> dict[str, list[tuple[float, float]]]:
    """Return the points of each labelled line."""
    return {
        str(line.get_label()): [(float(x), float(y)) for x, y in np.asarray(line.get_xydata())]
        for line in figure.axes[axes].get_lines()
    }


def bands(figure: Figure, axes: int = 0) -> list[float]:
    """Return the middles of the shaded stretches."""
    boxes = (
        each.get_extents().transformed(figure.axes[axes].transData.inverted()) for each in figure.axes[axes].patches
    )
    return [round(float(box.x0 + box.x1) / 2, 6) for box in boxes]


def test_a_sweep_shows_every_figure_over_temperature_and_shades_the_recommended_ones() -> None:
    figure = plots.sweep([row(1.0, 0.5), row(0.5, 0.4, None), row(1.5, 0.0, 0.2)], [0.5, 1.0], "m")
    shares = series(figure)
    assert set(shares) == {"accepted by every filter", "novelty", "distinct word pairs", "real words"}
    assert shares["accepted by every filter"] == [(0.5, 0.4), (1.0, 0.5), (1.5, 0.0)]
    assert [y for _, y in shares["real words"]] == [pytest.approx(float("nan"), nan_ok=True), 1.0, 0.2]
    assert series(figure, 1)["length"] == [(0.5, 0.6), (1.0, 0.5), (1.5, 1.0)]
    assert [axes.get_xlabel() for axes in figure.axes] == ["temperature"] * 4
    assert [axes.get_ylabel() for axes in figure.axes] == [
        "share",
        "share refused, by filter",
        "mean weighted length",
        "seconds per accepted bio",
    ]
    assert all(bands(figure, axes) == [0.5, 1.0] for axes in range(4))
    assert "m: 100 bios at each temperature; recommended: 0.5, 1" in figure.get_suptitle()


@pytest.mark.parametrize("chosen", [[], [1.0]])
def test_a_sweep_of_one_temperature_is_drawn_as_well(chosen: list[float]) -> None:
    figure = plots.sweep([row(1.0, 0.5)], chosen, "m")
    assert series(figure)["novelty"] == [(1.0, 0.9)]
    assert bands(figure) == chosen


def test_a_learning_curve_has_both_losses_over_megabytes_and_names_the_best() -> None:
    figure = plots.learning_curve(CURVE, "m")
    drawn = series(figure)
    assert drawn["held-out bios"] == [(0, 5.0), (1, 3.0), (4, 2.5)]
    assert drawn["training bios"] == [(0, 5.0), (1, 4.0), (4, 3.0)]
    assert "best: 2.500" in drawn
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("training data seen (MB)", "bits per byte")


def test_the_steep_beginning_of_a_long_curve_does_not_flatten_the_rest() -> None:
    long = [(step, 10_000 * step, 2 + 5 / step, 2 + 6 / step) for step in range(1, 3000)]
    low, high = plots.learning_curve(long, "m").axes[0].get_ylim()
    assert high < 2.2
    assert low < long[-1][2]


def test_a_curve_without_points_or_numbers_is_still_a_picture() -> None:
    for curve in ([], [(1, 10, float("nan"), float("nan"))]):
        assert plots.png(plots.learning_curve(curve, "m")).startswith(b"\x89PNG")


def test_the_same_figures_give_the_same_bytes_and_nothing_is_written_or_said(tmp_path: Path) -> None:
    """Under systemd's ProtectHome= and DynamicUser= there is no home that matplotlib could write its caches to."""
    code = (
        "import sys; from biobot.evaluation import plots;"
        f"sys.stdout.buffer.write(plots.png(plots.learning_curve({CURVE!r}, 'モデル')))"
    )
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    (tmp_path / "matplotlibrc").write_text("lines.linewidth: 40\n")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "MPL"))}
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=True, env=environ | {"HOME": str(home)}
    )
    assert ended.stderr == b""
    assert ended.stdout == plots.png(plots.learning_curve(CURVE, "モデル"))
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["home", "matplotlibrc"]


def test_a_curve_for_a_terminal_goes_from_top_left_to_bottom_right() -> None:
    lines = plots.sketch(CURVE, width=20, height=5)
    assert lines[0].strip().startswith("5.00")
    assert lines[0][7] != "\u2800" == lines[0][-1]
    assert lines[4][7] == "\u2800" != lines[4][-1]
    assert lines[-1].split() == ["0.0", "4.0", "MB"]
    assert plots.sketch([]) == []
