"""`biobot corpus`: imports, exports, counts and forgets bios."""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from biobot.cli import Changing, Group, Options
from biobot.cli.collect_ import bounds, run
from biobot.corpus.readers import Names, Skipped
from biobot.errors import BadFile, CorpusError
from biobot.storage import atomic_write
from biobot.text.humanize import counted
from biobot.text.terminal import clean

if TYPE_CHECKING:
    from biobot.app import corpus

SHOWN = 20
"""How many skipped lines are shown without -v."""


@click.group("corpus", cls=Group)
def command() -> None:
    """Import, count, export and forget bios."""


@command.command("import", cls=Changing)
@click.argument("files", metavar="FILE…", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--field", help="The key or column with the bio; by default bio, description, or what exporters use.")
@click.option("--author", help="The key or column with the author's id, by which they can opt out.")
@click.option("--handle", help="The key or column with the author's handle.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def import_(
    options: Options,
    files: tuple[Path, ...],
    field: str | None,
    author: str | None,
    handle: str | None,
    as_json: bool,
) -> int:
    """Add bios from JSON, CSV or text files, packed or not (- is standard input); after a kill, run it again."""
    from biobot.app import corpus

    total = corpus.Imported()
    skipped = _SkippedLines(options.verbose)
    said: list[str] = []
    names = Names(field, author, handle)
    code = 0
    with corpus.open_store(options.config) as store, _progress_bars(as_json) as bar:
        for path in files:
            watch = bar(path.name, _size(path))
            try:
                corpus.import_file(
                    store, path, datetime.now(UTC), total, names=names, watch=watch, note=said.append, skipped=skipped
                )
            except BadFile as error:
                said.append(str(error))
                code = error.exit_code
            except KeyboardInterrupt:
                said.append(f"stopped in {path}; {_so_far(total.stored.added)}")
                code = 130
                break
    skipped.close()
    for line in said:
        click.echo(f"biobot: {clean(line)}", err=True)
    if not total.found and not code:
        click.echo("biobot: no bio was found", err=True)
        code = 1
    counts = asdict(total.stored) | {"skipped": total.skipped}
    if as_json:
        click.echo(json.dumps(counts | {"unsigned": total.unsigned, "why": dict(total.why)}))
    elif total.found or total.skipped:
        _print_counts(total, counts)
    return code


def _so_far(added: int) -> str:
    again = "run the same command again to go on: nothing is stored twice"
    return f"{counted(added, 'bio')} added so far, and kept; {again}" if added else f"nothing was added yet; {again}"


def _size(path: Path) -> int | None:
    """Return a file's size; None for standard input, which has no file in the folder, and what cannot be looked at."""
    with suppress(OSError):
        return path.stat().st_size if str(path) != "-" and path.is_file() else None
    return None


def _print_counts(total: corpus.Imported, counts: dict[str, int]) -> None:
    stored = total.stored
    if stored.duplicates and not (stored.added or stored.updated):
        some = f"{counted(stored.duplicates, 'bio')} already stored"
        every = not total.skipped and not stored.forgotten
        click.echo("nothing new: every bio was already stored" if every else f"nothing new: {some}")
    elif stored.forgotten and not stored.added:
        click.echo("nothing added: all bios found are of people or texts that opted out")
    for key, number in counts.items():
        if number or key in ("added", "duplicates"):
            click.echo(f"{key:>11} {number:>12,}")
    for why, number in total.why.most_common():
        click.echo(f"{'':>11} {number:>12,}  {why}")
    if total.unsigned:
        of = f"{total.unsigned:,} of " if total.unsigned < total.found else ""
        click.echo(
            f"no author is known for {of}{counted(total.found, 'bio')}: whoever wrote them can opt out by text "
            "(`corpus forget --text`), but not by id or handle; if the file has these, name them with --author and "
            "--handle"
        )


@command.command("stats")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def stats(options: Options, as_json: bool) -> None:
    """Count bios, authors and bytes, and what the `[train]` policies would leave out."""
    from biobot.app import corpus

    with corpus.open_store(options.config, read_only=True) as store:
        found = store.stats(options.config.settings.train)
    if as_json:
        click.echo(json.dumps(vars(found)))
        return
    size, authors = counted(found.bytes, "byte"), counted(found.authors, "known author")
    click.echo(f"stored    {counted(found.bios, 'bio')}, {size}, of {authors}")
    click.echo(f"forgotten {counted(found.forgotten, 'opt-out')}")
    click.echo(f"training  {counted(found.learnable, 'bio')}, {counted(found.learnable_bytes, 'byte')}")
    for why, number in found.left_out.most_common():
        click.echo(f"left out  {counted(number, 'bio')} by train.{why}")


@command.command("export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.pass_obj
def export(options: Options, file: Path) -> None:
    """Write all bios to FILE (- for standard output) as JSON lines, which `import` can read."""
    from biobot.app import corpus

    try:
        with corpus.open_store(options.config, read_only=True) as store:
            if str(file) == "-":
                count = corpus.export(store, sys.stdout.write)
            else:
                with atomic_write(file) as out:
                    count = corpus.export(store, codecs.getwriter("utf-8")(out).write)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CorpusError(f"cannot write {file}: {error.strerror}") from None
    click.echo(f"{counted(count, 'bio')} written to {file}", err=True)


@command.command("forget", cls=Changing)
@click.argument("who", metavar="[ID|@HANDLE]…", nargs=-1)
@click.option("--text", "texts", multiple=True, help="A bio's text; its author goes with it if there is only one.")
@click.option(
    "--file",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file of ids and @handles, one per line.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def forget(
    options: Options, who: tuple[str, ...], texts: tuple[str, ...], files: tuple[Path, ...], as_json: bool
) -> None:
    """Forget authors and texts for good: delete them now, and never import, collect, train on or post them again."""
    from biobot.app import corpus

    people = [*who, *(each for path in files for each in corpus.opt_outs(path))]
    if not people and not texts:
        raise click.UsageError("name an id, an @handle, --text or --file")
    with corpus.open_store(options.config) as store:
        try:
            gone = corpus.forget(store, people, texts, datetime.now(UTC))
            unsigned = store.any_unsigned()
        except ValueError as error:
            raise click.UsageError(str(error)) from None
    if as_json:
        click.echo(json.dumps(asdict(gone)))
        return
    removed = f"{counted(gone.bios, 'bio')} and {counted(gone.authors, 'author')} removed"
    click.echo(f"forgotten: {removed}; {counted(gone.keys, 'new opt-out')}")
    if gone.bios or texts:
        click.echo("posts like them are refused from now on; `biobot train` makes a model without them")
    if not gone.bios:
        click.echo("nothing of theirs was found in the corpus; from now on nothing of theirs is stored")
        if unsigned and people:
            click.echo("some bios are stored without an author: forget such a bio with --text")


@command.command("recheck", cls=Changing)
@bounds
@click.pass_obj
def recheck(options: Options, dry_run: bool, limit: int | None, budget: float | None, as_json: bool) -> None:
    """Look up every stored author on X: update changed bios, delete those of people who are gone or protected.

    This costs money. It can be stopped at any moment, and resumes there.
    """
    from biobot.app import collecting

    run(options.config, collecting.estimate_recheck, collecting.recheck, dry_run, limit, budget, as_json)


class _SkippedLines:
    """Prints skipped lines to stderr: the first few, or all with -v."""

    def __init__(self, every: bool) -> None:
        self.every, self.count = every, 0

    def __call__(self, skipped: Skipped) -> None:
        self.count += 1
        if self.every or self.count <= SHOWN:
            click.echo(f"{skipped.file}:{skipped.line}: skipped: {skipped.why}", err=True)

    def close(self) -> None:
        """Print how many were not shown."""
        if self.count > SHOWN and not self.every:
            click.echo(f"… and {counted(self.count - SHOWN, 'more skipped line')} (-v shows all)", err=True)


@contextmanager
def _progress_bars(quiet: bool) -> Iterator[Callable[[str, int | None], Callable[[int], None]]]:
    """Yield a function that shows a file's progress bar with rate and ETA: on a terminal, unless quiet."""
    from rich import progress
    from rich.console import Console
    from rich.markup import escape

    from biobot.text.terminal import clean, painted

    columns = (*progress.Progress.get_default_columns(), progress.TransferSpeedColumn())
    quiet = quiet or not sys.stderr.isatty()
    with progress.Progress(*columns, console=Console(file=painted(sys.stderr)), disable=quiet) as bars:

        def add(name: str, size: int | None) -> Callable[[int], None]:
            task = bars.add_task(escape(clean(name)), total=size)
            return lambda done: bars.update(task, completed=done)

        yield add
