"""`biobot doctor`: the check-up."""

from __future__ import annotations

import click

from biobot.cli import Options
from biobot.cli.common import clock
from biobot.errors import BiobotError


@click.command()
@click.option("--online", is_flag=True, help="Ask the network whose keys these are; costs a read.")
@click.pass_obj
def command(options: Options, online: bool) -> None:
    """Check the whole set-up, a line each with its mend."""
    from biobot.app import health

    ill = 0
    for finding in health.doctor(options.config, clock(), online=online):
        ill += not finding.well
        click.echo(f"{'ok' if finding.well else 'NO':<3} {finding.what:<9} {finding.found}")
    if ill:
        raise BiobotError(f"{ill} of these {'needs' if ill == 1 else 'need'} mending")
