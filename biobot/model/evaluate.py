"""How well a model predicts bios: bits per byte, and the probability of every byte.

The bits of a text are those of each of its UTF-8 bytes and of the final stop, always in float32, on the text
as it stands. A byte value that is not in the model's table costs 16 bits and is counted as `unseen`; the model
skips it, so what follows is predicted as if that byte were not there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from biobot.model.batches import PADDING, cut, pack
from biobot.model.checkpoint import Checkpoint

UNSEEN_BITS = 16.0
"""The cost of a byte value that is not in the model's table."""

_GROUP = 4096  # bios that are sorted by length and measured together
_BATCH_BYTES = 16384
_STEPS = 256  # time steps at once, so that the logits of a long bio need not all be in memory


@dataclass(frozen=True, slots=True)
class Score:
    """The bits of some bios; scores of different bios can be added."""

    bits: float = 0.0
    bios: int = 0
    bytes: int = 0
    unseen: int = 0

    @property
    def bits_per_byte(self) -> float:
        """Return the bits per byte or stop; nan if there was no bio."""
        return self.bits / (self.bytes + self.bios) if self.bios else math.nan

    def __add__(self, other: Score) -> Score:
        return Score(
            self.bits + other.bits, self.bios + other.bios, self.bytes + other.bytes, self.unseen + other.unseen
        )


@dataclass(frozen=True, slots=True)
class Bytes:
    """The probability of each byte of a bio and of its stop, and the entropy in bits of each prediction."""

    probabilities: list[float]
    entropies: list[float]


def score(checkpoint: Checkpoint, bios: Iterable[str]) -> Score:
    """Measure bits per byte on `bios`, in bounded memory however many and long they are."""
    total = Score()
    bios = iter(bios)
    while some := list(islice(bios, _GROUP)):
        raw = [bio.encode() for bio in some]
        unseen = sum(len(each.translate(None, checkpoint.codec.values)) for each in raw)
        total += Score(float(text_bits(checkpoint, some).sum()), len(some), sum(map(len, raw)), unseen)
    return total


@torch.inference_mode()
def text_bits(
    checkpoint: Checkpoint,
    texts: Sequence[str],
    temperatures: Sequence[float] = (1.0,),
    tick: Callable[[int], object] = lambda _: None,
) -> NDArray[np.float64]:
    """Return the bits of each text and its stop at each temperature, (temperatures, texts).

    `tick` is called with the number of texts that have been measured since its last call.
    """
    raw = [np.frombuffer(each.encode(), np.uint8) for each in texts]
    bits = np.zeros((len(temperatures), len(raw)))
    for ids in cut(np.arange(len(raw)), np.array([len(each) for each in raw], np.int64), _BATCH_BYTES):
        inputs, targets = pack((raw[each] for each in ids), checkpoint.codec)
        sizes = np.array([len(raw[each]) + 1 for each in ids])
        bits[:, ids] += UNSEEN_BITS * (sizes - (targets != PADDING).sum(0).numpy())
        for logits, target in _predictions(checkpoint, inputs, targets):
            for row, temperature in zip(bits, temperatures, strict=True):
                each = functional.cross_entropy(
                    (logits / temperature).flatten(0, 1), target.flatten(), ignore_index=PADDING, reduction="none"
                )
                row[ids] += each.view_as(target).double().sum(0).cpu().numpy() / math.log(2)
        tick(len(ids))
    return bits


def per_byte(checkpoint: Checkpoint, bio: str) -> Bytes:
    """Return the probability of each byte of `bio` and of its stop, and the entropy of each prediction, at T = 1."""
    raw = bio.encode()
    probabilities, entropies = [], []
    with torch.inference_mode():
        inputs, targets = pack([np.frombuffer(raw, np.uint8)], checkpoint.codec)
        for logits, target in _predictions(checkpoint, inputs, targets):
            logs = functional.log_softmax(logits[:, 0].double(), dim=-1)
            probabilities += logs.gather(1, target).exp()[:, 0].tolist()
            entropies += (-(logs.exp() * logs).sum(-1) / math.log(2)).tolist()
    for place, value in enumerate(raw):
        if checkpoint.codec.lookup(value) is None:
            probabilities.insert(place, 2.0**-UNSEEN_BITS)
            entropies.insert(place, entropies[place])
    return Bytes(probabilities, entropies)


def _predictions(checkpoint: Checkpoint, inputs: Tensor, targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Run the model over (time, batch) codes, some steps at once; yield float32 logits and the target codes."""
    model = checkpoint.model
    device = model.linear.weight.device
    state = None
    for start in range(0, len(inputs), _STEPS):
        codes, target = (each[start : start + _STEPS].to(device) for each in (inputs, targets))
        logits, state = model(codes.t(), state)
        yield logits.transpose(0, 1).float(), target
