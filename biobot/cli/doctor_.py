"""`biobot doctor`: checks the whole set-up."""

from __future__ import annotations

import json

import click

from biobot.cli import Options
from biobot.cli.common import clock, table
from biobot.errors import BiobotError


@click.command()
@click.option("--online", is_flag=True, help="Also ask the network whose account the keys belong to; costs a read.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per check.")
@click.pass_obj
def command(options: Options, online: bool, as_json: bool) -> None:
    """Check the whole set-up: one line per check, with a fix for what is wrong."""
    from biobot.app import doctor

    failed = 0
    for result in doctor.check_all(options.config, clock(), online=online):
        failed += not result.ok
        if as_json:
            click.echo(json.dumps({"check": result.name, "ok": result.ok, "found": result.found}, ensure_ascii=False))
        else:
            table([("ok  " if result.ok else "FAIL", f"{result.name:<9}", result.found)])
    if failed:
        raise BiobotError(f"{failed} {'check' if failed == 1 else 'checks'} failed: see the lines with FAIL")
