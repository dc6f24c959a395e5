"""`biobot queue`: what waits, and what became of it."""

from __future__ import annotations

import json

import click

from biobot.cli import Group, Options

STATES = ("held", "approved", "rejected", "sending", "posted", "unconfirmed", "failed", "deleted", "skipped")


@click.group(cls=Group)
def command() -> None:
    """Look at the outbox."""


@command.command("list")
@click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Only rows in this state.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the newest so many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a row.")
@click.pass_obj
def list_(options: Options, states: tuple[str, ...], limit: int | None, as_json: bool) -> None:
    """List every row of the outbox, oldest first."""
    from biobot.app import health
    from biobot.posting.post import State
    from biobot.text.humanize import when
    from biobot.text.terminal import clean

    with health.open_outbox(options.usable) as outbox:
        rows = outbox.posts(*(State(each) for each in states), limit=limit, everywhere=True)
    for row in rows:
        if as_json:
            click.echo(json.dumps(health.row_json(row), ensure_ascii=False))
            continue
        slot = when(row.slot) if row.slot else "no slot"
        text = clean((row.text or "").replace("\n", " ⏎ "))
        reason = f"  ({row.reason})" if row.reason else ""
        click.echo(f"{row.id:>5}  {row.state:<11}  {row.network:<9}  {slot:<23}  {text}{reason}")
    if not rows and not as_json:
        click.echo(f"nothing is {' or '.join(states)}" if states else "the queue is empty", err=True)
