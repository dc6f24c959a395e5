"""`biobot approve`: a person's yes."""

from __future__ import annotations

import click

from biobot.cli import Options
from biobot.cli.common import clock, decide


@click.command()
@click.argument("posts", metavar="ID...", nargs=-1, required=True, type=int)
@click.option("--rev", type=int, help="The revision that you saw; if the row has changed since, nothing happens.")
@click.pass_obj
def command(options: Options, posts: tuple[int, ...], rev: int | None) -> None:
    """Let held drafts be posted."""
    from biobot.posting import review

    decide(options, posts, "approved", lambda outbox, post: review.approve(outbox, post, clock(), rev))
