"""`biobot why`: a post's whole history."""

from __future__ import annotations

import json

import click

from biobot.cli import Options
from biobot.cli.common import said


@click.command()
@click.argument("post", metavar="ID", type=int)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def command(options: Options, post: int, as_json: bool) -> None:
    """Show a post's whole history, and draw its text again from model, seed and temperature."""
    from biobot.app import health
    from biobot.text.terminal import clean

    found = health.why(options.config, post)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    click.echo(f"post {post} is {found['state']}" + (f" as {found['remote_id']}" if found["remote_id"] else ""))
    click.echo(f"  {clean(found['text'] or '(no text)')}")
    if found["seed"] is not None:
        click.echo(f"model {found['model']}, temperature {found['temperature']:g}, seed {found['seed']}")
    for each in found["story"]:
        reason = f": {each['reason']}" if each["reason"] else ""
        click.echo(f"{said(each['at'])}  {each['state']:<11}  by {each['by']}{reason}")
    if found["same"]:
        click.echo("redrawn: the same text")
    elif found["same"] is False:
        click.echo(f"redrawn: a different text ({found['note']}):\n  {clean(found['drawn_again'])}")
    else:
        click.echo(found["note"])
