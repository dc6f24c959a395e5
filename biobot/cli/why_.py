"""`biobot why`: a post's whole history."""

from __future__ import annotations

import json
import sys

import click

from biobot.cli import Options
from biobot.cli.common import say
from biobot.cli.completion_ import posts as completed


@click.command()
@click.argument("post", metavar="ID", type=int, shell_complete=completed)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(options: Options, post: int, as_json: bool) -> None:
    """Show a post's whole history, and draw its text again from all that is on record."""
    from biobot.app import health

    if sys.stderr.isatty():
        click.echo("drawing it again …", err=True)
    found = health.why(options.usable, post)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    say(*health.story_lines(found))
