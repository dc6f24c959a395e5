"""Helpers that the posting commands share: opening the outbox or the poster, and printing the result."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

import click

from biobot.cli import Options
from biobot.errors import OutboxError

if TYPE_CHECKING:
    from biobot.posting.outbox import Outbox
    from biobot.posting.post import Post


def clock() -> datetime:
    """Return the current time."""
    return datetime.now(UTC)


def said(stamp: str | None, never: str = "never") -> str:
    """Return a JSON object's time as people read it; `never` for None."""
    from biobot.text.humanize import when

    return never if stamp is None else when(datetime.fromisoformat(stamp))


def json_line(found: Mapping[str, Any], stream: TextIO) -> str:
    """Return an object as one line of JSON, in ASCII where the stream is not UTF-8."""
    return json.dumps(found, ensure_ascii=not stream.encoding.lower().startswith("utf"))


@contextmanager
def outbox(options: Options) -> Iterator[Outbox]:
    """Open the outbox for writing, once the bot was announced."""
    from biobot.posting.outbox import Outbox

    options.announce()
    with Outbox(options.usable.home / "outbox.db", options.usable.settings.post.first) as opened:
        yield opened


def decide(options: Options, posts: tuple[int, ...], act: Callable[[Outbox, int], Post]) -> None:
    """Apply `act` to each post by itself and print what became of it; raise OutboxError if any of them failed."""
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
        problems = {
            "held": f"held for review: `biobot approve {row.id}` approves it{text}",
            "unconfirmed": f"post {row.id} is unconfirmed and will not be sent again automatically: {row.reason}",
            "approved": f"post {row.id} was not sent and is waiting: {row.reason}",
        }
        failed.append(problems.get(row.state, f"post {row.id} is {row.state}: {row.reason}"))
    if failed:
        raise OutboxError("; ".join(failed))
