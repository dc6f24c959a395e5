"""`biobot timeline`: what was posted."""

from __future__ import annotations

import json

import click

from biobot.cli import Options
from biobot.cli.common import clock, nothing, table


@click.command()
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many of the newest posts."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per post.")
@click.pass_obj
def command(options: Options, limit: int, as_json: bool) -> None:
    """Show what was posted, on every network, newest first; the built-in fake X has no other window."""
    from biobot.app import health
    from biobot.posting.post import State
    from biobot.text.humanize import one_line, relative, when

    with health.open_outbox(options.usable) as outbox:
        rows = outbox.posts(State.POSTED, everywhere=True)
    rows = sorted(rows, key=lambda row: row.posted or row.created, reverse=True)[:limit]
    if as_json:
        for row in rows:
            click.echo(json.dumps(health.row_json(row) | {"remote_id": row.remote_id}, ensure_ascii=False))
        return
    at = ((row, row.posted or row.created) for row in rows)
    table(
        (f"{row.id:>5}", when(time), relative(time, clock()), row.network, one_line(row.text or "")) for row, time in at
    )
    if not rows:
        nothing(options, "nothing has been posted yet")
