"""What the commands that post have in common: opening what posts, and saying what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from biobot.cli import Options
from biobot.errors import OutboxError

if TYPE_CHECKING:
    from biobot.posting.outbox import Outbox, Post
    from biobot.posting.poster import Poster


def clock() -> datetime:
    """Read the machine's clock."""
    return datetime.now(UTC)


def said(stamp: str | None, never: str = "never") -> str:
    """Say the time that a JSON object holds; `never` where it holds none."""
    from biobot.text.humanize import when

    return never if stamp is None else when(datetime.fromisoformat(stamp))


@contextmanager
def opened_poster(options: Options, who: str) -> Iterator[Poster]:
    """Open what posts, for one command."""
    from biobot.app.posting import open_poster

    opened = open_poster(options.config, clock, who=who)
    try:
        yield opened
    finally:
        opened.close()
        opened.outbox.close()


@contextmanager
def outbox(options: Options) -> Iterator[Outbox]:
    """Open the outbox to change it."""
    from biobot.posting.outbox import Outbox

    with Outbox(options.config.home / "outbox.db", options.config.settings.post.network) as opened:
        yield opened


def decide(options: Options, posts: tuple[int, ...], done: str, act: Callable[[Outbox, int], Post]) -> None:
    """Do something to each row by itself, and say what was done; raise OutboxError if one of them would not."""
    failed = []
    with outbox(options) as opened:
        for post in posts:
            try:
                row = act(opened, post)
            except OutboxError as error:
                failed.append(str(error))
            else:
                click.echo(f"{done} {post} (revision {row.rev})")
    if failed:
        raise OutboxError("; ".join(failed))


def tell(row: Post) -> None:
    """Say what became of a post; raise OutboxError unless it is on the network."""
    if row.state != "posted":
        text = "" if row.state == "unconfirmed" or row.text is None else f": {row.text}"
        mend = {
            "held": f"it is held for review: `biobot approve {row.id}` lets it go{text}",
            "unconfirmed": f"post {row.id} is unconfirmed, and is not sent again by itself: {row.reason}",
            "approved": f"post {row.id} was not sent, and waits: {row.reason}",
        }
        raise OutboxError(mend.get(row.state, f"post {row.id} is {row.state}: {row.reason}"))
    click.echo(f"posted {row.id} as {row.remote_id}: {row.text}")
