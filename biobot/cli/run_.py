"""`biobot run`: the daemon, or one slot of it."""

from __future__ import annotations

import logging
import os
import sys
from datetime import datetime

import click

from biobot.cli import Options
from biobot.cli.common import tell


@click.command()
@click.option("--once", is_flag=True, help="Fill one slot now, whatever the schedule says, and exit.")
@click.pass_obj
def command(options: Options, once: bool) -> None:
    """Post on schedule until stopped (SIGTERM, Ctrl-C). Each post is one line on standard error."""
    from biobot import daemon
    from biobot.posting.schedule import zone

    # the journal has a timestamp of its own for each line
    line = "%(message)s" if "JOURNAL_STREAM" in os.environ else "%(asctime)s %(message)s"
    logging.basicConfig(stream=sys.stderr, force=True)
    formatter = logging.Formatter(line, "%Y-%m-%d %H:%M:%S")
    local = zone(options.config.settings.schedule)
    formatter.converter = lambda seconds: datetime.fromtimestamp(seconds or 0, local).timetuple()
    logging.getLogger().handlers[0].setFormatter(formatter)
    logging.getLogger("biobot").setLevel(logging.DEBUG if options.verbose else logging.INFO)
    if once:
        options.announce()
        tell(*daemon.once(options.config))
    else:
        daemon.run(options.config)
