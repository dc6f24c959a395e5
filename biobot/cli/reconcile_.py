"""`biobot reconcile`: settles posts whose fate is unknown."""

from __future__ import annotations

import click

from biobot.cli import Changing, Options
from biobot.cli.common import clock, tell
from biobot.cli.completion_ import posts as completed
from biobot.errors import BiobotError


@click.command(cls=Changing)
@click.argument("post", metavar="[ID]", type=int, required=False, shell_complete=completed)
@click.option("--resend", is_flag=True, help="Send the post again, if it is not on the timeline.")
@click.pass_obj
def command(options: Options, post: int | None, resend: bool) -> None:
    """Look for unconfirmed posts on the account's timeline: for all of them, or for one.

    A post that is not found stays unconfirmed, since a timeline may lag; only --resend sends a text again.
    """
    from biobot.app.posting import network_of, opened_poster

    if resend and post is None:
        raise click.UsageError("--resend needs the ID of a post: a text is only sent again if you name it")
    config, rows, failed = options.usable, [], list[str]()
    for name in config.settings.post.all if post is None else (network_of(config, post),):
        with opened_poster(config, clock, who="`biobot reconcile`", network=name) as writer:
            if resend and post is not None:
                tell(writer.send(post, resend=True))
                return
            try:
                rows += writer.reconcile(post)
            except BiobotError as error:
                if post is not None or len(config.settings.post.all) == 1:
                    raise
                failed.append(f"{name}: {error}")  # the others are asked all the same
    for row in rows:
        click.echo(f"{row.id} is {row.state}: {row.reason}")
    if failed:
        raise BiobotError("; ".join(failed))
    if not rows:
        click.echo("nothing is unconfirmed")
