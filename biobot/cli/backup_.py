"""`biobot backup`: all of a bot in one file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import click

from biobot.cli import Options
from biobot.cli.common import clock
from biobot.errors import ConfigError


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--keys/--no-keys", default=True, help="With its keys (.env, and a service's credentials/), or without.")
@click.pass_obj
def command(options: Options, file: Path, keys: bool) -> None:
    """Write all of the bot to FILE, a tar archive: settings, plugins, keys, posts, bios, marks and models.

    The daemon may be running; - is standard output. FILE holds keys and other people's bios: keep it to yourself.
    """
    from biobot.app.backup import backup
    from biobot.app.running import name

    to_stdout = str(file) == "-"
    try:  # root stays root: only it can read a service's keys, and write where it is
        config = options.seen if os.geteuid() == 0 else options.config
    except ConfigError:
        config = options.usable
    if to_stdout and stat.S_ISREG(os.fstat(1).st_mode):
        os.fchmod(1, 0o600)  # the shell made the file, perhaps for everybody to read
    click.echo(name(config), err=to_stdout)
    for line in backup(config, None if to_stdout else file, clock(), keys=keys):
        click.echo(line, err=to_stdout)
    if not to_stdout:
        click.echo(f"wrote {file} ({file.stat().st_size / 1e6:.1f} MB); `biobot restore` puts it into an empty folder")
