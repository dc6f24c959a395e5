"""`biobot status`: the bot's health."""

from __future__ import annotations

import json
from typing import Any

import click

from biobot.cli import Options
from biobot.cli.common import clock, said


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def command(options: Options, as_json: bool) -> None:
    """Show the bot's health, its next slot, and any problems."""
    from biobot.app import health

    found = health.status(options.config, clock())
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else "\n".join(_lines(found)))


def _lines(found: dict[str, Any]) -> list[str]:
    budget = found["budget"]
    queue = ", ".join(f"{count} {state}" for state, count in found["queue"].items() if count) or "empty"
    lines = [
        f"{found['state']}" + (f": {found['daemon']}" if found["daemon"] else ""),
        f"network    {found['network']}, review {found['review']}, model {found['model']}",
        f"last post  {said(found['last_post'], 'none yet')}",
        f"next slot  {said(found['next_slot'], 'none')}",
        f"queue      {queue}",
        f"refused    {', '.join(f'{name} {count}' for name, count in found['filters'].items()) or 'none yet'}",
        f"budget     {budget['posts_today']} of {budget['posts_per_day']} posts today, "
        f"${budget['usd_this_month']:.2f} of ${budget['usd_per_month']:.2f} this month",
        f"training   {_trained(found['training'])}",
    ]
    return [*lines, *(f"problem    {each}" for each in found["problems"])]


def _trained(last: dict[str, Any] | None) -> str:
    if last is None:
        return "none yet"
    if last["outcome"] == "running":
        return f"running since {said(last['began'])}, step: {last['step']}"
    outcome = f"{said(last['ended'] or last['began'])}: {last['outcome']}"
    if last["model"] is None:
        outcome += f" at the step: {last['step']}"
    return f"{outcome}; {last['why']}" if last["why"] else outcome
