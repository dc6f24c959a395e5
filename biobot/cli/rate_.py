"""`biobot rate`: the owner marks drafts, one key each, and the bot learns their taste."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import click

from biobot.candidate import Candidate, Verdict
from biobot.cli import Changing, Options
from biobot.cli.common import clock
from biobot.config import Config
from biobot.errors import SampleError

KEYS = "0 to 3: not at all, so-so, good, excellent · u: undo · s: skip · q: quit"
LEARN_EVERY = 20
FIRST_BATCH, BATCH = 8, 32
"""Bios of each temperature that are drawn at once, half of which are accepted: few at first, so that it begins soon."""


@click.command(cls=Changing)
@click.option("-n", "count", type=click.IntRange(1), default=100, show_default=True, help="Drafts to mark.")
@click.option("--seed", type=click.IntRange(0, 2**62), help="The seed of the first bio; by default a random one.")
@click.pass_obj
def command(options: Options, count: int, seed: int | None) -> None:
    """Mark drafts that the filters accept, from 0 to 3: would you be glad to have posted it?

    The bot posts the best of many drafts; from your marks it learns what you find good. Every mark is kept at once.
    """
    from biobot.taste.marks import Mark, open_marks

    home = options.config.home
    shown: list[Candidate] = []
    first = secrets.randbits(40) if seed is None else seed
    with open_marks(home) as marks, closing(_drafts(options, first)) as drafts:
        marked, candidate = 0, next(drafts, None)
        click.echo(KEYS)
        while marked < count and candidate is not None:
            key = _ask(candidate, marked, count)
            if key == "q":
                break
            if key == "u":
                if shown and marks.undo("rate"):
                    marked, candidate = marked - 1, shown.pop()
                    click.echo("undone")
                else:
                    click.echo("nothing to undo")
                continue
            if key != "s":
                marks.add([Mark(candidate, float(key), source="rate")], clock())
                shown.append(candidate)
                marked += 1
                if marked % LEARN_EVERY == 0:
                    _learn(options.config)
            candidate = next(drafts, None)
    if marked % LEARN_EVERY:
        _learn(options.config)
    click.echo(f"{marked} marks; `biobot taste` shows what they changed")


def _learn(config: Config) -> None:
    from biobot.taste import taste
    from biobot.worker.known import decisions

    click.echo(f"  {taste.learn(config.home, decisions(config)).why}")


def _ask(candidate: Candidate, marked: int, count: int) -> str:
    """Show a draft and return the key that a person pressed for it."""
    from biobot.text.terminal import clean

    click.echo(f"\n{clean(candidate.text)}")
    while True:
        click.echo(f"[{marked + 1}/{count}] ", nl=False)
        key = (click.getchar() if sys.stdin.isatty() else sys.stdin.read(1)).lower()
        click.echo(key if key.isprintable() else "")
        if key in ("0", "1", "2", "3", "u", "s", "q"):
            return key
        if key in ("", "\x04"):  # the input has ended
            return "q"
        click.echo(KEYS)


def _drafts(options: Options, seed: int) -> Generator[Candidate, None, None]:
    """Yield accepted drafts of all temperatures in turn; the next ones are drawn while the owner thinks."""
    from biobot.worker.client import Worker
    from biobot.worker.protocol import Preview

    temperatures = tuple(options.config.settings.sample.temperatures)
    worker = Worker(options.config)
    click.echo("drawing drafts …", err=True)
    with ThreadPoolExecutor(1) as thread:
        call = worker.ask(Preview(temperatures, FIRST_BATCH, seed))
        drawn, seed = thread.submit(list, call), seed + FIRST_BATCH
        try:
            while True:
                verdicts: list[Verdict] = drawn.result()
                accepted = [each.candidate for each in verdicts if each.accepted]
                if not accepted:
                    raise SampleError(f"the filters refuse all of {len(verdicts)} bios; `biobot preview` shows why")
                call = worker.ask(Preview(temperatures, BATCH, seed))
                drawn, seed = thread.submit(list, call), seed + BATCH
                # one temperature after the other would let the owner compare like with like only
                yield from sorted(accepted, key=lambda each: (each.seed or 0, each.temperature or 0.0))
        finally:
            call.close()
