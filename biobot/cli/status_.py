"""`biobot status`: the bot's health."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from biobot.cli import Options
from biobot.cli.common import clock, said, table

if TYPE_CHECKING:
    from biobot.app.health import Status
    from biobot.config import Config


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(options: Options, as_json: bool) -> None:
    """Show the bot's health, its next slot, and any problems."""
    from biobot.app import health, running

    config = running.current(options.usable)
    found = health.status(config, clock())
    if as_json:
        click.echo(json.dumps(health.status_json(config, found), ensure_ascii=False))
        return
    click.echo(running.name(config))
    table(_rows(config, found))


def _rows(config: Config, found: Status) -> Iterator[tuple[str, str]]:
    from biobot.app.health import totals_line
    from biobot.text.humanize import relative, when

    def at(moment: datetime | None, never: str) -> str:
        return f"{when(moment)}, {relative(moment, clock())}" if moment else never

    left, post = found.left, config.settings.post
    yield found.state, found.daemon or ""
    yield "network", f"{', '.join(post.all)}, review {post.review}, model {found.model}"
    if not found.unread:
        yield "last post", at(found.last_post, "none yet")
        yield "next slot", at(found.next_slot, "none before `biobot resume`" if found.state == "paused" else "none")
        yield "queue", ", ".join(f"{count} {state}" for state, count in found.queue.items() if count) or "empty"
        yield "refused", ", ".join(f"{name} {count}" for name, count in found.refused.items()) or "none yet"
        yield (
            "budget",
            f"{left.posts_today} of {left.posts_per_day} posts today, "
            f"${left.usd_month:.2f} of ${left.usd_per_month:.2f} this month",
        )
    yield "training", _training(found.training)
    for name, each in found.engagement.items():
        yield "reactions", f"{name}: {totals_line(each)}"
    for other in found.networks if len(found.networks) > 1 and not found.unread else ():
        used = f"{other.left.posts_today} of {other.left.posts_per_day} posts today, ${other.left.usd_month:.2f}"
        done = f"last post {at(other.last_post, 'none yet')}, {other.queue['unconfirmed']} unconfirmed"
        yield f"  {other.name}", f"{other.state}, {used}, {done}"
    for problem in found.problems:
        yield "problem", problem


def _progress(found: dict[str, Any]) -> str:
    from biobot.text.humanize import lasting

    share = f", {found['step'] / found['steps']:.0%}" if found.get("steps") else ""
    rate = f", {found['bytes_per_second'] / 1000:.1f} KB/s" if found.get("bytes_per_second") else ""
    return f"{share}{rate}" + (f", {lasting(timedelta(seconds=found['eta_s']))} to go" if found.get("eta_s") else "")


def _training(last: dict[str, Any] | None) -> str:
    if last is None:
        return "none yet"
    if last["outcome"] == "running":
        return f"running since {said(last['began'])}, step: {last['step']}{_progress(last.get('progress') or {})}"
    outcome = f"{said(last['ended'] or last['began'])}: {last['outcome']}"
    if last["model"] is None:
        outcome += f" at the step: {last['step']}"
    return f"{outcome}; {last['why']}" if last["why"] else outcome
