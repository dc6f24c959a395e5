"""Models from bios: measuring one, training one, and deciding whether it may speak."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from biobot.app import collecting, training_record
from biobot.app.corpus import open_store
from biobot.config import Config
from biobot.corpus import clean
from biobot.corpus.readers import Bio, Skipped, read
from biobot.dedupe import groups, index
from biobot.errors import CorpusError, ModelError
from biobot.filters import loader
from biobot.filters.judge import Judge
from biobot.model.registry import ModelFolder, Registry
from biobot.text.humanize import counted

if TYPE_CHECKING:
    from biobot.model.checkpoint import Checkpoint
    from biobot.model.evaluate import Bytes, Score
    from biobot.model.training import Progress, Training


def open_model(config: Config, name: str | None = None) -> tuple[str, Checkpoint]:
    """Load the model `name` (None: the one that the config names) where the config wants it to run; give its id."""
    from biobot.model import checkpoint
    from biobot.sampling.sampler import device

    folder = Registry(config.home).find(name or config.settings.model.name)
    return folder.id, checkpoint.load(folder.weights, device(config.settings.model.device))


def evaluate(config: Config, file: Path, name: str | None = None) -> tuple[str, Score, int]:
    """Measure a model on a file of bios exactly as they stand; give its id, its score and the lines without a bio."""
    from biobot.model import evaluate

    model, checkpoint = open_model(config, name)
    skipped: list[Skipped] = []
    score = evaluate.score(checkpoint, texts(file, skipped))
    if not score.bios:
        raise CorpusError(f"there is no bio in {file}")
    return model, score, len(skipped)


def evaluate_each(
    config: Config, file: Path, name: str | None = None, skipped: list[Skipped] | None = None
) -> Iterator[tuple[str, Bytes]]:
    """Yield each bio of a file with the probability of its every byte; lines without a bio are added to `skipped`."""
    from biobot.model import evaluate

    _, checkpoint = open_model(config, name)
    for bio in texts(file, skipped):
        yield bio, evaluate.per_byte(checkpoint, bio)


def texts(file: Path, skipped: list[Skipped] | None = None) -> Iterator[str]:
    """Yield the bios of a file as they stand; lines that hold none are added to `skipped`."""
    for found in read(file):
        if isinstance(found, Bio):
            yield found.text
        elif skipped is not None:
            skipped.append(found)


# -- training ----------------------------------------------------------------------------------------------

HELD_OUT = 0.05
"""The share of bios that is held out where no --dev is given."""

MOST_HELD_OUT = 5000

_GATE = 0.15, 2.0  # this share of --max-minutes, but no more minutes, is kept for the index, the report and the gate
_GATE_BYTES = 300_000  # of dev are measured when the time is limited
_SAMPLES = 400  # bios that the report draws at each temperature


@dataclass(frozen=True, slots=True)
class Wanted:
    """What `biobot train` was asked for; `minutes` are for everything, the import and the gate included."""

    preset: str | None = None
    epochs: float | None = None
    minutes: float | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    resume: bool = False
    start: str | None = None
    corpus: Path | None = None
    dev: Path | None = None
    seed: int = 0
    promote: bool = True


@dataclass(frozen=True, slots=True)
class Note:
    """A line for the person who waits."""

    text: str


@dataclass(frozen=True, slots=True)
class Advance:
    """A step was made; `peek` draws a bio from the model as it is now."""

    progress: Progress
    peek: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Done:
    """How it ended; `card` holds every figure of the model."""

    model: str
    card: Mapping[str, Any]
    promoted: bool
    why: str


def train(
    config: Config, wanted: Wanted, now: datetime, clock: Callable[[], float], stopped: Callable[[], bool]
) -> Iterator[Note | Advance | Done]:
    """Train a model, measure it, and let it speak if it is better; one step at each iteration.

    `clock` gives seconds. Once `stopped()` is true the training ends early and the best model so far goes
    through the gate. Under torchrun the processes beside the first give nothing. What came of it is told by
    `status`, too; LockHeld when another training runs in this home.
    """
    began = clock()

    def moment() -> datetime:
        return now + timedelta(seconds=clock() - began)

    if os.environ.get("RANK", "0") != "0":
        yield from _train(config, wanted, moment, clock, stopped, training_record.Diary())
        return
    with training_record.kept(config.home, moment) as notes:
        for event in _train(config, wanted, moment, clock, stopped, notes):
            if isinstance(event, Done):
                notes.end(event.model, event.promoted, event.why)
            yield event


def _train(
    config: Config,
    wanted: Wanted,
    moment: Callable[[], datetime],
    clock: Callable[[], float],
    stopped: Callable[[], bool],
    notes: training_record.Diary,
) -> Iterator[Note | Advance | Done]:
    from biobot.model import checkpoint, processes
    from biobot.model.bytefile import ByteFile
    from biobot.model.training import PRESETS, Training

    now, began = moment(), clock()
    with processes.joined(wanted.device if wanted.device != "auto" else config.settings.model.device) as (rank, device):
        registry = Registry(config.home)
        folder = config.home / "training"
        base = registry.find(wanted.start) if wanted.start else None
        if rank == 0:
            if wanted.corpus is None and not wanted.resume:
                for notes.collected in collecting.before_training(config, moment, stopped):
                    yield Note(notes.collected)
            notes.at("read bios")
            yield from _write_bios(config, wanted, folder)
        processes.meet()
        notes.at("learn")
        bios, dev = ByteFile(folder / "bios"), ByteFile(folder / "dev")
        if wanted.resume:
            training = Training.resume(folder, bios, dev, device=device, clock=clock)
        else:
            recipe = PRESETS[wanted.preset or "base"]
            if wanted.epochs is not None:
                recipe = replace(recipe, epochs=wanted.epochs)
            left = None
            if wanted.minutes is not None:
                left = wanted.minutes - min(_GATE[0] * wanted.minutes, _GATE[1]) - (clock() - began) / 60
            training = Training(
                folder,
                bios,
                dev,
                recipe,
                seed=wanted.seed,
                device=device,
                start=checkpoint.load(base.weights) if base else None,
                minutes=left,
                clock=clock,
            )
        yield Note(
            f"{counted(len(bios), 'bio')} ({len(bios.text) / 1e6:.1f} MB) to learn, {len(dev):,} held out; "
            f"{training.parameters:,} parameters in {training.where.dtype} on {device}"
        )
        steps = training.run()
        for progress in steps:
            if rank == 0:
                yield Advance(progress, lambda: _peek(training))
            if stopped():
                steps.close()
                break
        if rank == 0:
            yield from _judge(config, wanted, training, base, f"{now:%Y%m%d-%H%M%S}", now, notes)


def _write_bios(config: Config, wanted: Wanted, folder: Path) -> Iterator[Note]:
    """Write the bios to learn and those held out; with --resume they are written again, and must be the same."""
    from biobot.model.bytefile import ByteFile

    left_out: Counter[str] = Counter()

    def learnable(file: Path | None) -> Iterator[str]:
        with open_store(config) as store:
            bios = read(file) if file else store.bios()
            yield from clean.clean(bios, config.settings.train, left_out, store.forgotten().covers)

    dev = list(learnable(wanted.dev)) if wanted.dev else None
    if dev is None:
        dev = groups.hold_out(learnable(wanted.corpus), share=HELD_OUT, most=MOST_HELD_OUT)
    left_out.clear()
    ByteFile.build(folder / "dev", (bio.encode() for bio in dev))
    ByteFile.build(folder / "bios", (bio.encode() for bio in groups.apart(learnable(wanted.corpus), dev, left_out)))
    if left_out:
        yield Note("left out: " + ", ".join(f"{count:,} {why}" for why, count in left_out.most_common()))


def _peek(training: Training) -> str:
    from biobot.model.checkpoint import Checkpoint
    from biobot.sampling.controls import Request
    from biobot.sampling.sampler import Engine

    training.model.eval()
    try:
        engine = Engine(Checkpoint(training.model, training.codec), rows=16)
        return next(iter(engine.draw([Request(training.where.step, 0.8)]))).text
    finally:
        training.model.train()


def _judge(
    config: Config,
    wanted: Wanted,
    training: Training,
    base: ModelFolder | None,
    model: str,
    now: datetime,
    notes: training_record.Diary,
) -> Iterator[Note | Done]:
    """Register the best model of a training, measure it, and let it speak if the gate says so."""
    from biobot.evaluation import gate, plots, report
    from biobot.model import checkpoint, evaluate
    from biobot.sampling.sampler import Engine, device

    notes.at("measure")
    registry = Registry(config.home)
    folder = registry.folder / model
    yield Note(f"writing down what {model} learnt")
    folder.mkdir(parents=True, exist_ok=True)
    own_index = ModelFolder(model, folder).index
    learnt = folder / ".new.idx" if base else own_index
    index.build((_text(each) for each in training.bios), learnt)
    if base:
        index.merge([learnt, base.index], own_index)
        learnt.unlink()
    best = checkpoint.load(training.folder / "best.safetensors", device(config.settings.model.device))
    card = {**best.card, "id": model, "created": now.isoformat(timespec="seconds"), "from": base.id if base else None}
    best.card = card
    checkpoint.save(folder / "model.safetensors", best, "bfloat16")

    yield Note(f"measuring {model}")
    best = checkpoint.load(folder / "model.safetensors", device(config.settings.model.device))
    every = 1 if wanted.minutes is None else max(1, len(training.dev.text) // _GATE_BYTES)
    dev = [_text(training.dev[place]) for place in range(0, len(training.dev), every)]
    bits = evaluate.score(best, dev).bits_per_byte
    own = index.Index.open(own_index)
    judge = Judge(loader.load(config), own, config.settings.filters.timeout)
    engine = Engine(best)
    temperatures = sorted({0.8, *config.settings.sample.temperatures})
    rows = [
        report.row(engine, each, _SAMPLES, own, lambda candidate: judge.judge(candidate).accepted)
        for each in temperatures
    ]
    verbatim = next(row.verbatim for row in rows if row.temperature == 0.8)
    real, _ = report.verbatim(dev, own)
    card |= {"dev_bits_per_byte": bits, "verbatim_rate": verbatim, "real_verbatim_rate": real}
    card["report"] = [row.as_dict() for row in rows]

    try:
        current: ModelFolder | None = registry.current()
    except ModelError:
        current = None
    old, compared, new = None, 0, bits
    if current is not None:
        known = index.Index.open(current.index)
        fair = [bio for bio in dev if not _holds(known, bio) and not _holds(own, bio)]
        compared = len(fair)
        new, old = (
            evaluate.score(each, fair).bits_per_byte
            for each in (best, checkpoint.load(current.weights, device(config.settings.model.device)))
        )
        card["compared"] = {"with": current.id, "bios": compared, "new": new, "old": old}
    decision = gate.decide(model, new, old, compared, verbatim, real)
    best.card = card
    checkpoint.save(folder / "model.safetensors", best, "bfloat16")
    (folder / "curve.png").write_bytes(plots.png(plots.learning_curve(card["curve"], model)))
    for line in report.table(card["report"]):
        yield Note(line)
    notes.at("promote")
    promote = decision.promote and wanted.promote
    if promote:
        registry.promote(model)
        registry.prune(config.settings.model.keep)
    why = decision.why if wanted.promote else f"--no-promote ({decision.why})"
    yield Done(model, card, promote, why)


def _holds(known: index.Index, bio: str) -> bool:
    """Return whether an index holds a bio, or one so like it that `groups.apart` would not have learnt it."""
    found = known.matches(bio)
    return any(each.layer == "exact" or (each.layer == "near" and each.amount >= groups.ALIKE) for each in found)


def _text(raw: Any) -> str:
    return bytes(raw).decode()


# -- models ------------------------------------------------------------------------------------------------

SHOWN = (0.2, 0.5, 0.8, 1.0, 1.2)
"""The temperatures at which a model shows what it says."""


def samples(config: Config, model: Path) -> Iterator[tuple[float, str]]:
    """Draw one bio at each of the five temperatures of SHOWN, always the same ones."""
    from biobot.sampling.controls import Request
    from biobot.sampling.sampler import Engine

    engine = Engine(open_model(config, str(model))[1], rows=16)
    drawn = engine.draw(Request(0, temperature) for temperature in SHOWN)
    return ((each.temperature, each.text) for each in drawn)


def import_legacy(
    config: Config, state_dict: Path, sizes: Path, byte_values: Path, name: str, now: datetime
) -> ModelFolder:
    """Make the blog author's files one of this bot's models, under the id `name`; its index holds nothing."""
    from biobot.model import checkpoint, legacy

    folder = Registry(config.home).folder / name
    if not re.fullmatch(r"[\w-][\w.-]*", name) or name in ("current", "starter"):
        raise ModelError(f"{name!r} is no name for a model; use letters, digits, - and _")
    if folder.exists():
        raise ModelError(f"there is a model {name} already; give another --name")
    imported = legacy.read(state_dict, sizes, byte_values)
    imported.card |= {"id": name, "created": now.isoformat(timespec="seconds")}
    folder.mkdir(parents=True)
    index.build([], ModelFolder(name, folder).index)
    checkpoint.save(folder / "model.safetensors", imported)
    return ModelFolder(name, folder)
