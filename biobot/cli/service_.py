"""`biobot service`: sets up a bot that systemd runs."""

from __future__ import annotations

import shlex
import shutil
import sys

import click

from biobot.cli import Group


@click.group(cls=Group)
def command() -> None:
    """Set up a bot that systemd runs."""


@command.command()
@click.argument("name")
def install(name: str) -> None:
    """Create /etc/biobot/NAME with a folder for the bot's keys, and the units that run it as `biobot@NAME`.

    Existing files are not changed, but for the units, which follow this version of biobot.
    """
    from biobot.app import service

    for line in service.install(name):
        click.echo(line)
    program = "biobot" if shutil.which("biobot") else shlex.quote(sys.argv[0])
    click.echo(
        f"next: systemctl enable --now biobot@{name}   (posts to a built-in fake X until you change biobot.toml)"
    )
    click.echo(f"then: {program} --bot {name} status")
