"""`biobot networks`: the networks, their limits, and the accounts on them."""

from __future__ import annotations

import json

import click

from biobot.cli import Changing, Group, Options
from biobot.cli.common import clock, table
from biobot.errors import BiobotError


@click.group(cls=Group)
def command() -> None:
    """Look at the networks that posts can go to."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per network.")
@click.pass_obj
def list_(options: Options, as_json: bool) -> None:
    """List the networks, which of them are used, and their limits."""
    from biobot.app import networks

    rows = []
    for each in networks.overview(options.config):
        if as_json:
            click.echo(json.dumps(each, ensure_ascii=False))
            continue
        if each["max_length"] is None:
            click.echo(f"{each['name']:<10} a plugin, not used")
            continue
        lasts = each["key_lasts"]
        again = "at any time" if lasts == "for ever" else f"within {lasts}" if lasts else "only by a person"
        used = [
            *(["used"] if each["in_use"] else []),
            *([f"needs {', '.join(each['missing'])}"] if each["missing"] else []),
        ]
        about = f"up to {each['max_length']:,} characters; {'; '.join(used) or 'ready'}"
        rows.append((each["name"], f"{about}; an unconfirmed post is sent again {again}"))
    table(rows)


@command.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.pass_obj
def check(options: Options, names: tuple[str, ...]) -> None:
    """Try account, scopes and limits of the networks that are used, or of those named; connects."""
    from biobot.app import networks

    failed = []
    for name in names or options.config.settings.post.all:
        try:
            for line in networks.check(options.config, clock, name):
                click.echo(f"{name:<10} {line}")
        except BiobotError as error:  # the others are checked all the same
            failed.append(f"{name}: {error}")
    if failed:
        raise BiobotError("; ".join(failed))


@command.command(cls=Changing)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.pass_obj
def label(options: Options, names: tuple[str, ...]) -> None:
    """Mark the account as a bot's on the networks that are used, or on those named; connects."""
    from biobot.app import networks

    for name in names or options.config.settings.post.all:
        click.echo(f"{name:<10} {networks.label(options.config, clock, name)}")
