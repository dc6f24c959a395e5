"""Which bios form a batch, and in which order: a pure function of seed and position.

An epoch is a shuffle of all bios. It is cut into chunks of 8192; within a chunk bios of like length form
batches of a given number of bytes, and these come in random order. So a batch holds hardly any padding, and
its `Position` is all that is needed to continue after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from biobot.model.bytefile import ByteFile
from biobot.model.codec import STOP, Codec
from biobot.model.training_state import Position

CHUNK = 8192
COLUMNS = 16
"""The number of bios in a batch is a multiple of this where possible: the width of a vector register.

Narrow batches are slow: every time step reads all weights, and 8 columns take hardly less time than 16.
"""

MIN_PART = 8
"""The fewest bios of a part of a batch."""

PADDING = -1
"""The target where a bio has ended: `torch.nn.functional.cross_entropy(ignore_index=PADDING)`."""

Ids = NDArray[np.int64]


def batches(
    bios: ByteFile, seed: int, size: Callable[[int], int], position: Position, step: int
) -> Iterator[tuple[Ids, Position]]:
    """Yield the bios of each batch from `step` on, without end, with the position after it.

    `size(step)` is the number of bytes that a batch should have; it is called once a chunk.
    """
    epoch, chunk, batch, cut_at = position.epoch, position.chunk, position.batch, position.step
    while True:
        order = np.random.default_rng((seed, epoch)).permutation(len(bios))
        while chunk * CHUNK < len(bios):
            ids = order[chunk * CHUNK : (chunk + 1) * CHUNK]
            cuts = cut(ids, bios.lengths(ids), size(cut_at))
            np.random.default_rng((seed, epoch, chunk)).shuffle(cuts)
            while batch < len(cuts):
                batch, step = batch + 1, step + 1
                yield cuts[batch - 1], Position(epoch, chunk, batch, cut_at)
            chunk, batch, cut_at = chunk + 1, 0, step
        epoch, chunk = epoch + 1, 0


def cut(ids: Ids, lengths: NDArray[np.int64], size: int) -> list[Ids]:
    """Sort bios by length and cut them into batches of some `size` bytes, padding and stops included."""
    order = np.argsort(-lengths, kind="stable")
    ids, lengths = ids[order], lengths[order]
    cuts, start = [], 0
    while start < len(ids):
        count = max(size // (int(lengths[start]) + 1), 1)
        if 2 * count > COLUMNS:
            count = COLUMNS * round(count / COLUMNS)
        cuts.append(ids[start : start + count])
        start += count
    return cuts


def parts(batch: Ids, lengths: NDArray[np.int64]) -> list[Ids]:
    """Cut a batch into parts of like size that are computed independently, whatever the machine.

    Two cores want two parts; narrow ones waste time on everything but the products.
    """
    count = 1 if len(batch) < 2 * MIN_PART else 2 if len(batch) < 192 else 4
    ends = np.cumsum(lengths + 1)
    return np.split(batch, np.searchsorted(ends, [ends[-1] * part / count for part in range(1, count)]))


def pack(bios: Iterable[NDArray[np.uint8]], codec: Codec) -> tuple[Tensor, Tensor]:
    """Return the input codes and the target codes of some bios, (time, batch) each.

    The input is a stop and then the bio, the target the bio and then a stop. Shorter bios are padded with stops
    as input and PADDING as target, which touches neither loss nor gradient (F35). A byte that the codec does
    not know is skipped, as if it were not there.
    """
    table = np.zeros(256, np.int64)
    table[list(codec.values)] = np.arange(1, codec.size)
    rows = [codes[codes != STOP] for codes in (table[bio] for bio in bios)]
    time = max(map(len, rows)) + 1
    inputs = np.full((len(rows), time), STOP, np.int64)
    targets = np.full((len(rows), time), PADDING, np.int64)
    for row, codes in enumerate(rows):
        inputs[row, 1 : len(codes) + 1] = codes
        targets[row, : len(codes)] = codes
        targets[row, len(codes)] = STOP
    return torch.from_numpy(inputs.T.copy()), torch.from_numpy(targets.T.copy())
