"""`biobot tune`: sweeps temperatures and recommends some."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from biobot.cli import Options
from biobot.errors import SampleError
from biobot.sampling.controls import Request

if TYPE_CHECKING:
    from biobot.evaluation.tune import Row


@click.command()
@click.option(
    "-t", "--temperature", "temperatures", type=float, multiple=True, help="Measure this temperature; may be repeated."
)
@click.option("-n", "count", type=click.IntRange(10), default=2000, show_default=True, help="Bios per temperature.")
@click.option("--model", help="A model's id or path; by default the bot's model.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The PNG file for the plot; by default tune.png in the bot's home, or none with --json.",
)
@click.option("--write", is_flag=True, help="Write the recommended temperatures to biobot.toml.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per temperature, then the recommendation.")
@click.pass_obj
def command(
    options: Options,
    temperatures: tuple[float, ...],
    count: int,
    model: str | None,
    plot: Path | None,
    write: bool,
    as_json: bool,
) -> None:
    """Measure each temperature: how many bios pass, how novel they are, what they cost; recommend some."""
    from biobot.app import tuning
    from biobot.filters import output
    from biobot.worker.client import PROBE, Worker
    from biobot.worker.protocol import Sweep
    from biobot.worker.server import sweep

    wanted = tuple(sorted(set(temperatures or Sweep().temperatures)))
    try:
        for temperature in wanted:
            Request(0, temperature)
    except SampleError as error:
        raise click.UsageError(str(error)) from None
    if write and not as_json:
        options.announce()
    config, rows = options.config, []
    Worker(config).try_plugins(PROBE)
    with output.diverted(command=True) as stdout:
        with _progress(count * len(wanted)) as (tick, tell):
            for row in sweep(config, Sweep(wanted, count, model), tick):
                rows.append(row)
                if as_json:
                    click.echo(json.dumps(row.as_dict()), file=stdout)
                else:
                    tell(row)

        from biobot.evaluation import tune

        chosen = tune.recommend(rows)
        if as_json:
            click.echo(json.dumps({"recommended": chosen}), file=stdout)
        else:
            named = f"recommended: temperatures = [{', '.join(f'{each:g}' for each in chosen)}]"
            click.echo("\n".join(tune.lines(rows)), file=stdout)
            click.echo(f"\n{named if chosen else 'no bio was accepted: nothing to recommend'}", file=stdout)
            plot = plot or config.home / "tune.png"
    if plot is not None:
        tuning.draw(config, rows, chosen, plot, model)
        click.echo(f"plot written to {plot}", err=True)
    if write and chosen:
        click.echo(f"temperatures written to {tuning.write(config, chosen)}", err=True)


@contextmanager
def _progress(bios: int) -> Iterator[tuple[Callable[[float], None], Callable[[Row], None]]]:
    """Yield the callbacks for each bio and each finished row; on a terminal they show a bar, the rate and the ETA.

    Elsewhere there is one line a temperature.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    from biobot.text.terminal import painted

    start, done = time.monotonic(), 0
    console = Console(file=painted(sys.stderr))
    columns = (BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TextColumn("{task.description}"))

    def pace() -> str:
        rate = done / (time.monotonic() - start)
        left = (bios - done) / rate
        return f"{rate:.0f} bios/s · {left // 60:.0f}:{left % 60:02.0f} to go"

    with Progress(*columns, console=console, disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task("loading the model", total=bios)

        def tick(temperature: float) -> None:
            nonlocal done
            done += 1
            bar.update(task, completed=done, description=f"T {temperature:g} · {pace()}")

        def tell(row: Row) -> None:
            bar.console.print(f"T {row.temperature:g}: {row.accepted:.1%} accepted · {pace()}", highlight=False)

        yield tick, tell
