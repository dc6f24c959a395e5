"""`biobot rehearse`: runs the whole bot against a built-in fake network, in simulated time."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from biobot.cli import Options
from biobot.errors import BiobotError

if TYPE_CHECKING:
    from biobot.rehearsal.mastodon import Server


@click.command("rehearse", short_help="Run the whole bot against a built-in fake network, in simulated time.")
@click.option(
    "--network",
    type=click.Choice(("x", "bluesky", "mastodon")),
    default="x",
    show_default=True,
    help="The network to rehearse.",
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
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed gives another course of events.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(options: Options, network: str, server: Server, days: float, faults: str, seed: int, as_json: bool) -> None:
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
        report = rehearsing.rehearse(options.config, datetime.now(UTC), days, named, seed, network, server)
    finally:
        log.setLevel(before)
    if as_json:
        click.echo(json.dumps(report.document()))
    else:
        for line in report.lines():
            click.echo(line)
    if not report.good:
        raise BiobotError(f"{report.doubles} doubles, {report.lost} lost, {report.spins} spins: there must be none")
