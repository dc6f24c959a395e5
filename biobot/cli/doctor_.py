"""`biobot doctor`: checks the whole set-up."""

from __future__ import annotations

import click

from biobot.cli import Options
from biobot.cli.common import clock
from biobot.errors import BiobotError


@click.command()
@click.option("--online", is_flag=True, help="Also ask the network whose account the keys belong to; costs a read.")
@click.pass_obj
def command(options: Options, online: bool) -> None:
    """Check the whole set-up: one line per check, with a fix for what is wrong."""
    from biobot.app import health

    failed = 0
    for finding in health.doctor(options.config, clock(), online=online):
        failed += not finding.well
        click.echo(f"{'ok' if finding.well else 'NO':<3} {finding.what:<9} {finding.found}")
    if failed:
        raise BiobotError(f"{failed} {'check' if failed == 1 else 'checks'} failed: see the lines with NO")
