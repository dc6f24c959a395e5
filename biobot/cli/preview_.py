"""`biobot preview`: draws bios and shows the filters' objections; changes nothing."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterable, Iterator
from heapq import nlargest
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from biobot.cli import Options
from biobot.cli.common import json_line, skipped_on
from biobot.errors import SampleError
from biobot.sampling.controls import MAX_BYTES, Controls, Request

if TYPE_CHECKING:
    from biobot.candidate import Verdict


NOTABLE = 0.001
"""The share of the probability that is masked from which it is worth a word."""


@click.command()
@click.option(
    "-t",
    "--temperature",
    "temperatures",
    type=float,
    multiple=True,
    help="0: always the likeliest byte; may be repeated.",
)
@click.option("-n", "count", type=click.IntRange(1), default=5, show_default=True, help="Bios per temperature.")
@click.option("--best", type=click.IntRange(1), help="Only this many of each temperature: the best accepted ones.")
@click.option("--seed", type=click.IntRange(0, 2**62), help="The seed of the first bio (random); bio i has SEED + i.")
@click.option("--prefix", default="", help="How every bio begins.")
@click.option("--top-p", type=float, default=1.0, help="Only the likeliest bytes with this total probability.")
@click.option("--min-p", type=float, default=0.0, help="Only bytes at least this likely, relative to the likeliest.")
@click.option("--max-bytes", type=int, default=MAX_BYTES, show_default=True, help="Cut longer bios.")
@click.option("--model", help="A model's id or path; by default the bot's model.")
@click.option("--no-filters", is_flag=True, help="Do not run the filters.")
@click.option("--per-byte", is_flag=True, help="With --json: each byte's probability and entropy.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
@click.pass_obj
def command(
    options: Options,
    temperatures: tuple[float, ...],
    count: int,
    best: int | None,
    seed: int | None,
    prefix: str,
    top_p: float,
    min_p: float,
    max_bytes: int,
    model: str | None,
    no_filters: bool,
    per_byte: bool,
    as_json: bool,
) -> None:
    """Print sample bios with the filters' objections; post nothing."""
    from biobot.worker.client import Worker
    from biobot.worker.protocol import Preview

    temperatures = temperatures or tuple(options.config.settings.sample.temperatures)
    seed = secrets.randbits(32) if seed is None else seed
    try:
        controls = Controls(top_p, min_p, os.fsencode(prefix), max_bytes)
        for temperature in temperatures:
            Request(0, temperature)
    except SampleError as error:
        raise click.UsageError(str(error)) from None
    wanted = Preview(temperatures, count, seed, controls, model, not no_filters)
    verdicts = Worker(options.config).near(wanted)
    if best is not None:
        verdicts = _best(verdicts, best)
    if as_json:
        for verdict in verdicts:
            click.echo(json_line(_facts(verdict, per_byte=per_byte), sys.stdout))
    else:
        _show(verdicts, judged=not no_filters)


def _best(verdicts: Iterable[Verdict], count: int) -> Iterator[Verdict]:
    """Yield the accepted bios with the highest scores of each temperature, best first."""
    for _, group in groupby(verdicts, key=lambda each: each.candidate.temperature):
        accepted = (each for each in group if each.accepted)
        yield from nlargest(count, accepted, key=lambda each: each.score or 0.0)


def _facts(verdict: Verdict, *, per_byte: bool) -> dict[str, Any]:
    from biobot.text.length import weighted_length

    candidate = verdict.candidate
    facts: dict[str, Any] = {
        "text": candidate.text,
        "temperature": candidate.temperature,
        "seed": candidate.seed,
        "model": candidate.model,
        "bits": candidate.bits,
        "bits_per_byte": candidate.bits_per_byte,
        "entropy": candidate.entropy,
        "weighted_length": weighted_length(candidate.text),
        "accepted": verdict.accepted,
        "objections": [{"filter": each.filter, "reason": each.reason} for each in verdict.objections],
        "score": verdict.score,
        **skipped_on(verdict),
    }
    if per_byte:
        columns = zip(candidate.text.encode(), candidate.probabilities, candidate.entropies, strict=True)
        facts["bytes"] = [{"byte": b, "probability": p, "entropy": e} for b, p, e in columns]
    return facts


def _show(verdicts: Iterable[Verdict], *, judged: bool) -> None:
    from biobot.text import terminal

    colour = terminal.colours(sys.stdout)
    shown, accepted, masked = 0, 0, 0.0
    for verdict in verdicts:
        bio = verdict.candidate
        label = f"T {bio.temperature:g} · seed {bio.seed} · {bio.bits_per_byte:.2f} bits per byte"
        label += "" if verdict.score is None else f" · score {verdict.score:.2f}"
        said = [*map(str, verdict.objections), *(f"skipped on {each}" for each in verdict.misfits)]
        objections = said if judged else None
        text = terminal.draft(bio.text, bio.entropies, label, objections, colour=colour)
        click.echo(text, file=terminal.painted(sys.stdout), color=colour)  # `draft` has cleaned it
        shown, accepted, masked = shown + 1, accepted + verdict.accepted, masked + (bio.masked or 0.0)
    said = [f"{accepted} of {shown} accepted"] if judged else []
    if masked / shown >= NOTABLE:
        said.append(f"{masked / shown:.2%} of the probability fell on bytes that no text may hold")
    if colour:
        said.append(f"entropy {terminal.legend()}")
    if said:
        click.echo(" · ".join(said), color=colour, file=terminal.painted(sys.stderr))
