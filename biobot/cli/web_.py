"""`biobot web`: the console, for a browser."""

from __future__ import annotations

import getpass
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from biobot.cli import Options
from biobot.errors import BiobotError
from biobot.storage import atomic_write

if TYPE_CHECKING:
    from biobot.web.middleware import Origin

NEEDED = ("jinja2", "starlette", "uvicorn")


@click.command()
@click.option("-p", "--port", type=click.IntRange(0, 65535), help="Where to listen; 4280 unless told otherwise.")
@click.option("--link", "again", is_flag=True, help="Make a new link to the running console.")
@click.option("--bind", metavar="ADDRESS", help="The address to listen on; by default a loopback address of its own.")
@click.option(
    "--behind-tls", metavar="URL", help="The https:// origin of a proxy in front; needed for a public address."
)
@click.pass_obj
def command(options: Options, port: int | None, again: bool, bind: str | None, behind_tls: str | None) -> None:
    """Open the console: review, temperature lab, training, history.

    It can be reached from this machine only. The link that signs a browser in works once, within ten minutes; it is
    printed to a terminal only, and otherwise written to a file that only you can read.
    """
    try:
        from biobot.web import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "jinja2", "markupsafe", "uvicorn", "h11", "anyio"):
            raise
        from biobot.app.installing import adding

        raise BiobotError(f"the console needs {', '.join(NEEDED)}: {adding(NEEDED)}") from None

    config = options.config
    if again:
        if port is not None or bind or behind_tls:
            raise click.UsageError("--link takes no other option: the running console knows its address")
        _say(serve.runtime(config) / "link", *serve.link(config, _now))
        return
    # uvicorn raises the signal again after its shutdown; ending on request is not a failure
    signal.signal(signal.SIGTERM, lambda *_: None)
    number = serve.PORT if port is None else port
    tunnel = bind == "127.0.0.1" or "SSH_CONNECTION" in os.environ
    with serve.console(config, address=bind, port=number, public=behind_tls, tunnel=tunnel, clock=_now) as running:
        _say(serve.runtime(config) / "link", running.origin, running.token)
        running.run()


def _now() -> datetime:
    return datetime.now(UTC)


def _say(file: Path, origin: Origin, token: str) -> None:
    """Print the link at a terminal; in a log or a pipe say which file holds it instead."""
    link = f"{origin.url}/?token={token}"
    if sys.stdout.isatty():
        click.echo(f"the console: {link}")
        if reached := os.environ.get("SSH_CONNECTION", "").split():
            host, _, port = origin.host.rpartition(":")
            tunnel = f"ssh -L {port}:{host}:{port} {getpass.getuser()}@{reached[2]}"
            click.echo(f"on your own machine: {tunnel}\nand there open: http://localhost:{port}/?token={token}")
        click.echo("the link works once, within ten minutes; `biobot web --link` makes a new one", err=True)
    else:
        with atomic_write(file) as written:
            written.write(f"{link}\n".encode())
        click.echo(f"the console is at {origin.url}; its one-time link is in {file}", err=True)
