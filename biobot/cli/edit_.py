"""`biobot edit`: changes a draft's text."""

from __future__ import annotations

import click

from biobot.cli import Changing, Options
from biobot.cli.common import clock, outbox
from biobot.cli.completion_ import posts as completed
from biobot.errors import OutboxError


@click.command(cls=Changing)
@click.argument("post", metavar="ID", type=int, shell_complete=completed)
@click.option("--text", help="The new text; without it, your $EDITOR opens.")
@click.option("--rev", type=int, help="The revision that you saw: fail if the draft has changed since.")
@click.pass_obj
def command(options: Options, post: int, text: str | None, rev: int | None) -> None:
    """Change a draft's text, if the filters accept the new one."""
    from biobot.app import posting

    with outbox(options) as opened:
        if text is None:
            seen = opened.get(post)
            rev = seen.rev if rev is None else rev
            edited = click.edit(seen.text or "", extension=".txt")
            if edited is None or edited.rstrip("\n") == seen.text:
                raise OutboxError(f"the text was not changed; post {post} stays as it is")
            text = edited.rstrip("\n")
        row = posting.edit(options.usable, opened, post, text, clock(), rev)
    click.echo(f"edited {post} (revision {row.rev}): {row.state}")
