"""`biobot check`: runs the filters on given texts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from biobot.cli import Options
from biobot.cli.common import json_line, skipped_on

if TYPE_CHECKING:
    from biobot.candidate import Verdict
    from biobot.worker.protocol import Text


@click.command()
@click.argument("file", required=False, type=click.Path(allow_dash=True))
@click.option("--text", "texts", multiple=True, help="Check this text; may be repeated.")
@click.option("--model", help="The model whose training set the texts are compared with; by default the bot's model.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per text.")
@click.pass_obj
def command(options: Options, file: str | None, texts: tuple[str, ...], model: str | None, as_json: bool) -> None:
    """Run the filters on given texts: those in FILE, by default standard input, or TEXT.

    FILE holds one text per line, or one JSON object per line with "text" and, for the text of an outbox row, its
    "id": that row is not compared with itself. The exit code is 0 even if texts are refused.
    """
    from biobot.worker.client import Worker
    from biobot.worker.protocol import Judge, Text

    if not texts and file is None and not sys.stdin.isatty():
        file = "-"
    if bool(texts) == bool(file):
        raise click.UsageError("give either a FILE or --text, or texts on standard input")
    given = tuple(map(Text, texts) if file is None else _read(file))
    if not given:
        click.echo("there is no text to check", err=True)
    for verdict in Worker(options.config).near(Judge(given, model, score=as_json)):
        click.echo(json_line(_facts(verdict), sys.stdout) if as_json else _line(verdict))


def _read(file: str) -> Iterator[Text]:
    from biobot.worker.protocol import Text

    try:
        with click.open_file(file, "rb") as lines:
            for number, raw in enumerate(lines, start=1):
                # bytes that are not UTF-8 become lone surrogates, which the judge refuses
                line = raw.decode("utf-8", "surrogateescape").rstrip("\r\n")
                if line.startswith("{"):
                    yield _object(line, file, number)
                elif line:
                    yield Text(line)
    except OSError as error:
        raise click.UsageError(f"cannot read {file}: {error.strerror}") from None


def _object(line: str, file: str, number: int) -> Text:
    from biobot.worker.protocol import Text

    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return Text(line)  # a text may begin with a brace
    if not isinstance(found, dict) or not isinstance(found.get("text"), str):
        raise click.UsageError(f'{file}, line {number}: the JSON object has no "text"')
    identity = found.get("id")
    return Text(found["text"], None if identity is None else str(identity))


def _facts(verdict: Verdict) -> dict[str, Any]:
    from biobot.text.length import weighted_length

    return {
        "text": verdict.candidate.text,
        "weighted_length": weighted_length(verdict.candidate.text),
        "accepted": verdict.accepted,
        "objections": [{"filter": each.filter, "reason": each.reason} for each in verdict.objections],
        "filters": [name for name, _ in verdict.seconds],
        "score": verdict.score,
        **skipped_on(verdict),
    }


def _line(verdict: Verdict) -> str:
    text = " ".join(verdict.candidate.text.split())
    objections = [f"\n    {each}" for each in verdict.objections]
    objections += [f"\n    skipped on {each}" for each in verdict.misfits]
    return f"{'✓' if verdict.accepted else '✗'} {text}{''.join(objections)}"
