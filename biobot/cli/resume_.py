"""`biobot resume`: posts again, after `pause` or after the bot blocked itself."""

from __future__ import annotations

import click

from biobot.cli import Options
from biobot.cli.common import clock, outbox


@click.command()
@click.pass_obj
def command(options: Options) -> None:
    """Go on posting: ends a pause, a block, a wait, and an open breaker."""
    from biobot.posting import review

    with outbox(options) as opened:
        review.resume(opened, clock())
    click.echo("resumed")
