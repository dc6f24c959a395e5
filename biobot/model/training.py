"""Bios to a model: a training that can be stopped at any step and resumed as if it had never stopped.

A training lives in a folder: `state.safetensors` (weights, the optimizer's state, the position in the order of batches,
the curve so far) and `best.safetensors` (the best model so far, a checkpoint
like any other). What happens at a step depends on the seed, the bios and the number of the step alone, and on the
plan, which is kept in the state: it follows from the epochs, or from the speed of the first steps and the minutes. So
on a CPU a resumed training equals an uninterrupted one bit for bit (F31), with any number of workers: a batch is cut
into the same parts, whose gradients are added up in the same order, whoever computes them.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from biobot.errors import ModelError
from biobot.model import checkpoint, runtime, training_state
from biobot.model.batches import CHUNK, PADDING, Ids, batches, cut, pack, parts
from biobot.model.bytefile import ByteFile
from biobot.model.checkpoint import Checkpoint
from biobot.model.codec import STOP, Codec
from biobot.model.lstm import ByteLSTM
from biobot.model.processes import ProcessGroup
from biobot.model.recipe import Plan, Recipe
from biobot.model.shape import Shape
from biobot.model.training_forward import TrainingForward, fast_dtype
from biobot.model.training_state import TrainingState
from biobot.model.workers import Workers

Clock = Callable[[], float]
"""Seconds since some moment; `time.monotonic`, or a test's own."""

FIRST_STEPS = 30
"""The speed of this many steps fixes the number of steps of a training that is given minutes."""

_WINDOW = 30.0  # seconds over which the speed is measured
_TOLERANCE = 0.02  # how far from the given minutes, relatively, a training may end by its plan
_DEV_BYTES = 100_000  # the size of the sample of dev that is evaluated
_FINE_TUNING = 1 / 8  # learning-rate factor for a model that goes on, against forgetting


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training stands after a step; bits are per byte, stops included, `dev_bits` only after an evaluation.

    `on_core` is the share of the last half minute's work that ran on a core: the rest waited for other processes.
    """

    step: int
    steps: int | None
    epoch: int
    seen_bytes: int
    seconds: float
    bytes_per_second: float
    on_core: float
    train_bits: float
    dev_bits: float | None
    eta: float | None


class Trainer:
    """One training, in its folder, on `bios`; `dev` selects the best model.

    `minutes` limit the time and fix the number of steps where the state has none; the state is saved every
    `save_every` seconds. `workers` threads (None: as many as torch would use) compute the parts of a batch. Under
    torch.distributed every process takes its share of each batch, the gradients are added up, and the first process
    alone evaluates and writes.
    """

    def __init__(
        self,
        folder: Path,
        bios: ByteFile,
        dev: ByteFile,
        checkpoint: Checkpoint,
        state: TrainingState,
        *,
        device: str,
        clock: Clock,
        save_every: float = 60.0,
        minutes: float | None = None,
        workers: int | None = None,
    ) -> None:
        self.folder, self.bios, self.dev, self.state = folder, bios, dev, state
        self.device, self.clock, self.save_every, self.minutes = torch.device(device), clock, save_every, minutes
        self.codec, self.model = checkpoint.codec, checkpoint.model.to(self.device).train()
        self.processes = ProcessGroup.current()
        count = (workers or torch.get_num_threads()) if self.device.type == "cpu" else 1
        if self.device.type == "cpu":
            runtime.keep_memory()
        self.workers, self.forward = Workers(count), TrainingForward(self.model, getattr(torch, state.dtype))
        self._gradients: list[Tensor] = []  # of each part, those of all parameters side by side; then nats, lateness
        recipe = state.recipe
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=recipe.rate, betas=(0.9, 0.99), weight_decay=recipe.decay, fused=True
        )
        if state.steps is None and minutes is None:
            state.plan = state.plan.replanned(0, steps_for_epochs(recipe, bios))
        ids = np.arange(0, len(dev), max(1, len(dev.text) // _DEV_BYTES))  # the same sample at every evaluation
        self._dev_batches = cut(ids, dev.lengths(ids), 16_384)
        self._speed, self._late = Speed(clock), False

    @classmethod
    def begin(
        cls,
        folder: Path,
        bios: ByteFile,
        dev: ByteFile,
        recipe: Recipe,
        *,
        seed: int = 0,
        start: Checkpoint | None = None,
        device: str = "cpu",
        dtype: torch.dtype | None = None,
        **more: Any,
    ) -> Trainer:
        """Begin a training with fresh weights, or from the model `start`, whose sizes are kept, at a lower rate."""
        if not len(bios):
            raise ModelError("there are no bios to learn from; `biobot corpus import FILE` adds some")
        if not len(dev):
            raise ModelError("there are no bios to evaluate on; import more, or pass some with --dev FILE")
        torch.manual_seed(seed)
        dtype = dtype or fast_dtype(torch.device(device))
        if start is None:
            codec = Codec(bios.values())
            model = fresh(replace(recipe.shape, vocabulary=codec.size), codec, bios)
        else:
            codec = Codec(bytes(sorted({*start.codec.values, *bios.values()})))
            model = widen(start, codec, recipe.shape.dropout)
            recipe = replace(recipe, rate=recipe.rate * _FINE_TUNING)
        recipe = replace(recipe, shape=model.shape)
        state = TrainingState(seed, Plan(recipe), bios.digest(), str(dtype).removeprefix("torch."))
        return cls(folder, bios, dev, Checkpoint(model, codec), state, device=device, **more)

    @classmethod
    def resume(cls, folder: Path, bios: ByteFile, dev: ByteFile, *, device: str = "cpu", **more: Any) -> Trainer:
        """Continue where the state in `folder` ends; ModelError if there is none, or the bios are not the same."""
        state = training_state.read(folder)
        if state.corpus != bios.digest():
            raise ModelError(f"the bios have changed since {folder} was written; train again without --resume")
        tensors, facts = checkpoint.read(folder / training_state.FILE)
        codec = Codec(bytes.fromhex(facts["values"]))
        model = ByteLSTM(state.recipe.shape, codec.values)
        model.load_state_dict({n[6:]: each for n, each in tensors.items() if n.startswith("model.")})
        self = cls(folder, bios, dev, Checkpoint(model, codec), state, device=device, **more)
        for name, parameter in model.named_parameters():
            self.optimizer.state[parameter] = {
                kind: tensors[f"{kind}.{name}"].to(self.device if kind != "step" else "cpu")
                for kind in ("exp_avg", "exp_avg_sq", "step")
                if f"{kind}.{name}" in tensors
            }
        return self

    @property
    def parameters(self) -> int:
        """How many parameters the model has."""
        return sum(each.numel() for each in self.model.parameters())

    def run(self) -> Generator[Progress, None, None]:
        """Train to the end, yielding the progress after every step; the files on disk are always whole.

        Closing the generator (Ctrl-C) saves first. Raises ModelError if the loss is not finite (F32): the best model
        and the last good state are then still there.
        """
        state = self.state
        began, saved = self.clock() - state.seconds, self.clock()
        order = batches(self.bios, state.seed, lambda step: state.plan.batch_bytes(step), state.position, state.step)
        self._speed.add(0, self.workers)
        try:
            while not state.finished:
                ids, position = next(order)
                bits, count = self.train_step(ids)
                state.train_bits = bits if math.isnan(state.train_bits) else 0.98 * state.train_bits + 0.02 * bits
                state.step, state.position, state.seen = state.step + 1, position, state.seen + count
                self._speed.add(count, self.workers)
                state.seconds = self.clock() - began
                if self._late:
                    state.plan = state.plan.replanned(state.step, 0)
                dev_bits = self.evaluate_dev() if state.plan.evaluates_after(state.step) else None
                planned = state.step == FIRST_STEPS or dev_bits is not None
                planned = planned and self.minutes is not None and not state.finished and self._replan()
                if state.finished or planned or (state.steps and self.clock() - saved >= self.save_every):
                    self.save()
                    saved = self.clock()
                yield self._progress(dev_bits)
        except GeneratorExit:
            self.save()  # first, so that a resumed training knows nothing of the evaluation that follows
            self.evaluate_dev()
            raise

    def train_step(self, ids: Ids) -> tuple[float, int]:
        """Train on one batch; return its bits per byte and its bytes, stops included."""
        state, recipe = self.state, self.state.recipe
        for group in self.optimizer.param_groups:
            group["lr"] = state.plan.learning_rate(state.step)
        count = int(self.bios.lengths(ids).sum()) + len(ids)
        own = ids[self.processes.rank :: self.processes.size]
        tasks = list(enumerate(parts(own, self.bios.lengths(own)) if len(own) else [own]))
        while len(self._gradients) < len(tasks):
            self._gradients.append(torch.zeros(self.parameters + 2, device=self.device))
        flat, *others = self._gradients[: len(tasks)]
        flat[-2] = sum(self.workers.map(lambda task: self._learn_part(*task, count), tasks))
        flat[-1] = self.minutes is not None and state.seconds > 60 * self.minutes
        for each in others:
            flat[:-2] += each[:-2]
        self.processes.sum(flat)
        nats, self._late = float(flat[-2]), bool(flat[-1] > 0)
        (norm,) = self.workers.map(lambda each: float(each[:-2].norm()), [flat])  # by one thread: sums depend on it
        if not math.isfinite(nats + norm):
            raise ModelError(
                f"the loss is no longer a number at step {state.step + 1}; the best model so far is kept in "
                f"{self.folder}, and does not become active: train again with another --seed"
            )
        flat *= min(1.0, recipe.clip / (norm + 1e-6))
        parameters = list(self.model.parameters())
        for parameter, gradient in zip(
            parameters, torch.split(flat[:-2], [each.numel() for each in parameters]), strict=True
        ):
            parameter.grad = gradient.view_as(parameter)
        self.optimizer.step()
        return nats / math.log(2), count

    def _learn_part(self, part: int, ids: Ids, count: int) -> float:
        """Compute the gradients of a part of a batch of `count` bytes; return its share of the batch's mean nats."""
        if not len(ids):
            self._gradients[part].zero_()
            return 0.0
        seed = np.random.SeedSequence((self.state.seed, self.state.step, self.processes.rank, part))
        inputs, targets = self._pack(self.bios, ids)
        nats, gradients = self.forward.gradients(inputs, targets, count, int(seed.generate_state(1)[0]))
        torch.cat([each.flatten() for each in gradients], out=self._gradients[part][:-2])
        return nats / count

    def _pack(self, bios: ByteFile, ids: Ids) -> tuple[Tensor, Tensor]:
        inputs, targets = pack((bios[int(each)] for each in ids), self.codec)
        return inputs.to(self.device), targets.to(self.device)

    def evaluate_dev(self) -> float:
        """Return bits per byte on the sample of dev, and save the model if it is the best so far."""
        if self.processes.rank:
            return math.nan
        state = self.state
        self.model.eval()
        nats, counts = zip(*self.workers.map(self._evaluate_part, self._dev_batches), strict=True)
        self.model.train()
        bits: float = sum(nats) / sum(counts) / math.log(2)
        state.curve.append((state.step, state.seen, state.train_bits, bits))
        if math.isfinite(bits) and (state.best is None or bits < state.best):
            state.best = bits
            checkpoint.save(self.folder / "best.safetensors", Checkpoint(self.model, self.codec, self.card()))
        return bits

    def _evaluate_part(self, ids: Ids) -> tuple[float, int]:
        inputs, targets = self._pack(self.dev, ids)
        return self.forward.nats(inputs, targets), int((targets != PADDING).sum())

    def card(self) -> dict[str, Any]:
        """Return the part of the model card that the training alone knows."""
        state, recipe = self.state, asdict(self.state.recipe)
        return {
            "step": state.step,
            "steps": state.steps,
            "seen_bytes": state.seen,
            "seconds": round(state.seconds, 1),
            "dev_sample_bits_per_byte": state.best,
            "recipe": recipe.pop("shape") | recipe,
            "seed": state.seed,
            "arithmetic": state.dtype,
            "corpus_sha256": state.corpus,
            "corpus_bios": len(self.bios),
            "corpus_bytes": len(self.bios.text),
            "curve": state.curve,
        }

    def save(self) -> None:
        """Write the whole state atomically."""
        if self.processes.rank:
            return
        tensors = {f"model.{name}": each for name, each in self.model.state_dict().items()}
        for name, parameter in self.model.named_parameters():
            tensors |= {f"{kind}.{name}": each for kind, each in self.optimizer.state.get(parameter, {}).items()}
        facts = self.state.facts() | {"values": self.codec.values.hex()}
        checkpoint.write(self.folder / training_state.FILE, tensors, facts)

    def _replan(self) -> bool:
        """Change the number of steps if at the present speed they would not take the minutes; return whether it did."""
        assert self.minutes is not None
        state, plan, budget = self.state, self.state.plan, 60 * self.minutes
        more = plan.steps - state.step if plan.steps is not None else 0
        if plan.steps is None or abs(state.seconds + self._eta() - budget) > _TOLERANCE * budget:
            batch = (
                (plan.batch_bytes(state.step) + plan.recipe.batch[1]) / 2 * state.seen / plan.bytes_until(state.step)
            )
            more = max(1, int((budget - state.seconds) * self._speed.bytes_per_second / batch))
        more = self.processes.broadcast(more, self.device)
        if plan.steps == state.step + more:
            return False
        state.plan = plan.replanned(state.step, more)
        return True

    def _eta(self) -> float:
        """Return the seconds that the remaining steps take at the present speed."""
        plan, step = self.state.plan, self.state.step
        ahead = plan.bytes_until(plan.steps or step) / plan.bytes_until(step) - 1
        return ahead * self.state.seen / self._speed.bytes_per_second

    def _progress(self, dev_bits: float | None) -> Progress:
        state = self.state
        return Progress(
            step=state.step,
            steps=state.steps,
            epoch=state.position.epoch,
            seen_bytes=state.seen,
            seconds=state.seconds,
            bytes_per_second=self._speed.bytes_per_second,
            on_core=self._speed.on_core,
            train_bits=state.train_bits,
            dev_bits=dev_bits,
            eta=None if state.steps is None else self._eta(),
        )


class Speed:
    """What happened over the last half minute of wall time."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._done = clock, 0
        # when, and by then: bytes done, seconds of work, seconds of it on a core
        self._points: deque[tuple[float, float, float, float]] = deque()

    def add(self, count: int, workers: Workers) -> None:
        """Note that `count` bytes more are done now, by workers that have worked so long."""
        now, self._done = self._clock(), self._done + count
        self._points.append((now, self._done, workers.worked, workers.on_core))
        while len(self._points) > 2 and self._points[1][0] <= now - _WINDOW:
            self._points.popleft()

    @property
    def bytes_per_second(self) -> float:
        """Return the bytes per second; 0 before there are two points in time."""
        return self._ratio(1, 0)

    @property
    def on_core(self) -> float:
        """Return the share of the work that ran on a core."""
        return self._ratio(3, 2)

    def _ratio(self, one: int, other: int) -> float:
        first, last = self._points[0], self._points[-1]
        return (last[one] - first[one]) / max(last[other] - first[other], 1e-9)


def steps_for_epochs(recipe: Recipe, bios: ByteFile) -> int:
    """Return the number of steps that pass over `bios` as often as the recipe says."""
    ids = np.arange(min(len(bios), CHUNK))
    lengths = bios.lengths(ids)
    mean = float(lengths.sum() + len(ids)) / len(cut(ids, lengths, sum(recipe.batch) // 2))
    return max(1, math.ceil(recipe.epochs * (len(bios.text) + len(bios)) / mean))


def fresh(shape: Shape, codec: Codec, bios: ByteFile) -> ByteLSTM:
    """Return an untrained model whose output bias predicts each byte by its frequency in `bios`."""
    model = ByteLSTM(shape, codec.values)
    counts = np.array([len(bios), *bios.counts()[list(codec.values)]])
    with torch.no_grad():
        model.linear.bias.copy_(torch.from_numpy(np.log(counts / counts.sum())))
    return model


def widen(start: Checkpoint, codec: Codec, dropout: float) -> ByteLSTM:
    """Copy a model to a larger byte table: the old bytes keep their weights, new ones begin as likely as the rarest."""
    old = start.model
    model = ByteLSTM(replace(old.shape, vocabulary=codec.size, dropout=dropout), codec.values)
    rows = [STOP, *(codec.lookup(value) for value in start.codec.values)]
    rarest = old.linear.bias.argmin()
    trained = old.state_dict()
    with torch.no_grad():
        model.linear.weight[:], model.linear.bias[:] = old.linear.weight[rarest], old.linear.bias[rarest]
        for name, weights in model.state_dict().items():
            by_code = name.startswith(("embedding.", "linear."))  # a row for each code
            weights[rows if by_code else ...] = trained[name]
    return model
