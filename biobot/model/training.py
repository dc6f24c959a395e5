"""Corpus to model: a training that can be stopped at any step and gone on with as if it had never stopped.

A `Training` lives in a folder: `state.safetensors` (weights, the optimiser's memory, the state of the dice, the
place in the order of batches, the curve so far) and `best.safetensors` (the best model yet, a checkpoint like
any other). Everything that happens at a step depends on the seed, the bios and the number of the step alone;
the number of steps is fixed once, from the epochs or from the speed of the first steps, and kept in the state.
So on a CPU, with the same number of threads, a resumed run equals an uninterrupted one bit for bit (F31).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed
from torch.nn import functional

from biobot.errors import ModelError
from biobot.model import checkpoint
from biobot.model.batches import CHUNK, PADDING, Position, batches, cut, pack
from biobot.model.bytefile import ByteFile
from biobot.model.checkpoint import Checkpoint
from biobot.model.codec import STOP, Codec
from biobot.model.lstm import ByteLSTM, Shape
from biobot.model.training_forward import Engine, fast_dtype

Clock = Callable[[], float]
"""Seconds since some moment; `time.monotonic`, or a test's own."""

_FIRST_STEPS = 30  # their speed fixes the number of steps of a training that was given minutes
_CAUTION = 0.97  # of the minutes are planned for
_FORWARD = 2.5  # so much faster is looking than learning
_DEV_BYTES = 100_000  # of dev are looked at
_GOING_ON = 1 / 8  # of the rate, for a model that goes on: at the whole of it, it would lose what it knows


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is trained: its sizes, and what is done how fast.

    A batch has `batch[0]` bytes at the first step and `batch[1]` at the last. The learning rate climbs to
    `rate` over `warm_up` steps, stays until the share `constant` of all steps, and then falls to zero.
    """

    embedding: int
    hidden: int
    layers: int
    dropout: float
    rate: float
    batch: tuple[int, int]
    epochs: float
    constant: float = 0.3
    warm_up: int = 20
    decay: float = 0.01
    clip: float = 1.0
    skip: bool = False
    grams: int = 0

    def shape(self, vocabulary: int) -> Shape:
        """Return the sizes of the model that is trained so."""
        return Shape(vocabulary, self.embedding, self.hidden, self.layers, self.dropout, self.skip, self.grams)


PRESETS = {
    "tiny": Recipe(32, 96, 1, 0.0, 1e-2, (2048, 4096), epochs=3),
    "small": Recipe(64, 256, 2, 0.0, 8e-3, (2048, 6144), epochs=4, skip=True),
    "base": Recipe(64, 384, 2, 0.0, 8e-3, (2048, 6144), epochs=10, skip=True),
    "blog": Recipe(206, 512, 4, 0.5, 1e-3, (6144, 12288), epochs=30),
    "large": Recipe(256, 1024, 3, 0.4, 2e-3, (16384, 65536), epochs=40, skip=True),
}
"""By name: a minute, some minutes, a CPU's default, the blog author's sizes, a GPU."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training stands; bits are per byte, stops included, and `dev_bits` is there after a look at dev."""

    step: int
    steps: int | None
    epoch: int
    seen_bytes: int
    seconds: float
    bytes_per_second: float
    train_bits: float
    dev_bits: float | None
    eta: float | None


@dataclass
class _Where:
    """What a state holds besides tensors; all of it plain JSON."""

    seed: int
    recipe: Recipe
    corpus: str
    dtype: str
    step: int = 0
    steps: int | None = None
    position: Position = field(default_factory=Position)
    seen: int = 0
    seconds: float = 0.0
    best: float | None = None
    train_bits: float = math.nan  # a moving average
    curve: list[tuple[int, int, float, float]] = field(default_factory=list)  # step, bytes, train, dev

    @classmethod
    def of(cls, facts: dict[str, Any]) -> _Where:
        facts = dict(facts)
        recipe = facts.pop("recipe")
        recipe["batch"] = tuple(recipe["batch"])
        curve = [tuple(each) for each in facts.pop("curve")]
        return cls(recipe=Recipe(**recipe), position=Position(**facts.pop("position")), curve=curve, **facts)


class Training:
    """One training, in its folder.

    `bios` are learnt, `dev` chooses the best; `start` is a model to go on from, whose sizes are kept, at a lower rate.
    `minutes` (or else the recipe's epochs) fix the number of steps. `keep_every` is in seconds.

    Under torch.distributed every process takes its share of each batch, the gradients are added up, and the
    first process alone looks at dev and writes.
    """

    looks = 20
    """How often dev is looked at."""

    def __init__(
        self,
        folder: Path,
        bios: ByteFile,
        dev: ByteFile,
        recipe: Recipe,
        *,
        seed: int = 0,
        device: str = "cpu",
        start: Checkpoint | None = None,
        minutes: float | None = None,
        clock: Clock,
        keep_every: float = 60.0,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.folder, self.bios, self.dev, self.device = folder, bios, dev, torch.device(device)
        self.minutes, self.clock, self.keep_every = minutes, clock, keep_every
        if not len(bios):
            raise ModelError("there is no bio to learn from; `biobot corpus import FILE` adds some")
        if not len(dev):
            raise ModelError("there is no bio to measure with; import more, or give some with --dev FILE")
        torch.manual_seed(seed)
        dtype = dtype or fast_dtype(self.device)
        if start is None:
            self.codec = Codec(bios.values())
            self.model = fresh(recipe.shape(self.codec.size), self.codec, bios)
        else:
            self.codec = Codec(bytes(sorted({*start.codec.values, *bios.values()})))
            self.model = widen(start, self.codec, recipe.dropout)
            shape = self.model.shape
            sizes = {name: getattr(shape, name) for name in ("embedding", "hidden", "layers", "skip", "grams")}
            recipe = replace(recipe, **sizes, rate=recipe.rate * _GOING_ON)
        self.where = _Where(seed, recipe, bios.digest(), str(dtype).removeprefix("torch."))
        if minutes is None:
            self.where.steps = self._steps_by_epochs()
        self._set_up()

    @classmethod
    def resume(
        cls, folder: Path, bios: ByteFile, dev: ByteFile, *, device: str = "cpu", clock: Clock, keep_every: float = 60.0
    ) -> Training:
        """Go on where `folder`'s state ends; ModelError when there is none, or the bios are not the same."""
        path = folder / "state.safetensors"
        if not path.exists():
            raise ModelError(f"there is no training to go on with in {folder}; leave out --resume")
        tensors, facts = checkpoint.read(path)
        if "where" not in facts:
            raise ModelError(f"{path} is a model, not the state of a training; leave out --resume")
        self = cls.__new__(cls)
        self.folder, self.bios, self.dev, self.device = folder, bios, dev, torch.device(device)
        self.minutes, self.clock, self.keep_every = None, clock, keep_every
        self.where = _Where.of(facts["where"])
        if self.where.corpus != bios.digest():
            raise ModelError(f"the bios have changed since {path} was written; train anew without --resume")
        self.codec = Codec(bytes.fromhex(facts["values"]))
        if self.where.steps is None:
            self.where.steps = self._steps_by_epochs()
        self.model = ByteLSTM(Shape(**facts["shape"]), self.codec.values)
        self.model.load_state_dict({n[6:]: each for n, each in tensors.items() if n.startswith("model.")})
        self._set_up()
        for name, parameter in self.model.named_parameters():
            self.optimizer.state[parameter] = {
                kind: tensors[f"{kind}.{name}"].to(self.device if kind != "step" else "cpu")
                for kind in ("exp_avg", "exp_avg_sq", "step")
                if f"{kind}.{name}" in tensors
            }
        torch.set_rng_state(tensors["dice"])
        return self

    def _set_up(self) -> None:
        recipe = self.where.recipe
        self.late = False
        together = distributed.is_available() and distributed.is_initialized()
        self.rank = distributed.get_rank() if together else 0
        self.world = distributed.get_world_size() if together else 1
        self.model.to(self.device).train()
        self.engine = Engine(self.model, getattr(torch, self.where.dtype))
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=recipe.rate, betas=(0.9, 0.99), weight_decay=recipe.decay, fused=True
        )
        # dev is looked at often, so it is a sample of some 100 KB at most, the same at every look
        every = max(1, len(self.dev.text) // _DEV_BYTES)
        ids = np.arange(0, len(self.dev), every)
        self.dev_batches = cut(ids, self.dev.lengths(ids), 16_384)
        self.dev_bytes = int(self.dev.lengths(ids).sum())

    @property
    def parameters(self) -> int:
        """How many numbers are learnt."""
        return sum(each.numel() for each in self.model.parameters())

    # -- the loop ---------------------------------------------------------------------------------------

    def run(self) -> Generator[Progress, None, None]:
        """Train to the end, giving the progress after every step; what is kept on disk is always whole.

        Closing the generator (Ctrl-C) saves first. Raises ModelError when the loss is no number (F32):
        then the best model and the last good state are still there.
        """
        where = self.where
        began, saved = self.clock() - where.seconds, self.clock()
        pace: deque[float] = deque(maxlen=50)
        order = batches(self.bios, where.seed, self._size, where.position, where.step)
        try:
            while where.steps is None or where.step < where.steps:
                start = self.clock()
                ids, position = next(order)
                bits, count = self._step(ids)
                where.train_bits = bits if math.isnan(where.train_bits) else 0.98 * where.train_bits + 0.02 * bits
                where.step, where.position, where.seen = where.step + 1, position, where.seen + count
                where.seconds = self.clock() - began
                pace.append(count / max(self.clock() - start, 1e-9))
                if where.steps is None and where.step == _FIRST_STEPS:
                    where.steps = self._agree(self._steps_in_time((median(pace) + self._pace_of_last()) / 2))
                if self.late:
                    where.steps = where.step
                dev = self._look() if self._looks_now() else None
                if where.steps and (
                    self.clock() - saved >= self.keep_every or where.step in (where.steps, _FIRST_STEPS)
                ):
                    self.save()
                    saved = self.clock()
                yield self._progress(dev, median(pace))
        except GeneratorExit:
            self.save()  # first, so that a resumed run knows nothing of the look that follows
            self._look()
            raise

    def _step(self, ids: Any) -> tuple[float, int]:
        """Learn one batch; give its bits per byte and its bytes, stops included."""
        where, recipe = self.where, self.where.recipe
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(where.step)
        count = int(self.bios.lengths(ids).sum()) + len(ids)
        self.optimizer.zero_grad(set_to_none=True)
        nats, self.late = 0.0, self.minutes is not None and where.seconds > 60 * self.minutes
        if len(mine := ids[self.rank :: self.world]):
            into, out = pack(map(self.bios.__getitem__, mine), self.codec)
            loss = self._loss(into, out) / count
            loss.backward()  # type: ignore[no-untyped-call]
            nats = loss.item()
        if self.world > 1:
            nats = self._share(nats)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip)
        if not math.isfinite(nats + norm.item()):
            raise ModelError(
                f"the loss is no longer a number at step {where.step + 1}; the best model so far is kept in "
                f"{self.folder}, and does not go live: train again with another --seed"
            )
        self.optimizer.step()
        return nats / math.log(2), count

    def _share(self, nats: float) -> float:
        """Add up the gradients, and the loss, of all processes; stop all when the time of one is over."""
        parameters = list(self.model.parameters())
        mine = [torch.zeros_like(each) if each.grad is None else each.grad for each in parameters]
        others = torch.tensor([nats, float(self.late)], device=self.device)
        flat = torch.cat([*(each.flatten() for each in mine), others])
        distributed.all_reduce(flat)
        for parameter, grad in zip(parameters, torch.split(flat[:-2], [each.numel() for each in mine]), strict=True):
            parameter.grad = grad.view_as(parameter)
        self.late = bool(flat[-1] > 0)
        return float(flat[-2])

    def _agree(self, number: int) -> int:
        """Return the number that the first process has."""
        if self.world == 1:
            return number
        shared = torch.tensor([number], device=self.device)
        distributed.broadcast(shared, 0)
        return int(shared)

    def _loss(self, into: Tensor, out: Tensor) -> Tensor:
        logits = self.engine.logits(into.to(self.device))
        return functional.cross_entropy(logits, out.flatten().to(self.device), ignore_index=PADDING, reduction="sum")

    def _look(self) -> float:
        """Measure bits per byte on the sample of dev, and keep the model if it is the best yet."""
        if self.rank:
            return math.nan
        self.model.eval()
        nats = count = 0.0
        with torch.no_grad():
            for ids in self.dev_batches:
                into, out = pack(map(self.dev.__getitem__, ids), self.codec)
                nats += self._loss(into, out).item()
                count += int((out != PADDING).sum())
        self.model.train()
        bits = nats / count / math.log(2)
        where = self.where
        where.curve.append((where.step, where.seen, where.train_bits, bits))
        if math.isfinite(bits) and (where.best is None or bits < where.best):
            where.best = bits
            checkpoint.save(self.folder / "best.safetensors", Checkpoint(self.model, self.codec, self.card()))
        return bits

    def card(self) -> dict[str, Any]:
        """Return what is known of the model by its training alone."""
        where = self.where
        return {
            "step": where.step,
            "steps": where.steps,
            "seen_bytes": where.seen,
            "seconds": round(where.seconds, 1),
            "dev_sample_bits_per_byte": where.best,
            "recipe": asdict(where.recipe),
            "seed": where.seed,
            "arithmetic": where.dtype,
            "corpus_sha256": where.corpus,
            "corpus_bios": len(self.bios),
            "corpus_bytes": len(self.bios.text),
            "curve": where.curve,
        }

    def save(self) -> None:
        """Write the whole state: a reader finds this one or the one before it, never half of one."""
        if self.rank:
            return
        tensors = {f"model.{name}": each for name, each in self.model.state_dict().items()}
        for name, parameter in self.model.named_parameters():
            tensors |= {f"{kind}.{name}": each for kind, each in self.optimizer.state.get(parameter, {}).items()}
        tensors["dice"] = torch.get_rng_state()
        facts = {
            "format": checkpoint.FORMAT,
            "where": asdict(self.where),
            "shape": self.model.shape.as_dict(),
            "values": self.codec.values.hex(),
        }
        checkpoint.write(self.folder / "state.safetensors", tensors, facts)

    # -- the schedule -----------------------------------------------------------------------------------

    def _rate(self, step: int) -> float:
        """Return the learning rate of a step: up, along, and down to zero."""
        recipe, steps = self.where.recipe, self.where.steps
        if steps is None:
            return recipe.rate * min((step + 1) / recipe.warm_up, 1.0)
        rising = (step + 1) / min(recipe.warm_up, 1 + steps // 10)
        return recipe.rate * min(rising, 1.0, (steps - step) / (steps * (1 - recipe.constant)))

    def _size(self, step: int) -> int:
        """Return the bytes of a batch at a step: small ones learn more early on, large ones later."""
        first, last = self.where.recipe.batch
        return int(first + (last - first) * (step / self.where.steps if self.where.steps else 0.0))

    def _steps_by_epochs(self) -> int:
        """Return the number of steps in which the recipe's epochs pass."""
        recipe, bios = self.where.recipe, self.bios
        ids = np.arange(min(len(bios), CHUNK))
        size = sum(recipe.batch) // 2
        mean = (bios.lengths(ids).sum() + len(ids)) / len(cut(ids, bios.lengths(ids), size))
        return max(1, math.ceil(recipe.epochs * (len(bios.text) + len(bios)) / float(mean)))

    def _pace_of_last(self) -> float:
        """Try a batch as large as the last, without learning from it: it goes faster than the first ones."""
        ids = np.arange(min(len(self.bios), CHUNK))
        cuts = cut(ids, self.bios.lengths(ids), self.where.recipe.batch[1])
        ids = cuts[len(cuts) // 2]
        for _ in range(2):  # the first time its buffers are made
            start = self.clock()
            self._loss(*pack((self.bios[int(each)] for each in ids), self.codec)).backward()  # type: ignore[no-untyped-call]
        count = int(self.bios.lengths(ids).sum()) + len(ids)
        return self.world * count / max(self.clock() - start, 1e-9)

    def _steps_in_time(self, pace: float) -> int:
        """Return the number of steps that fit into the minutes, at `pace` bytes a second."""
        assert self.minutes is not None
        where = self.where
        left = 60 * self.minutes * _CAUTION - where.seconds - self.looks * self.dev_bytes / (_FORWARD * pace)
        first, last = where.recipe.batch
        mean = where.seen / where.step * (first + last) / 2 / first
        return int(where.step + max(1.0, left * pace / mean))

    def _planned(self, step: int) -> float:
        """Return the bytes of the first `step` batches, if each were as large as it should be."""
        assert self.where.steps is not None
        first, last = self.where.recipe.batch
        return step * (first + (last - first) * step / self.where.steps / 2)

    def _looks_now(self) -> bool:
        """Return whether dev is due after this step: so many times in all, and at the last one."""
        step, steps = self.where.step, self.where.steps
        return steps is not None and step * self.looks // steps != (step - 1) * self.looks // steps

    def _progress(self, dev_bits: float | None, pace: float) -> Progress:
        where = self.where
        eta = None
        if where.steps is not None and where.step:
            # batches grow, so bytes are what is left
            ahead = self._planned(where.steps) / self._planned(where.step) - 1
            eta = ahead * where.seen / pace
        return Progress(
            where.step,
            where.steps,
            where.position.epoch,
            where.seen,
            where.seconds,
            pace,
            where.train_bits,
            dev_bits,
            eta,
        )


def fresh(shape: Shape, codec: Codec, bios: ByteFile) -> ByteLSTM:
    """Make an untrained model that knows of `bios` how often each byte occurs, and nothing else."""
    model = ByteLSTM(shape, codec.values)
    counts = np.array([len(bios), *bios.counts()[list(codec.values)]])
    with torch.no_grad():
        model.linear.bias.copy_(torch.from_numpy(np.log(counts / counts.sum())))
    return model


def widen(start: Checkpoint, codec: Codec, dropout: float) -> ByteLSTM:
    """Copy a model to a wider byte table: what it knows stays, and new bytes begin as likely as its rarest."""
    old = start.model
    model = ByteLSTM(replace(old.shape, vocabulary=codec.size, dropout=dropout), codec.values)
    rows = [STOP, *(codec.lookup(value) for value in start.codec.values)]
    with torch.no_grad():
        model.lstm.load_state_dict(old.lstm.state_dict())
        model.embedding.weight[rows] = old.embedding.weight
        if old.shape.grams:
            model.grams.load_state_dict(old.grams.state_dict())
        rare = old.linear.bias.argmin()
        model.linear.weight[:] = old.linear.weight[rare]
        model.linear.bias[:] = old.linear.bias[rare]
        model.linear.weight[rows] = old.linear.weight
        model.linear.bias[rows] = old.linear.bias
    return model
