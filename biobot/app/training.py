"""Models from bios: measuring one, training one, and deciding whether it becomes active."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from biobot.storage import atomic_write, make_folder
from biobot.text.humanize import counted
from biobot.worker.client import Worker
from biobot.worker.protocol import LoadPlugins

if TYPE_CHECKING:
    from biobot.evaluation import audit
    from biobot.model.checkpoint import Checkpoint
    from biobot.model.evaluate import Bytes, Score
    from biobot.model.training import Progress, Trainer


def open_model(config: Config, name: str | None = None) -> tuple[str, Checkpoint]:
    """Return the id and the checkpoint of the model `name` (None: the configured one), on the configured device."""
    from biobot.model import checkpoint
    from biobot.sampling.sampler import device

    folder = Registry(config.home).find(name or config.settings.model.name)
    return folder.id, checkpoint.load(folder.weights, device(config.settings.model.device))


def evaluate(config: Config, file: Path, name: str | None = None) -> tuple[str, Score, int]:
    """Score a model on the bios of a file, unchanged; return its id, the score and how many lines hold no bio."""
    from biobot.model import evaluate

    model, checkpoint = open_model(config, name)
    skipped: list[Skipped] = []
    score = evaluate.score(checkpoint, texts(file, skipped))
    if not score.bios:
        raise CorpusError(f"{file} holds no bio")
    return model, score, len(skipped)


def evaluate_each(
    config: Config, file: Path, name: str | None = None, skipped: list[Skipped] | None = None
) -> Iterator[tuple[str, Bytes]]:
    """Yield each bio of a file with its probabilities by byte; lines without a bio are added to `skipped`."""
    from biobot.model import evaluate

    _, checkpoint = open_model(config, name)
    for bio in texts(file, skipped):
        yield bio, evaluate.per_byte(checkpoint, bio)


def texts(file: Path, skipped: list[Skipped] | None = None) -> Iterator[str]:
    """Yield the bios of a file, unchanged; lines without one are added to `skipped`."""
    for found in read(file):
        if isinstance(found, Bio):
            yield found.text
        elif skipped is not None:
            skipped.append(found)


# -- training ----------------------------------------------------------------------------------------------

HELD_OUT = 0.05
"""The share of bios that is held out without --dev, up to MAX_HELD_OUT of them."""

MAX_HELD_OUT = 5000

_GATE = 0.15, 2.0  # the share of --max-minutes, and the most minutes, reserved for index, report and gate
_GATE_BYTES = 300_000  # how much of dev is measured when the time is limited
_AUDITED = 1000  # training bios, and held-out ones, whose memorisation is measured
_NOTED_EVERY = 2.0  # seconds between two looks that `status` and the console can take at a training
REPORT_SAMPLES = 400
"""Bios that the report draws at each temperature."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options of `biobot train`; `minutes` cover everything, the import and the gate included."""

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


MAX_ALIKE, MIN_HELD_OUT = 0.1, 50
"""If more than this share of the bios resembles held-out ones, fewer are held out, but at least MIN_HELD_OUT."""

WHY = {
    groups.NEAR: "too much like a held-out one, which would make it easy to predict",
    "url": 'with a link (`train.url = "keep"` trains on them)',
    "email": 'with an e-mail address (`train.email = "keep"`)',
    "phone": 'with a phone number (`train.phone = "keep"`)',
    "languages": "in a language that `train.languages` does not name",
    "min_bytes": "shorter than `train.min_bytes`",
    "max_bytes": "longer than `train.max_bytes`",
    "forgotten": "whose authors have opted out",
    "skipped": "that cannot be read",
}
"""Why bios are left out, in words, and what changes that."""


@dataclass(frozen=True, slots=True)
class Note:
    """A line for the person waiting."""

    text: str


@dataclass(frozen=True, slots=True)
class StepDone:
    """A training step is done; `peek` draws a bio from the model as it is now."""

    progress: Progress
    peek: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Done:
    """The training is over; `card` is the model card."""

    model: str
    card: Mapping[str, Any]
    promoted: bool
    why: str


def train(
    config: Config, options: Options, now: datetime, clock: Callable[[], float], stopped: Callable[[], bool]
) -> Iterator[Note | StepDone | Done]:
    """Train a model, measure it, and make it active if it is better; one step at each iteration.

    `clock` returns seconds. Once `stopped()` is true the training ends early and the best model so far goes through
    the gate. Under torchrun only the first process yields anything. The outcome is recorded for `status`; LockHeld if
    another training runs in this home.
    """
    began = clock()

    def moment() -> datetime:
        return now + timedelta(seconds=clock() - began)

    if os.environ.get("RANK", "0") != "0":
        yield from _train(config, options, moment, clock, stopped, training_record.Record())
        return
    with training_record.recorded(config.home, moment) as record:
        Worker(config).try_plugins(LoadPlugins())  # rather than when the gate needs them, hours later
        record.at("collect")
        noted = began
        for event in _train(config, options, moment, clock, stopped, record):
            if isinstance(event, Done):
                record.end(event.model, event.promoted, event.why)
            elif isinstance(event, StepDone) and clock() - noted >= _NOTED_EVERY:
                noted, now_at = clock(), event.progress
                record.progress = {
                    "step": now_at.step,
                    "steps": now_at.steps,
                    "seen_bytes": now_at.seen_bytes,
                    "bytes_per_second": now_at.bytes_per_second,
                    "eta_s": now_at.eta,
                    "train_bits_per_byte": now_at.train_bits,
                }
                record.write()
            yield event


def _train(
    config: Config,
    options: Options,
    moment: Callable[[], datetime],
    clock: Callable[[], float],
    stopped: Callable[[], bool],
    record: training_record.Record,
) -> Iterator[Note | StepDone | Done]:
    from biobot.model import checkpoint, processes
    from biobot.model.bytefile import ByteFile
    from biobot.model.recipe import PRESETS
    from biobot.model.training import Trainer

    now, began = moment(), clock()
    wanted = options.device if options.device != "auto" else config.settings.model.device
    with processes.joined(wanted) as (rank, device):
        registry = Registry(config.home)
        folder = config.home / "training"
        base = registry.find(options.start) if options.start else None
        if rank == 0:
            if options.corpus is None and not options.resume:
                for record.collected in collecting.before_training(config, moment, stopped):
                    yield Note(record.collected)
            record.at("read bios")
            yield from _write_bios(config, options, folder)
        processes.barrier()
        record.at("learn")
        bios, dev = ByteFile(folder / "bios"), ByteFile(folder / "dev")
        if options.resume:
            trainer = Trainer.resume(folder, bios, dev, device=device, clock=clock)
        else:
            recipe = PRESETS[options.preset or "base"]
            if options.epochs is not None:
                recipe = replace(recipe, epochs=options.epochs)
            left = None
            if options.minutes is not None:
                left = options.minutes - min(_GATE[0] * options.minutes, _GATE[1]) - (clock() - began) / 60
            trainer = Trainer.begin(
                folder,
                bios,
                dev,
                recipe,
                seed=options.seed,
                device=device,
                start=checkpoint.load(base.weights) if base else None,
                minutes=left,
                clock=clock,
            )
        yield Note(
            f"{counted(len(bios), 'bio')} ({len(bios.text) / 1e6:.1f} MB) to learn, {len(dev):,} held out; "
            f"{trainer.parameters:,} parameters in {trainer.state.dtype} on {device}"
        )
        steps = trainer.run()
        for progress in steps:
            if rank == 0:
                yield StepDone(progress, lambda: _peek(trainer))
            if stopped():
                steps.close()
                break
        if rank == 0:
            yield from _finish(config, options, trainer, base, f"{now:%Y%m%d-%H%M%S}", now, record)


def _write_bios(config: Config, options: Options, folder: Path) -> Iterator[Note]:
    """Write the training bios and those held out; with --resume they are written again, and must be the same."""
    from biobot.model.bytefile import ByteFile

    left_out: Counter[str] = Counter()

    def cleaned(file: Path | None) -> Iterator[str]:
        with open_store(config) as store:
            bios = read(file) if file else store.bios()
            yield from clean.clean(bios, config.settings.train, left_out, store.forgotten().covers)

    dev = list(cleaned(options.dev)) if options.dev else None
    held = groups.hold_out(cleaned(options.corpus), share=HELD_OUT, most=MAX_HELD_OUT) if dev is None else dev
    while True:
        left_out.clear()
        ByteFile.build(folder / "dev", (bio.encode() for bio in held))
        ByteFile.build(folder / "bios", (bio.encode() for bio in groups.apart(cleaned(options.corpus), held, left_out)))
        alike, learnt = left_out[groups.NEAR], len(ByteFile(folder / "bios"))
        if dev is not None or alike <= MAX_ALIKE * (alike + learnt):
            break
        # bios of one pattern, of which each that is held out costs many others: hold out the least alike ones
        pool = groups.hold_out(cleaned(options.corpus), share=5 * HELD_OUT, most=MAX_HELD_OUT)
        cost = int(MAX_ALIKE * (alike + learnt))
        dev = held = groups.fewest_relatives(cleaned(options.corpus), pool, cost, MIN_HELD_OUT)[: len(held)]
    if left_out:
        yield Note("left out: " + "; ".join(f"{count:,} {WHY.get(why, why)}" for why, count in left_out.most_common()))


def _peek(trainer: Trainer) -> str:
    from biobot.model.checkpoint import Checkpoint
    from biobot.sampling.controls import Request
    from biobot.sampling.sampler import Sampler

    trainer.model.eval()
    try:
        sampler = Sampler(Checkpoint(trainer.model, trainer.codec), rows=16)
        return next(iter(sampler.draw([Request(trainer.state.step, 0.8)]))).text
    finally:
        trainer.model.train()


def _finish(
    config: Config,
    options: Options,
    trainer: Trainer,
    base: ModelFolder | None,
    model: str,
    now: datetime,
    record: training_record.Record,
) -> Iterator[Note | Done]:
    """Register the best model of a training, measure it, and make it active if the gate allows it."""
    from biobot.evaluation import audit, gate, plots, report
    from biobot.model import checkpoint, evaluate
    from biobot.sampling.sampler import Sampler, device

    record.at("measure")
    registry = Registry(config.home)
    folder = ModelFolder(model, registry.folder / model)
    yield Note(f"indexing the training bios of {model}")
    make_folder(folder.path)
    index.build((_text(each) for each in trainer.bios), folder.index, base.index if base else None)
    on = device(config.settings.model.device)
    best = checkpoint.load(trainer.folder / "best.safetensors", on)
    card = {**best.card, "id": model, "created": now.isoformat(timespec="seconds"), "from": base.id if base else None}
    best.card = card
    checkpoint.save(folder.weights, best, "bfloat16")

    yield Note(f"measuring {model}")
    best = checkpoint.load(folder.weights, on)  # as rounded to bfloat16
    every = 1 if options.minutes is None else max(1, len(trainer.dev.text) // _GATE_BYTES)
    dev = [_text(trainer.dev[place]) for place in range(0, len(trainer.dev), every)]
    bits = evaluate.score(best, dev).bits_per_byte
    known = index.Index.open(folder.index)
    judge = Judge(loader.load(config), known, config.settings.filters.timeout)
    sampler = Sampler(best)
    temperatures = sorted({0.8, *config.settings.sample.temperatures})
    rows = [
        report.row(sampler, each, REPORT_SAMPLES, known, lambda candidate: judge.judge(candidate).accepted)
        for each in temperatures
    ]
    verbatim = next(row.verbatim for row in rows if row.temperature == 0.8)
    real, _ = report.verbatim(dev, known)
    card |= {"dev_bits_per_byte": bits, "verbatim_rate": verbatim, "real_verbatim_rate": real}
    card["report"] = [row.as_dict() for row in rows]
    memorised = [each.as_dict() for each in _audit(best, trainer, dev)]
    card["audit"] = memorised

    try:
        current: ModelFolder | None = registry.current()
    except ModelError:
        current = None
    old, compared, new = None, 0, bits
    if current is not None:
        theirs = index.Index.open(current.index)
        fair = [bio for bio in dev if not resembles(theirs, bio) and not resembles(known, bio)]
        compared = len(fair)
        new, old = (evaluate.score(each, fair).bits_per_byte for each in (best, checkpoint.load(current.weights, on)))
        card["compared"] = {"with": current.id, "bios": compared, "new": new, "old": old}
    decision = gate.decide(model, new, old, compared, verbatim, real, audit.refusal(memorised))
    best.card = card
    checkpoint.save(folder.weights, best, "bfloat16")
    with atomic_write(folder.path / "curve.png") as file:
        file.write(plots.png(plots.learning_curve(card["curve"], model)))
    for line in [*report.table(card["report"]), *audit.table(memorised)]:
        yield Note(line)
    record.at("promote")
    promote = decision.promote and options.promote
    if promote:
        registry.promote(model)
        registry.prune(config.settings.model.keep)
    beside = gate.beside(card, {} if current is None else current.header().card, promote=decision.promote)
    why = f"{decision.why}{beside}" if options.promote else f"--no-promote ({decision.why}{beside})"
    yield Done(model, card, promote, why)


def _audit(best: Checkpoint, trainer: Trainer, dev: Sequence[str]) -> list[audit.Row]:
    """Return what a model has memorised of a sample of its training bios, at T = 0.8 and 1; empty without long ones."""
    from biobot.evaluation import audit
    from biobot.evaluation.report import MIN_BYTES

    every = max(1, len(trainer.bios) // _AUDITED)
    training = (_text(trainer.bios[place]) for place in range(0, len(trainer.bios), every))
    texts = list(training), dev[:_AUDITED]
    long = [[each for each in some if len(each.encode()) >= MIN_BYTES] for some in texts]
    return audit.measure(best, (long[0], long[1]), (0.8, 1.0)) if all(long) else []


def resembles(known: index.Index, bio: str) -> bool:
    """Return whether an index holds a bio, or one so similar that `groups.apart` would have left it out."""
    found = known.matches(bio)
    return any(each.layer == "exact" or (each.layer == "near" and each.amount >= groups.ALIKE) for each in found)


def _text(raw: Any) -> str:
    return bytes(raw).decode()


# -- models ------------------------------------------------------------------------------------------------

SHOWN = (0.2, 0.5, 0.8, 1.0, 1.2)
"""The temperatures of the samples that `models show` draws."""


def samples(config: Config, model: Path) -> Iterator[tuple[float, str]]:
    """Draw one bio at each of the five temperatures of SHOWN, always the same ones."""
    from biobot.sampling.controls import Request
    from biobot.sampling.sampler import Sampler

    sampler = Sampler(open_model(config, str(model))[1], rows=16)
    drawn = sampler.draw(Request(0, temperature) for temperature in SHOWN)
    return zip(SHOWN, (each.text for each in drawn), strict=True)


def import_legacy(
    config: Config, state_dict: Path, sizes: Path, byte_values: Path, name: str, now: datetime
) -> ModelFolder:
    """Add the blog author's files to this bot's models, under the id `name`, with an empty index."""
    from biobot.model import checkpoint, legacy

    folder = ModelFolder(name, Registry(config.home).folder / name)
    if not re.fullmatch(r"[\w-][\w.-]*", name) or name in ("current", "starter"):
        raise ModelError(f"{name!r} cannot be the name of a model; use letters, digits, - and _")
    if folder.path.exists():
        raise ModelError(f"a model {name} exists already; choose another --name")
    imported = legacy.read(state_dict, sizes, byte_values)
    imported.card |= {"id": name, "created": now.isoformat(timespec="seconds")}
    make_folder(folder.path)
    index.build([], folder.index)
    checkpoint.save(folder.weights, imported)
    return folder
