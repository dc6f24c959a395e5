"""`biobot tune`: sweep temperatures, and recommend some."""

from __future__ import annotations

import json
from pathlib import Path

import click

from biobot.cli import Options
from biobot.errors import SampleError
from biobot.sample.controls import Request


@click.command()
@click.option(
    "-t", "--temperature", "temperatures", type=float, multiple=True, help="Measure this one; again for more."
)
@click.option(
    "-n", "count", type=click.IntRange(10), default=2000, show_default=True, help="Bios for each temperature."
)
@click.option("--model", help="A model's id or path; otherwise the one that the config names.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw the share accepted as a PNG.")
@click.option("--write", is_flag=True, help="Put the recommended temperatures into biobot.toml.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a temperature, then the recommendation.")
@click.pass_obj
def command(
    options: Options,
    temperatures: tuple[float, ...],
    count: int,
    model: str | None,
    plot: Path | None,
    write: bool,
    as_json: bool,
) -> None:
    """Measure what each temperature does: how many bios pass, how new they are, what they cost; recommend some."""
    from biobot.app import tuning

    try:
        for temperature in temperatures:
            Request(0, temperature)
    except SampleError as error:
        raise click.UsageError(str(error)) from None
    rows = []
    for row in tuning.sweep(options.config, temperatures, count, model):
        rows.append(row)
        if as_json:
            click.echo(json.dumps(row.as_dict()))
        else:
            click.echo(f"T {row.temperature:g}: {row.accepted:.1%} accepted", err=True)

    from biobot.lab import curve, tune

    chosen = tune.recommend(rows)
    if as_json:
        click.echo(json.dumps({"recommended": chosen}))
    else:
        click.echo("\n".join(tune.lines(rows)))
        named = ", ".join(f"{each:g}" for each in chosen)
        click.echo(
            f"\nrecommended: temperatures = [{named}]" if chosen else "\nno bio was accepted: nothing to recommend"
        )
    if plot is not None:
        try:
            plot.write_bytes(curve.png([(each.temperature, each.accepted) for each in rows]))
        except OSError as error:
            raise SampleError(f"cannot write {plot}: {error.strerror}") from None
    if write and chosen:
        click.echo(f"written to {tuning.write(options.config, chosen)}", err=True)
