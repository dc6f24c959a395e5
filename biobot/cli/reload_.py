"""`biobot reload`: has the daemon read biobot.toml again."""

from __future__ import annotations

import os
import re
import signal
import time

import click

from biobot.cli import Changing, Options
from biobot.errors import BiobotError

PATIENCE = 30.0
"""Seconds that the daemon may take: it may be in the middle of a post."""
OLD = 8.0
"""For so many seconds a problem that was there before may be one that this ends."""


@click.command(cls=Changing)
@click.pass_obj
def command(options: Options) -> None:
    """Have the running daemon read biobot.toml, the keys and the plugins again, now.

    It notices a changed biobot.toml by itself within seconds; changed keys need this.
    """
    from biobot.app import health, running
    from biobot.posting import locks
    from biobot.posting.notices import problems

    config = options.config  # a broken file is reported here
    daemon = locks.holder(config.home, locks.DAEMON)
    found = re.search(r"^the daemon \(pid (\d+)", daemon or "")
    if found is None:
        raise BiobotError(f"no daemon runs in {config.home}; the next `biobot run` reads the file as it is")
    noted = config.home / running.FILE
    before = noted.stat().st_mtime_ns if noted.exists() else 0
    with health.open_outbox(config) as outbox:
        old = problems(outbox).get("config")
    try:
        os.kill(int(found[1]), signal.SIGHUP)
    except PermissionError:
        raise BiobotError(f"{daemon} belongs to another user; run this as that user or as root") from None
    start = time.monotonic()
    until = start + PATIENCE
    while time.monotonic() < until and locks.holder(config.home, locks.DAEMON) is not None:
        if noted.exists() and noted.stat().st_mtime_ns != before:
            click.echo(f"{daemon} has read {config.file or 'the keys'} again")
            return
        with health.open_outbox(config) as outbox:
            problem = problems(outbox).get("config")
        if problem and (problem != old or time.monotonic() > start + OLD):
            raise BiobotError(problem)
        time.sleep(0.1)
    raise BiobotError(f"{daemon} did not answer; look at its log")
