"""`biobot stats`: likes, reposts and replies of the bot's own posts."""

from __future__ import annotations

import json

import click

from biobot.cli import Changing, Options
from biobot.cli.common import clock
from biobot.errors import BiobotError


@click.command(cls=Changing)
@click.option(
    "-n", "limit", type=click.IntRange(min=0), default=5, show_default=True, help="How many of the top posts to show."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per network.")
@click.pass_obj
def command(options: Options, limit: int, as_json: bool) -> None:
    """Read likes, reposts and replies of the bot's own posts, and show the best of them; connects.

    On X reading costs money, and is done only with `x.engagement = "on"` and within the month's budget.
    """
    from biobot.app import health, networks
    from biobot.text.humanize import one_line
    from biobot.text.terminal import clean

    failed = []
    for name in options.config.settings.post.all:
        try:
            each = networks.reactions(options.config, clock, name, limit)
        except BiobotError as error:  # the others are read all the same
            failed.append(f"{name}: {error}")
            continue
        best = [{**health.row_json(row), "remote_id": row.remote_id, **found} for row, found in each.best]
        if as_json:
            totals = health.totals_json(each.totals) if each.totals else None
            click.echo(json.dumps({"network": each.network, "totals": totals, "best": best}, ensure_ascii=False))
            continue
        click.echo(f"{each.network}: {health.totals_line(each.totals) if each.totals else 'nothing to show yet'}")
        for post in best:
            text = clean(one_line(post["text"]))
            figures = f"{post['likes']:>4} likes {post['reposts']:>4} reposts {post['replies']:>4} replies"
            click.echo(f"{post['id']:>5}  {figures}  {text}")
    if failed:
        raise BiobotError("; ".join(failed))
