"""`biobot init`: creates a bot's folder."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from biobot.errors import BiobotError


@click.command("init")
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path, file_okay=False))
def command(folder: Path) -> None:
    """Create a bot's folder: biobot.toml with every key explained, .env for the keys, plugins/ with an example.

    Existing files are not changed.
    """
    from biobot.app.folder import write

    try:
        for line in write(folder):
            click.echo(line)
    except OSError as error:
        raise BiobotError(f"cannot write {error.filename or folder}: {error.strerror}; choose another folder") from None
    there = "" if folder == Path() else f"cd {shlex.quote(str(folder))} && "
    click.echo(f"next: {there}biobot preview")
    click.echo(f"then: {there}biobot run   (posts to a built-in fake X until you change biobot.toml)")
