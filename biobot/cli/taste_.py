"""`biobot taste`: what the bot knows of its owner's taste, and its marks in and out."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from biobot.cli import Changing, Group, Options
from biobot.cli.common import clock, say
from biobot.errors import TasteError

if TYPE_CHECKING:
    from biobot.taste.taste import Agreement


@click.group(cls=Group, invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Show, learn, import and export what the owner of this bot finds good."""
    if context.invoked_subcommand is None:
        context.invoke(show, as_json=as_json)


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="The PNG file for a plot.")
@click.pass_obj
def show(options: Options, as_json: bool, plot: Path | None = None) -> None:
    """Show how well the taste in use predicts marks that it has not seen, and from how many marks."""
    from biobot.taste import taste
    from biobot.worker.known import decisions

    home = options.config.home
    found, about = taste.state(home, decisions(options.config)), taste.base(home)[1]
    in_use = found.owned if found.in_use == taste.OWN else found.shipped
    base = taste.Agreement(**{name: value for name, value in about.items() if name != "marks"})
    figures = in_use or base
    if as_json:
        shown = {name: round(getattr(figures, name), 4) for name in ("spearman", "top_tenth_good", "average_good")}
        click.echo(
            json.dumps({"marks": about["marks"] + found.own, "own": found.own} | shown | {"in_use": found.in_use})
        )
        return
    say(found.why)
    say(f"The shipped taste, on the {about['marks']:,} marks it was learnt from: {_agreement(base)}")
    for name, each in (("The shipped taste", found.shipped), ("Your own", found.owned)):
        if each is not None:
            say(f"{name}, on your {found.own:,} marks: {_agreement(each)}")
    for size, each in found.curve:
        say(f"  learnt from {size:>4} of your marks: {_agreement(each)}")
    if plot is not None:
        from biobot.evaluation import plots
        from biobot.storage import atomic_write

        with atomic_write(plot) as file:
            file.write(plots.png(plots.taste_curve(found.curve, found.shipped or base)))
        click.echo(f"drawn in {plot}", err=True)


@command.command(cls=Changing)
@click.option("--base", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A file of marks.")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="With --base: the folder to write to.")
@click.pass_obj
def learn(options: Options, base: Path | None, output: Path | None) -> None:
    """Learn your taste from your marks.

    With --base, learn instead a taste to begin with from the marks in a file alone; it takes the place of the
    shipped one for this bot. It takes a minute for 1,000 marks.
    """
    from biobot.taste import marks, taste
    from biobot.worker.known import decisions

    home = options.config.home
    if base is None:
        click.echo(taste.learn(home, decisions(options.config)).why)
        return
    with _opened(base) as (lines, bad):
        found = taste.learn_base(list(marks.read(lines, bad)), output or home / "taste")
    click.echo(f"learnt: {_agreement(found)}")


@command.command("import", cls=Changing)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True))
@click.pass_obj
def import_(options: Options, file: Path) -> None:
    """Add the marks, 0 to 3, of FILE (- for standard input): JSON lines such as {"text": "...", "mark": 2}."""
    from biobot.taste import marks, taste
    from biobot.text.humanize import counted
    from biobot.worker.known import decisions

    with _opened(file) as (lines, bad):
        found = list(marks.read(lines, bad))
    if not found:
        raise TasteError(f"{file} holds no mark; nothing has changed")
    with marks.open_marks(options.config.home) as opened:
        before = len(opened)
        opened.add(found, clock())
        click.echo(f"{counted(len(found), 'mark')} read, {len(opened) - before:,} of them for new texts")
    click.echo(taste.learn(options.config.home, decisions(options.config)).why)


@command.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.pass_obj
def export(options: Options, file: Path) -> None:
    """Write your marks to FILE (- for standard output), as `biobot taste import` reads them."""
    from biobot.storage import atomic_write
    from biobot.taste.marks import open_marks

    with open_marks(options.config.home, read_only=True) as opened:
        lines = "".join(json.dumps(each.as_dict(), ensure_ascii=False) + "\n" for each in opened.newest())
    if str(file) == "-":
        click.echo(lines, nl=False)
        return
    try:
        with atomic_write(file) as out:
            out.write(lines.encode())
    except OSError as error:
        raise TasteError(f"cannot write {file}: {error.strerror}") from None


@command.command(cls=Changing)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def reset(options: Options, yes: bool) -> None:
    """Delete your marks, and go back to the shipped taste."""
    from biobot.taste import taste

    if not yes:
        click.confirm("Delete all marks of this bot, and what was learnt from them?", abort=True)
    click.echo(f"{taste.reset(options.config.home):,} marks deleted; the shipped taste is in use")


def _agreement(found: Agreement) -> str:
    return (
        f"rank correlation {found.spearman:.2f}; of the tenth with the highest scores {found.top_tenth_good:.0%} "
        f"are good, of all {found.average_good:.0%}"
    )


@contextmanager
def _opened(file: Path) -> Iterator[tuple[Iterable[bytes], Any]]:
    """Open a file of marks, gzipped or not, and yield it with what reports a line that holds none."""
    skipped = 0

    def bad(number: int, why: str) -> None:
        nonlocal skipped
        skipped += 1
        if skipped <= 5:
            click.echo(f"{file}, line {number}: skipped, {why}", err=True)

    try:
        source: Any = nullcontext(sys.stdin.buffer) if str(file) == "-" else file.open("rb")
        with source as raw:
            yield (gzip.GzipFile(fileobj=raw) if raw.peek(2)[:2] == b"\x1f\x8b" else raw), bad
    except OSError as error:
        raise TasteError(f"cannot read {file}: {error.strerror}") from None
    if skipped > 5:
        click.echo(f"{file}: {skipped:,} lines were skipped in all", err=True)
