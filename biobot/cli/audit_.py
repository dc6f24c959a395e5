"""`biobot audit`: what a model has memorised of its training bios."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import click

from biobot.cli import Options
from biobot.errors import SampleError
from biobot.model import runtime


@click.command()
@click.option("--model", help="A model's id or path; by default the bot's model.")
@click.option(
    "-t", "--temperature", "temperatures", type=float, multiple=True, help="Measure this temperature; may be repeated."
)
@click.option("-n", "most", type=click.IntRange(1), help="Measure at most this many bios of each kind (all).")
@click.option("--corpus", type=click.Path(path_type=Path), help="A file of bios instead of the bot's corpus.")
@click.option("--dev", type=click.Path(path_type=Path), help="A file of bios that the model was not trained on.")
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The PNG file for the plot; by default audit.png in the bot's home, or none with --json.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per temperature.")
@click.pass_obj
def command(
    options: Options,
    model: str | None,
    temperatures: tuple[float, ...],
    most: int | None,
    corpus: Path | None,
    dev: Path | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Measure how many training bios a model would emit word for word, beside bios that it never saw.

    Only bios of at least 40 bytes count; shorter ones are written by many. Training bios are those of the corpus that
    the model's index holds.
    """
    runtime.prepare()
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    from biobot.app import auditing
    from biobot.evaluation import audit, plots
    from biobot.sampling.controls import Request

    wanted = auditing.Options(model, tuple(sorted({*temperatures})) or (0.8, 1.0), corpus, dev, most)
    try:
        for temperature in wanted.temperatures:
            Request(0, temperature)
    except SampleError as error:
        raise click.UsageError(str(error)) from None
    columns = (BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bar:
        task, start = bar.add_task("looking bios up in the model's index", total=None), time.monotonic()

        def progress(done: int, total: int) -> None:
            nonlocal start
            if bar.tasks[task].total is None:
                start = time.monotonic()
            rate = done / max(time.monotonic() - start, 1e-9)
            left = (total - done) / rate
            pace = f"{rate:.0f} bios/s · {left // 60:.0f}:{left % 60:02.0f} to go"
            bar.update(task, completed=done, total=total, description=pace)

        name, rows = auditing.audit(options.config, wanted, progress)
    facts = [row.as_dict() for row in rows]
    if as_json:
        for each in facts:
            click.echo(json.dumps({"model": name, **each}))
    else:
        click.echo("\n".join(audit.table(facts)))
        plot = plot or options.config.home / "audit.png"
    if plot is not None:
        plots.save(plots.memorised(rows, name), plot)
        click.echo(f"plot written to {plot}", err=True)
