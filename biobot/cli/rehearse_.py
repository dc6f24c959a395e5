"""`biobot rehearse`: runs the whole bot against a built-in fake network, in simulated time."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from biobot.cli import Options
from biobot.errors import BiobotError

if TYPE_CHECKING:
    from biobot.rehearsal.mastodon import Server


@contextmanager
def _progress() -> Iterator[Callable[[float], object]]:
    """Yield what shows the share that is done, on a terminal, as a bar with the time left."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from biobot.text.terminal import painted

    console = Console(file=painted(sys.stderr))
    columns = (BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TimeRemainingColumn(), TextColumn("to go"))
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda share: bar.update(task, completed=share)


@click.command("rehearse", short_help="Run the whole bot against a built-in fake network, in simulated time.")
@click.option(
    "--network",
    type=click.Choice(("x", "bluesky", "mastodon")),
    help="The network to rehearse; by default the first one that biobot.toml posts to, else X.",
)
@click.option(
    "--server",
    type=click.Choice(("4.5", "4.6", "4.7.2", "none", "pleroma")),
    default="4.7.2",
    show_default=True,
    help="Which Mastodon; none: a server that ignores keys.",
)
@click.option("--days", type=click.FloatRange(0.25, 366), default=7, show_default=True, help="Days to simulate.")
@click.option(
    "--faults",
    default="all",
    show_default=True,
    help="all, none, or names separated by commas, such as timeout-after,lag.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="The seed of the simulated events.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(
    options: Options, network: str | None, server: Server, days: float, faults: str, seed: int, as_json: bool
) -> None:
    """Run the whole bot against a built-in fake network, in simulated time and with faults, and judge the result.

    It uses your settings, schedule and filters, and a temporary home. Nothing leaves this machine.
    """
    import logging

    from biobot.app import rehearsing

    log = logging.getLogger("biobot")
    before = log.level
    log.setLevel(logging.INFO if options.verbose else logging.CRITICAL)
    named = {"all": None, "none": ()}.get(faults, tuple(faults.split(",")))
    try:
        with _progress() as tick:
            report = rehearsing.rehearse(options.config, datetime.now(UTC), days, named, seed, network, server, tick)
    finally:
        log.setLevel(before)
    if as_json:
        click.echo(json.dumps(report.document()))
    else:
        for line in report.lines():
            click.echo(line)
    if not report.good:
        raise BiobotError(f"{report.doubles} doubles, {report.lost} lost, {report.spins} spins: there must be none")
