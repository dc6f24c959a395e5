"""Helpers that the posting commands share: opening the outbox or the poster, and printing the result."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

import click

from biobot.cli import Options
from biobot.errors import OutboxError

if TYPE_CHECKING:
    from biobot.candidate import Verdict
    from biobot.posting.outbox import Outbox
    from biobot.posting.post import Post


def clock() -> datetime:
    """Return the current time."""
    return datetime.now(UTC)


def said(stamp: str | None, never: str = "never") -> str:
    """Format a JSON object's time for people; `never` for None."""
    from biobot.text.humanize import when

    return never if stamp is None else when(datetime.fromisoformat(stamp))


def json_line(found: Mapping[str, Any], stream: TextIO) -> str:
    """Return an object as one line of JSON, in ASCII where the stream is not UTF-8."""
    return json.dumps(found, ensure_ascii=not stream.encoding.lower().startswith("utf"))


def skipped_on(verdict: Verdict) -> dict[str, dict[str, str]]:
    """Return what a JSON object says of the networks that would not take an accepted text; nothing where all would."""
    found = {each.filter: each.reason for each in verdict.misfits}
    return {"skipped_on": found} if found else {}


_COLOURS = {
    **dict.fromkeys(("ok", "posted", "running", "used"), "green"),
    **dict.fromkeys(("held", "paused", "sending"), "yellow"),
    **dict.fromkeys(("FAIL", "problem", "blocked", "unconfirmed", "failed"), "bold red"),
    **dict.fromkeys(("stopped", "rejected", "skipped", "deleted"), "dim"),
}
"""The colour of a cell that consists of this word."""

_NARROW = 30
"""Where fewer characters are left for the last column of a table, it stands below the others."""


def table(rows: Iterable[Sequence[str]], file: TextIO | None = None) -> None:
    """Print rows in columns; on a terminal in colour and as wide as that, the last column broken between words."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from biobot.text import terminal

    file = terminal.painted(file or sys.stdout)
    shown = [[Text(terminal.clean(cell)) for cell in row] for row in rows]
    if not shown:
        return
    for cell in (each for row in shown for each in row):
        cell.stylize(_COLOURS.get(cell.plain.strip(), ""))
    width = _columns(file)
    leading = sum(max((row[at].cell_len for row in shown), default=0) + 2 for at in range(len(shown[0]) - 1))
    below = width - leading < _NARROW
    console = Console(width=width, force_terminal=terminal.colours(file), color_system="standard", highlight=False)
    with console.capture() as capture:
        grid = Table.grid(padding=(0, 2, 0, 0))
        for at in range(len(shown[0])):
            grid.add_column(no_wrap=at < len(shown[0]) - 1, overflow="fold")
        for row in shown if not below else ():
            grid.add_row(*row)
        console.print(grid)
        for row in shown if below else ():
            console.print(Text("  ").join(cell for cell in row[:-1] if cell))
            console.print(Padding(row[-1], (0, 0, 0, 2)))
    for line in capture.get().splitlines():
        if line.strip():
            click.echo(line.rstrip(), file=file, color=True if terminal.colours(file) else None)


def _columns(file: TextIO) -> int:
    """Return how many columns there are: as many as one likes where no terminal is."""
    if not file.isatty():
        return 10**6
    fallback = 80, 24
    with suppress(OSError, ValueError):
        fallback = os.get_terminal_size(file.fileno())  # while plugins run, descriptor 1 is not the terminal
    return shutil.get_terminal_size(fallback).columns


def say(*lines: str, hang: int = 2, file: TextIO | None = None) -> None:
    """Print lines; on a terminal too narrow for one, break it between words and indent the rest by `hang` more."""
    from rich.console import Console
    from rich.text import Text

    width = _columns(file or sys.stdout)
    for line in lines:
        if len(line) * 2 <= width:  # no character is wider than two columns
            click.echo(line, file=file)
            continue
        indent = len(line) - len(line.lstrip())
        console = Console(width=max(width - indent - hang, 20))
        for number, part in enumerate(Text(line[indent:]).wrap(console, console.width)):
            click.echo(" " * (indent + hang * bool(number)) + part.plain.rstrip(), file=file)


def nothing(options: Options, why: str) -> None:
    """Say that there is nothing to list; where no biobot.toml is, perhaps because the bot is elsewhere."""
    from biobot.app.running import name

    click.echo(why, err=True)
    if options.usable.file is None:
        click.echo(name(options.usable), err=True)


@contextmanager
def outbox(options: Options) -> Iterator[Outbox]:
    """Open the outbox for writing."""
    from biobot.posting.outbox import Outbox

    with Outbox(options.usable.home / "outbox.db", options.usable.settings.post.first) as opened:
        yield opened


def decide(options: Options, posts: tuple[int, ...], act: Callable[[Outbox, int], Post]) -> None:
    """Apply `act` to each post by itself and print the outcome; raise OutboxError if any of them failed."""
    failed = []
    with outbox(options) as opened:
        for post in posts:
            try:
                row = act(opened, post)
            except OutboxError as error:
                failed.append(str(error))
            else:
                more = "; it may be on the network, so it is not dropped but looked for" if row.in_doubt else ""
                click.echo(f"{row.state} {post} (revision {row.rev}){more}")
    if failed:
        raise OutboxError("; ".join(failed))


def tell(*rows: Post) -> None:
    """Print which posts are on their networks; raise OutboxError if any is not."""
    failed = []
    for row in rows:
        if row.state == "posted":
            click.echo(f"posted {row.id} as {row.remote_id}: {row.text}")
            continue
        text = "" if row.state == "unconfirmed" or row.text is None else f": {row.text}"
        never = "" if row.key else " and will not be sent again automatically"
        problems = {
            "held": f"held for review: `biobot approve {row.id}` approves it{text}",
            "unconfirmed": f"post {row.id} is unconfirmed{never}: {row.reason}",
            "approved": f"post {row.id} was not sent and is waiting: {row.reason}",
        }
        failed.append(problems.get(row.state, f"post {row.id} is {row.state}: {row.reason}"))
    if failed:
        raise OutboxError("; ".join(failed))
