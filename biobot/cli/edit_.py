"""`biobot edit`: changes a draft's text."""

from __future__ import annotations

import click

from biobot.cli import Options
from biobot.cli.common import clock, outbox


@click.command()
@click.argument("post", metavar="ID", type=int)
@click.option("--text", required=True, help="The new text.")
@click.option("--rev", type=int, help="The revision that you saw: fail if the draft has changed since.")
@click.pass_obj
def command(options: Options, post: int, text: str, rev: int | None) -> None:
    """Change a draft's text, if the filters accept the new one."""
    from biobot.app import posting

    with outbox(options) as opened:
        row = posting.edit(options.usable, opened, post, text, clock(), rev)
    click.echo(f"edited {post} (revision {row.rev}): {row.state}")
