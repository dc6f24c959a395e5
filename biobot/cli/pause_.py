"""`biobot pause`: stops posting until `biobot resume`."""

from __future__ import annotations

import click

from biobot.cli import Changing, Options
from biobot.cli.common import clock, outbox


@click.command(cls=Changing)
@click.pass_obj
def command(options: Options) -> None:
    """Stop posting until `biobot resume`. The daemon keeps running, and finishes a call under way."""
    from biobot.posting import bot_state

    with outbox(options) as opened:
        bot_state.pause(opened, clock())
    click.echo("paused; `biobot resume` continues")
