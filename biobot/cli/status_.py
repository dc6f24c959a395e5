"""`biobot status`: the bot's health."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from biobot.cli import Options
from biobot.cli.common import clock, said

if TYPE_CHECKING:
    from biobot.app.health import Status
    from biobot.config import Config


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def command(options: Options, as_json: bool) -> None:
    """Show the bot's health, its next slot, and any problems."""
    from biobot.app import health, running

    config = running.current(options.usable)
    found = health.status(config, clock())
    if as_json:
        click.echo(json.dumps(health.status_json(config, found), ensure_ascii=False))
    else:
        click.echo("\n".join(_lines(config, found)))


def _lines(config: Config, found: Status) -> list[str]:
    from biobot.app.health import totals_line
    from biobot.app.running import name
    from biobot.text.humanize import when

    left, post = found.left, config.settings.post
    queue = ", ".join(f"{count} {state}" for state, count in found.queue.items() if count) or "empty"
    lines = [
        name(config),
        f"{found.state}" + (f": {found.daemon}" if found.daemon else ""),
        f"network    {', '.join(post.all)}, review {post.review}, model {found.model}",
        f"last post  {when(found.last_post) if found.last_post else 'none yet'}",
        f"next slot  {when(found.next_slot) if found.next_slot else 'none'}",
        f"queue      {queue}",
        f"refused    {', '.join(f'{name} {count}' for name, count in found.refused.items()) or 'none yet'}",
        f"budget     {left.posts_today} of {left.posts_per_day} posts today, "
        f"${left.usd_month:.2f} of ${left.usd_per_month:.2f} this month",
        f"training   {_training(found.training)}",
        *(f"reactions  {name}: {totals_line(each)}" for name, each in found.engagement.items()),
    ]
    if len(found.networks) > 1:
        for each in found.networks:
            used = f"{each.left.posts_today} of {each.left.posts_per_day} posts today, ${each.left.usd_month:.2f}"
            done = f"last post {when(each.last_post) if each.last_post else 'none yet'}"
            lines.append(f"  {each.name:<9}{each.state}, {done}, {used}, {each.queue['unconfirmed']} unconfirmed")
    return [*lines, *(f"problem    {each}" for each in found.problems)]


def _training(last: dict[str, Any] | None) -> str:
    if last is None:
        return "none yet"
    if last["outcome"] == "running":
        return f"running since {said(last['began'])}, step: {last['step']}"
    outcome = f"{said(last['ended'] or last['began'])}: {last['outcome']}"
    if last["model"] is None:
        outcome += f" at the step: {last['step']}"
    return f"{outcome}; {last['why']}" if last["why"] else outcome
