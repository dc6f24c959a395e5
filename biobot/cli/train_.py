"""`biobot train`: a model from bios, measured before it becomes active."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from biobot.cli import Changing, Options
from biobot.model import runtime

if TYPE_CHECKING:
    from biobot.app.training import Done, Note, StepDone

ENOUGH = 30e6
"""Bytes of training after which a model from nothing writes whole sentences."""

_SAMPLE_EVERY = 20.0  # seconds
_QUIET = 0.85  # the share of its time that a training is on a core where nothing else wants the cores, at least


@click.command(cls=Changing)
@click.option(
    "--preset",
    type=click.Choice(["tiny", "small", "base", "blog", "large"]),
    help="The model's size (base).",
)
@click.option("--epochs", type=click.FloatRange(min=0, min_open=True), help="Passes over the training bios.")
@click.option(
    "--max-minutes",
    "minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="A limit on the time for everything, in minutes.",
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--resume", is_flag=True, help="Continue the training that was stopped.")
@click.option("--from", "start", metavar="MODEL", help="Start from a model: `starter`, an id, or a path.")
@click.option("--corpus", type=click.Path(path_type=Path), help="A file of bios instead of the bot's corpus.")
@click.option("--dev", type=click.Path(path_type=Path), help="Evaluate on this file; by default, on held-out bios.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--no-promote", is_flag=True, help="Do not make the model active, however good it is.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per event.")
@click.pass_obj
def command(
    options: Options,
    preset: str | None,
    epochs: float | None,
    minutes: float | None,
    device: Literal["auto", "cpu", "cuda"],
    resume: bool,
    start: str | None,
    corpus: Path | None,
    dev: Path | None,
    seed: int,
    no_promote: bool,
    as_json: bool,
) -> None:
    """Train a model, measure it, and make it active if it is no worse than the active one.

    Ctrl-C ends the training and keeps the best model so far; a second one exits at once, and --resume continues.
    """
    if epochs is not None and minutes is not None:
        raise click.UsageError("give either --epochs or --max-minutes")
    if resume and (preset or epochs or minutes or start):
        raise click.UsageError(
            "with --resume leave out --preset, --epochs, --max-minutes and --from: it continues as begun"
        )
    runtime.prepare()
    from biobot.app import training

    wanted = training.Options(preset, epochs, minutes, device, resume, start, corpus, dev, seed, not no_promote)
    with _interrupts() as interrupts, ExitStack() as stack:
        show = _print_json if as_json else stack.enter_context(_bar())
        steps = training.train(options.config, wanted, datetime.now(UTC), time.monotonic, lambda: bool(interrupts))
        for event in steps:
            show(event)
    if "TORCHELASTIC_RUN_ID" in os.environ:
        # under torchrun a thread of gloo may outlive the group and would abort the process at a normal exit
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Yield a list that the first Ctrl-C is added to; the second one interrupts."""
    seen: list[int] = []

    def note(number: int, _: object) -> None:
        seen.append(number)
        signal.signal(signal.SIGINT, before)
        click.echo(
            "\nstopping; the best model so far goes through the gate, in half a minute or so "
            "(Ctrl-C again: exit at once)",
            err=True,
        )

    before = signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)


def _print_json(event: Note | StepDone | Done) -> None:
    from biobot.app.training import Done, StepDone

    if isinstance(event, StepDone):
        click.echo(json.dumps(_progress(event)))
    elif isinstance(event, Done):
        card = event.card
        facts = {
            "event": "done",
            "model": event.model,
            "seen_bytes": card["seen_bytes"],
            "seconds": card["seconds"],
            "dev_bits_per_byte": card["dev_bits_per_byte"],
            "verbatim_rate": card["verbatim_rate"],
            "real_verbatim_rate": card["real_verbatim_rate"],
            "promoted": event.promoted,
            "why": event.why,
        }
        click.echo(json.dumps(facts))
    else:
        click.echo(event.text, err=True)


def _progress(event: StepDone) -> dict[str, Any]:
    progress = event.progress
    facts = {
        "event": "progress",
        "step": progress.step,
        "epoch": progress.epoch,
        "seen_bytes": progress.seen_bytes,
        "bytes_per_second": round(progress.bytes_per_second, 1),
        "train_bits_per_byte": progress.train_bits,
        "eta_s": progress.eta,
    }
    return facts if progress.dev_bits is None else {**facts, "dev_bits_per_byte": progress.dev_bits}


@contextmanager
def _bar() -> Iterator[Any]:
    """Yield what shows the training as a progress bar, with a sample of the model now and then."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TextColumn

    from biobot.app.training import Note, StepDone
    from biobot.text.terminal import clean, painted

    console = Console(file=painted(sys.stderr), soft_wrap=True)  # a line of the journal is a line
    columns = (BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TextColumn("{task.description}"))
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, visible=False)  # until there is something to show
        sampled = time.monotonic()

        def show(event: Note | StepDone | Done) -> None:
            nonlocal sampled
            if isinstance(event, Note):
                bar.console.print(escape(clean(event.text)), highlight=False)
            elif isinstance(event, StepDone):
                now = event.progress
                eta = "" if now.eta is None else f" · {now.eta // 60:.0f}:{now.eta % 60:02.0f} to go"
                busy = "" if now.on_core > _QUIET else f" (machine busy: {now.on_core:.0%} of the time on a core)"
                description = (
                    f"epoch {now.epoch + 1} · {now.bytes_per_second / 1000:.1f} KB/s{busy} · "
                    f"{now.train_bits:.3f} bits per byte{eta}"
                )
                bar.update(task, completed=now.step, total=now.steps, description=description, visible=True)
                if now.dev_bits is not None:
                    bar.console.print(f"step {now.step}: dev {now.dev_bits:.4f} bits per byte", highlight=False)
                    if time.monotonic() - sampled >= _SAMPLE_EVERY:
                        sampled = time.monotonic()
                        bar.console.print(f"  [italic]{escape(clean(event.peek()))}[/]", highlight=False)
            else:
                card, verb = event.card, "is now active" if event.promoted else "is not active"
                bar.console.print(
                    f"[bold]{event.model} {verb}[/]: {escape(clean(event.why))}\n"
                    f"dev {card['dev_bits_per_byte']:.4f} bits per byte · copies {card['verbatim_rate']:.1%} "
                    f"(of real held-out bios {card['real_verbatim_rate']:.1%}) · "
                    f"{card['seen_bytes'] / 1e6:.1f} MB trained on in {card['seconds']:.0f} s",
                    highlight=False,
                )
                if not event.promoted and not card["from"] and card["seen_bytes"] < ENOUGH:
                    bar.console.print(
                        f"{card['seen_bytes'] / 1e6:.1f} MB teach words, hardly sentences; next: "
                        "`biobot train --from starter`, which knows both, or an hour: `biobot train --max-minutes 60`",
                        highlight=False,
                    )

        yield show
