"""How well a model predicts bios: bits per byte, and the probability of every byte.

The bits of a text are those of each of its UTF-8 bytes and of the final stop, always in float32, on the text
as it stands. A byte value that is not in the model's table costs 16 bits and is counted as `unseen`; the model
skips it, so what follows is predicted as if that byte were not there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
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
    while some := [bio.encode() for bio in islice(bios, _GROUP)]:
        lengths = np.array([len(bio) for bio in some])
        for ids in cut(np.arange(len(some)), lengths, _BATCH_BYTES):
            total += _score(checkpoint, [some[index] for index in ids])
    return total


@torch.inference_mode()
def _score(checkpoint: Checkpoint, bios: list[bytes]) -> Score:
    inputs, targets = pack((np.frombuffer(bio, np.uint8) for bio in bios), checkpoint.codec)
    known = int((targets > 0).sum())
    size = sum(map(len, bios))
    nats = sum(
        float(functional.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=PADDING, reduction="sum"))
        for logits, target in _predictions(checkpoint, inputs, targets)
    )
    return Score(nats / math.log(2) + UNSEEN_BITS * (size - known), len(bios), size, size - known)


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
