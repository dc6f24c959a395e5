"""`biobot reject`: rejects drafts."""

from __future__ import annotations

import click

from biobot.cli import Changing, Options
from biobot.cli.common import clock, decide
from biobot.cli.completion_ import posts as completed


@click.command(cls=Changing)
@click.argument("posts", metavar="ID...", nargs=-1, required=True, type=int, shell_complete=completed)
@click.option("--rev", type=int, help="The revision that you saw: fail if the draft has changed since.")
@click.option("--reason", help="Why; `biobot why` shows it.")
@click.pass_obj
def command(options: Options, posts: tuple[int, ...], rev: int | None, reason: str | None) -> None:
    """Reject drafts; their slots get others."""
    from biobot.posting import transitions

    decide(options, posts, lambda outbox, post: transitions.reject(outbox, post, clock(), rev, reason=reason))
