"""`biobot undo`: deletes a post from the network."""

from __future__ import annotations

import click

from biobot.cli import Changing, Options
from biobot.cli.common import clock
from biobot.cli.completion_ import posts as completed


@click.command(cls=Changing)
@click.argument("post", metavar="ID", type=int, shell_complete=completed)
@click.pass_obj
def command(options: Options, post: int) -> None:
    """Delete a post from the network. It must be one that this bot is known to have posted."""
    from biobot.app.posting import network_of, opened_poster

    network = network_of(options.usable, post)
    with opened_poster(options.usable, clock, who="`biobot undo`", network=network) as writer:
        row = writer.undo(post)
    click.echo(f"deleted {row.id} ({row.remote_id})")
