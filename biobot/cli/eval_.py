"""`biobot eval`: bits per byte on a file of bios."""

from __future__ import annotations

import json
from pathlib import Path

import click

from biobot.cli import Options
from biobot.corpus.readers import Skipped
from biobot.model import runtime
from biobot.text.humanize import counted


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--model", help="An id, or the path of a model's folder; by default the bot's model.")
@click.option("--per-byte", is_flag=True, help="Print one JSON object per bio: each byte's probability and entropy.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(options: Options, file: Path, model: str | None, per_byte: bool, as_json: bool) -> None:
    """Measure bits per byte on FILE (.jsonl, .csv, .txt, or a .gz of one), the bios unchanged.

    It is computed in float32, over the UTF-8 bytes and one stop per bio. A byte value that is
    not in the model's table costs 16 bits.
    """
    runtime.prepare()
    from biobot.app import training

    if per_byte:
        skipped: list[Skipped] = []
        for bio, found in training.evaluate_each(options.config, file, model, skipped):
            line = {"bio": bio, "probabilities": found.probabilities, "entropies": found.entropies}
            click.echo(json.dumps(line, ensure_ascii=False))
        _report_skipped(file, len(skipped))
        return
    name, score, without = training.evaluate(options.config, file, model)
    _report_skipped(file, without)
    if as_json:
        facts = {"bits_per_byte": score.bits_per_byte, "bios": score.bios, "bytes": score.bytes, "unseen": score.unseen}
        click.echo(json.dumps({**facts, "model": name}))
        return
    unseen = f", {score.unseen:,} of them never seen in training" if score.unseen else ""
    click.echo(
        f"{score.bits_per_byte:.4f} bits per byte: {name} on {counted(score.bios, 'bio')} "
        f"({counted(score.bytes, 'byte')}{unseen})"
    )


def _report_skipped(file: Path, without: int) -> None:
    if without:
        click.echo(f"{counted(without, 'line')} of {file} without a bio skipped", err=True)
