"""`biobot backup`: all of a bot in one file."""

from __future__ import annotations

from pathlib import Path

import click

from biobot.cli import Options
from biobot.cli.common import clock


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.pass_obj
def command(options: Options, file: Path) -> None:
    """Write all of the bot to FILE, a tar archive: settings, keys, plugins, posts, bios, marks and models.

    The daemon may be running; - is standard output. FILE holds keys and other people's bios: keep it to yourself.
    """
    from biobot.app.backup import backup
    from biobot.app.running import name

    to_stdout = str(file) == "-"
    click.echo(name(options.usable), err=to_stdout)
    for line in backup(options.usable, None if to_stdout else file, clock()):
        click.echo(line, err=to_stdout)
    if not to_stdout:
        click.echo(f"wrote {file} ({file.stat().st_size / 1e6:.1f} MB); `biobot restore` puts it into an empty folder")
