"""`biobot queue`: drafts that wait, and what happened to them."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from biobot.cli import Group, Options
from biobot.cli.common import clock, nothing, table

if TYPE_CHECKING:
    from biobot.posting.post import Post

STATES = ("held", "approved", "rejected", "sending", "posted", "unconfirmed", "failed", "deleted", "skipped")


@click.group(cls=Group)
def command() -> None:
    """Look at the outbox."""


@command.command("list")
@click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Only rows in this state.")
@click.option("--limit", type=click.IntRange(min=1), help="Show only this many, the newest.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per row.")
@click.pass_obj
def list_(options: Options, states: tuple[str, ...], limit: int | None, as_json: bool) -> None:
    """List every row of the outbox, oldest first."""
    from biobot.app import health
    from biobot.posting.post import State
    from biobot.text.humanize import one_line, relative, when

    with health.open_outbox(options.usable) as outbox:
        rows = outbox.posts(*(State(each) for each in states), limit=limit, everywhere=True)
    if as_json:
        for row in rows:
            click.echo(json.dumps(health.row_json(row), ensure_ascii=False))
        return
    now, terminal = clock(), sys.stdout.isatty()

    def cells(row: Post) -> tuple[str, ...]:
        slot = "no slot" if row.slot is None else relative(row.slot, now) if terminal else when(row.slot)
        text = one_line(row.text or "")
        return f"{row.id:>5}", str(row.state), row.network, slot, f"{text}{f'  ({row.reason})' if row.reason else ''}"

    table(map(cells, rows))
    if not rows:
        nothing(options, f"nothing is {' or '.join(states)}" if states else "the queue is empty")
