"""`biobot post`: makes one post now."""

from __future__ import annotations

import sys

import click

from biobot.cli import Changing, Options
from biobot.cli.common import clock, tell


@click.command(cls=Changing)
@click.option("--text", help="Post this text, if the filters accept it; by default, a draft.")
@click.pass_obj
def command(options: Options, text: str | None) -> None:
    """Make one post now. Schedule and quiet hours are ignored, filters and budget are not."""
    from biobot.app.posting import post_everywhere

    if text is None and sys.stderr.isatty():
        click.echo("choosing a draft; where none is ready, drawing one takes half a minute …", err=True)
    tell(*post_everywhere(options.config, clock, "`biobot post`", text))
