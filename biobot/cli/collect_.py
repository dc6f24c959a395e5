"""`biobot collect`: fresh bios from X, for as much as you allow."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from threading import Event
from typing import TYPE_CHECKING

import click

from biobot.cli import Changing, Options
from biobot.cli.common import clock
from biobot.text.humanize import counted, lasting

if TYPE_CHECKING:
    from biobot.collect.collector import Step, Tally
    from biobot.collect.sources import Estimate
    from biobot.config import Config

EVERY = 10.0
"""Seconds between two lines of progress where no one watches."""


def bounds(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that every run that costs money has."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line."),
        click.option("--budget", type=click.FloatRange(min=0), metavar="USD", help="Spend no more than this."),
        click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Fetch no more people than this."),
        click.option("--dry-run", is_flag=True, help="Only say what it would cost; make no connection."),
    ):
        command = option(command)
    return command


@click.command("collect", cls=Changing)
@bounds
@click.pass_obj
def command(options: Options, dry_run: bool, limit: int | None, budget: float | None, as_json: bool) -> None:
    """Fetch fresh bios from the sources in [collect]: the cost first, then page by page.

    It can be stopped at any moment, and goes on from there. Read docs/collecting.md before you turn it on.
    """
    from biobot.app import collecting

    run(options.config, collecting.estimate, collecting.collect, dry_run, limit, budget, as_json)


def run(
    config: Config,
    estimate: Callable[..., Estimate],
    collect: Callable[..., Iterator[tuple[Step, Tally]]],
    dry_run: bool,
    limit: int | None,
    budget: float | None,
    as_json: bool,
) -> None:
    """Show what something will cost, then do it."""
    print_estimate(estimate(config, clock(), limit, budget), as_json and dry_run)
    if not dry_run:
        print_progress(collect(config, clock, stop_on_signals(), limit=limit, budget=budget), as_json)


def print_estimate(estimate: Estimate, as_json: bool) -> None:
    """Show what a run will take at most."""
    if as_json:
        sizes = {source.root: size for source, size in estimate.sizes.items()}
        figures = {"people": estimate.people, "requests": estimate.requests, "usd": round(estimate.usd, 4)}
        figures["seconds"] = estimate.time.total_seconds()
        click.echo(json.dumps({"event": "estimate", **figures, "sources": sizes}))
        return
    for source, size in estimate.sizes.items():
        left = "as many as X has" if size is None else f"{size:,} people" if size else "nothing new"
        click.echo(f"  {source.kind:<10} {source.target:<30} {left}", err=True)
    click.echo(
        f"at most {estimate.people:,} people in {counted(estimate.requests, 'request')}, ${estimate.usd:,.2f}, "
        f"about {lasting(estimate.time)}",
        err=True,
    )


def print_progress(steps: Iterator[tuple[Step, Tally]], as_json: bool) -> None:
    """Show a run as it goes: JSON lines, or a line of text that is written over on a terminal."""
    from biobot.text.terminal import clean, painted

    began = shown = time.monotonic()
    live, screen = sys.stderr.isatty(), painted(sys.stderr)
    start = "\r\x1b[K" if live else ""
    for step, tally in steps:
        now, why, source = time.monotonic(), clean(step.why), clean(step.source)  # the words may be X's
        if as_json:
            figures = {**vars(tally), "usd": round(tally.usd, 4)}
            figures |= {"source": step.source, "why": step.why, "wait_s": step.wait.total_seconds()}
            click.echo(json.dumps({"event": step.event, **figures}))
            continue
        line = (
            f"{tally.people:,} people, {counted(tally.added, 'new bio')}, ${tally.usd:,.2f}, "
            f"{tally.people / max(now - began, 0.1):,.0f} people/s"
        )
        if step.event == "page":
            if live or now - shown >= EVERY:
                shown = now
                click.echo(f"{start}{line}  {source}", file=screen, nl=not live)
            continue
        if step.event == "wait":
            click.echo(f"{start}waiting {lasting(step.wait)}: {why}", file=screen)
        elif step.event == "source":
            click.echo(f"{start}{source}: {why}", file=screen)
        else:
            click.echo(start, file=screen, nl=False)
            click.echo(line)
            for reason, count in tally.left_out.most_common():
                click.echo(f"  {count:,} not stored: {reason}")
            if tally.removed:
                click.echo(f"  {tally.removed:,} removed: deleted, protected, suspended or withheld by now")
            if tally.unanswered:
                click.echo(f"  {tally.unanswered:,} kept for now: X did not say whether they are still there")
            click.echo(why)


def stop_on_signals() -> Callable[[timedelta], bool]:
    """Return a pause that SIGTERM and Ctrl-C end at once, and that then says so."""
    over = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    return lambda wait: over.wait(wait.total_seconds()) if wait else over.is_set()
