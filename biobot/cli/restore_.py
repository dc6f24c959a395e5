"""`biobot restore`: a bot out of the file that `biobot backup` wrote."""

from __future__ import annotations

from pathlib import Path

import click

from biobot.cli import Options
from biobot.cli.common import clock


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.pass_obj
def command(options: Options, file: Path) -> None:
    """Put the bot of a backup into this folder, which must not hold one; with --config and --home, where these say.

    A bot that posts to an account is then paused until `biobot resume`: never run two copies of one.
    """
    from biobot.app.backup import restore
    from biobot.config import at

    place = at(options.file, options.home)
    for line in restore(place, file, clock()):
        click.echo(line)
