"""`biobot pause`: no posts until `resume`."""

from __future__ import annotations

import click

from biobot.cli import Options
from biobot.cli.common import clock, outbox


@click.command()
@click.pass_obj
def command(options: Options) -> None:
    """Stop posting until `biobot resume`; the daemon stays, and a call under way is finished."""
    with outbox(options) as opened:
        opened.set_flag("paused", "by a person", clock(), "person")
    click.echo("paused; `biobot resume` goes on")
