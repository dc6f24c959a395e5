"""`biobot edit`: another text for a draft."""

from __future__ import annotations

from functools import partial

import click

from biobot.cli import Options
from biobot.cli.common import clock, outbox


@click.command()
@click.argument("post", metavar="ID", type=int)
@click.option("--text", required=True, help="The new text; the filters judge it.")
@click.option("--rev", type=int, help="The revision that you saw; if the row has changed since, nothing happens.")
@click.pass_obj
def command(options: Options, post: int, text: str, rev: int | None) -> None:
    """Change a draft's text, if the filters let the new one pass."""
    from biobot.app.posting import objections
    from biobot.posting import review

    with outbox(options) as opened:
        row = review.edit(opened, partial(objections, options.config), post, text, clock(), rev)
    click.echo(f"edited {post} (revision {row.rev}); it is {row.state}")
