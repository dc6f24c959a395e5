"""`biobot preview`: draw bios and show what the filters make of them; nothing changes."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, Any

import click

from biobot.errors import SampleError
from biobot.sampling.controls import MAX_BYTES, Controls, Request

if TYPE_CHECKING:
    from biobot.cli import Options
    from biobot.worker.server import Draft

_REQUESTS = (
    'With --json: fill orders, JSON lines {"id", "temperature", "seed", "n"}, each up to its first accepted bio.'
)


@click.command()
@click.option(
    "-t", "--temperature", "temperatures", type=float, multiple=True, help="How bold; again for more. 0: argmax."
)
@click.option("-n", "count", type=click.IntRange(1), default=5, show_default=True, help="Bios for each temperature.")
@click.option("--seed", type=click.IntRange(0, 2**62), help="Bio i is the bio of seed SEED + i; otherwise by chance.")
@click.option("--prefix", default="", help="What every bio begins with.")
@click.option("--top-p", type=float, default=1.0, help="Draw from the likeliest bytes that together reach this share.")
@click.option("--min-p", type=float, default=0.0, help="Draw from bytes this much as likely as the likeliest.")
@click.option("--max-bytes", type=int, default=MAX_BYTES, show_default=True, help="Cut longer bios.")
@click.option("--model", help="A model's id or path; otherwise the one that the config names.")
@click.option("--no-filters", is_flag=True, help="Judge nothing.")
@click.option("--per-byte", is_flag=True, help="With --json: each byte's probability and entropy.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.option("--requests", type=click.File(encoding="utf-8"), help=_REQUESTS)
@click.pass_obj
def command(
    options: Options,
    temperatures: tuple[float, ...],
    count: int,
    seed: int | None,
    prefix: str,
    top_p: float,
    min_p: float,
    max_bytes: int,
    model: str | None,
    no_filters: bool,
    per_byte: bool,
    as_json: bool,
    requests: IO[str] | None,
) -> None:
    """Print bios and what the filters make of them; post nothing."""
    from biobot.worker import client, server

    client.tie()
    config = options.config
    temperatures = temperatures or tuple(config.settings.sample.temperatures)
    try:
        controls = Controls(top_p, min_p, os.fsencode(prefix), max_bytes)
        for temperature in temperatures:
            Request(0, temperature)
        if requests is not None and not as_json:
            raise SampleError("--requests needs --json")
        orders = [server.Order.read(line) for line in requests if line.strip()] if requests else []
    except SampleError as error:
        raise click.UsageError(str(error)) from None

    if requests is not None:
        desk = server.Desk(config, model, judge=not no_filters, rows=16, may_write=True)
        for each in server.fill(desk, orders, controls):
            _print(each)
        return
    seed = secrets.randbits(32) if seed is None else seed
    wanted = server.requests(temperatures, count, seed)
    desk = server.Desk(config, model, judge=not no_filters, rows=min(count * len(temperatures), 1024))
    if as_json:
        for draft in desk.drafts(wanted, controls):
            _print(draft.as_dict(per_byte=per_byte))
        return
    _show(desk.drafts(wanted, controls), judged=not no_filters)


def _print(found: dict[str, Any]) -> None:
    click.echo(json.dumps(found, ensure_ascii=not sys.stdout.encoding.lower().startswith("utf")))


def _show(drafts: Iterable[Draft], *, judged: bool) -> None:
    from biobot.text import terminal

    colour = terminal.colours(sys.stdout)
    shown, accepted, lost = 0, 0, 0.0
    for draft in drafts:
        sample = draft.sample
        label = f"T {sample.temperature:g} · seed {sample.seed} · {sample.bits_per_byte:.2f} bits a byte"
        objections = [f"{each.filter}: {each.reason}" for each in draft.verdict.objections] if judged else None
        click.echo(terminal.draft(sample.text, sample.entropies, label, objections, colour=colour), color=colour)
        shown, accepted, lost = shown + 1, accepted + draft.verdict.accepted, lost + sample.lost
    click.echo(
        (f"{accepted} of {shown} accepted · " if judged else "")
        + f"masking took {lost / shown:.2%} of the probability"
        + (f" · entropy {terminal.legend()}" if colour else ""),
        color=colour,
        err=True,
    )
