"""`biobot resume`: continues after `biobot pause`, or after the bot has blocked itself."""

from __future__ import annotations

import click

from biobot.cli import Changing, Options
from biobot.cli.common import clock, outbox


@click.command(cls=Changing)
@click.pass_obj
def command(options: Options) -> None:
    """Resume posting: end a pause, a block, a wait, or an open circuit breaker."""
    from biobot.posting import bot_state

    with outbox(options) as opened:
        bot_state.resume(opened, clock())
    click.echo("resumed")
