"""`biobot reject`: a person's no."""

from __future__ import annotations

import click

from biobot.cli import Options
from biobot.cli.common import clock, decide


@click.command()
@click.argument("posts", metavar="ID...", nargs=-1, required=True, type=int)
@click.option("--rev", type=int, help="The revision that you saw; if the row has changed since, nothing happens.")
@click.pass_obj
def command(options: Options, posts: tuple[int, ...], rev: int | None) -> None:
    """Drop drafts; others get their slots."""
    from biobot.posting import review

    decide(options, posts, "rejected", lambda outbox, post: review.reject(outbox, post, clock(), rev))
