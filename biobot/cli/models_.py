"""`biobot models`: the models of this bot, and which of them is active."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from biobot.cli import Changing, Group, Options
from biobot.cli.common import table
from biobot.cli.completion_ import models as completed
from biobot.errors import ModelError
from biobot.text.humanize import when


@click.group(cls=Group)
def command() -> None:
    """List, show, activate and import models."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per model.")
@click.pass_obj
def list_(options: Options, as_json: bool) -> None:
    """List every model, the newest first; a star marks the active one."""
    from biobot.app import models
    from biobot.model.registry import Registry

    registry, rows = Registry(options.config.home), []
    active = None
    try:
        active = registry.current().id
    except ModelError as error:
        click.echo(f"biobot: {error}", err=True)
    for model in models.summaries(registry, active):
        if model.error:
            click.echo(f"biobot: {model.error}", err=True)
            continue
        facts = {
            "id": model.id,
            "current": model.active,
            "created": model.created and model.created.isoformat(),
            "dev_bits_per_byte": model.dev_bits_per_byte,
            "verbatim_rate": model.verbatim_rate,
            "parameters": model.parameters,
            "bytes": model.bytes,
        }
        if as_json:
            click.echo(json.dumps(facts))
            continue
        bits = "" if model.dev_bits_per_byte is None else f"{model.dev_bits_per_byte:.3f} bits per byte"
        size = f"{model.parameters / 1e6:>5.1f} M parameters, {model.bytes / 1e6:.1f} MB"
        rows.append((f"{'*' if model.active else ' '} {model.id}", bits, size))
    table(rows)


@command.command()
@click.argument("model", default="current", shell_complete=completed)
@click.option("--json", "as_json", is_flag=True, help="Print the model card as one JSON object.")
@click.option("--no-samples", is_flag=True, help="Draw no bios.")
@click.pass_obj
def show(options: Options, model: str, as_json: bool, no_samples: bool) -> None:
    """Show a model: its figures, its learning curve, how much it copies, and samples."""
    from biobot.app import models, training
    from biobot.evaluation import audit, plots, report
    from biobot.model.registry import Registry

    folder = Registry(options.config.home).find(model)
    header = folder.header()
    if as_json:
        click.echo(json.dumps({**header.card, "id": folder.id, "shape": header.shape.as_dict()}, ensure_ascii=False))
        return
    card = dict(header.card)
    click.echo(f"{folder.id}   {folder.path}")
    click.echo(
        f"{header.shape}, {header.codec.size - 1} byte values, {header.parameters:,} parameters, "
        f"{header.size / 1e6:.1f} MB"
    )
    for key, value in card.items():
        if key not in ("id", "curve", "report", "audit") and value is not None:
            moment = models.created(card) if key == "created" else None
            click.echo(f"  {_words(key) + ':':<26} {when(moment) if moment else _plain(value)}")
    for line in plots.sketch(models.curve(card)):
        click.echo(line)
    for line in [*report.table(models.report(card)), *audit.table(card.get("audit", []))]:
        click.echo(line)
    if not no_samples:
        for temperature, text in training.samples(options.config, folder.path):
            click.echo(f"T {temperature:<4} {json.dumps(text, ensure_ascii=False)}")


def _words(key: str) -> str:
    return key.replace("_", " ")


def _plain(value: Any) -> str:
    """Return a value of a model card in words."""
    if isinstance(value, dict):
        return ", ".join(f"{_words(key)} {_plain(each)}" for key, each in value.items())
    if isinstance(value, list):
        return " to ".join(map(_plain, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


@command.command(cls=Changing)
@click.argument("model", shell_complete=completed)
@click.pass_obj
def use(options: Options, model: str) -> None:
    """Make MODEL (an id, or `starter`) active."""
    from biobot.model.registry import Registry

    click.echo(f"{Registry(options.config.home).promote(model).id} is now active")


@command.command(cls=Changing)
@click.pass_obj
def rollback(options: Options) -> None:
    """Make the model before the active one active again."""
    from biobot.model.registry import Registry

    click.echo(f"{Registry(options.config.home).rollback().id} is now active")


@command.command(cls=Changing)
@click.argument("models", metavar="MODEL...", nargs=-1, required=True, shell_complete=completed)
@click.pass_obj
def rm(options: Options, models: tuple[str, ...]) -> None:
    """Delete models, by their ids; never the active one or the starter."""
    from biobot.model.registry import Registry

    for model in models:
        click.echo(f"deleted {Registry(options.config.home).remove(model).id}")


@command.command("import-legacy", cls=Changing)
@click.argument("state_dict", type=click.Path(path_type=Path))
@click.option("--config", "sizes", type=click.Path(path_type=Path), required=True, help="His model_config.json.")
@click.option("--byte-values", type=click.Path(path_type=Path), required=True, help="His byte_values.txt.")
@click.option("--name", default="legacy", show_default=True, help="The id of the imported model.")
@click.pass_obj
def import_legacy(options: Options, state_dict: Path, sizes: Path, byte_values: Path, name: str) -> None:
    """Import the blog author's own files as a model; `models use` makes it active."""
    from biobot.app import training

    model = training.import_legacy(options.config, state_dict, sizes, byte_values, name, datetime.now(UTC))
    click.echo(f"imported as {model.id}; `biobot models use {model.id}` makes it active")
    click.echo("its training bios are unknown: its index is empty, so the dedupe filter cannot refuse copies of them")
