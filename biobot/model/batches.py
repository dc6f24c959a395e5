"""Which bios are learnt together, and in which order: a pure function of seed and position.

An epoch is a shuffle of all bios. It is cut into chunks of 8192; within a chunk bios of like length form
batches of a given number of bytes, and these come in random order. So a batch holds hardly any padding, and
to go on after any batch one needs no more than its `Position`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from biobot.model.bytefile import ByteFile
from biobot.model.codec import STOP, Codec

CHUNK = 8192
COLUMNS = 16
"""The number of bios in a batch is a multiple of this where it can be: the width of a vector register.

A narrow batch is slow: every step reads all weights, and 8 columns take hardly less time than 16.
"""

PADDING = -1
"""The target where a bio has ended: `torch.nn.functional.cross_entropy(ignore_index=PADDING)`."""

Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Position:
    """Where in the order a training is: `step` is the step at which the present chunk was cut."""

    epoch: int = 0
    chunk: int = 0
    batch: int = 0
    step: int = 0


def batches(
    bios: ByteFile, seed: int, size: Callable[[int], int], position: Position, step: int
) -> Iterator[tuple[Ids, Position]]:
    """Yield without end the bios of the batch of `step` and those after it, each with the position behind it.

    `size(step)` is the number of bytes that a batch should have; it is asked once a chunk.
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


def pack(bios: Iterable[NDArray[np.uint8]], codec: Codec) -> tuple[Tensor, Tensor]:
    """Return the codes that go in and those that should come out, (time, batch) each.

    In goes a stop, then the bio; out should come the bio, then a stop. Behind its end a bio goes on with
    stops going in and PADDING to come out, so padding touches neither loss nor gradient (F35). A byte that
    the codec does not know is passed over, as if it were not there.
    """
    table = np.zeros(256, np.int64)
    table[list(codec.values)] = np.arange(1, codec.size)
    rows = [codes[codes != STOP] for codes in (table[bio] for bio in bios)]
    time = max(map(len, rows)) + 1
    into = np.full((len(rows), time), STOP, np.int64)
    out = np.full((len(rows), time), PADDING, np.int64)
    for row, codes in enumerate(rows):
        into[row, 1 : len(codes) + 1] = codes
        out[row, : len(codes)] = codes
        out[row, len(codes)] = STOP
    return torch.from_numpy(into.T.copy()), torch.from_numpy(out.T.copy())
