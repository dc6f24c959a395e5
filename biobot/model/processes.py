"""Training with several processes, as torchrun starts them: one per GPU, or some on the CPUs of several machines."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from biobot.errors import ModelError


@contextmanager
def joined(device: str) -> Iterator[tuple[int, str]]:
    """Join the processes that torchrun started, if it did; yield this process's rank and device.

    `device` is "auto", "cpu" or "cuda"; ModelError if this machine has no such device.
    """
    cuda = torch.cuda.is_available()
    if device == "cuda" and not cuda:
        raise ModelError("there is no GPU that torch can use; leave out --device cuda")
    cuda = cuda and device != "cpu"
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield 0, "cuda" if cuda else "cpu"
        return
    distributed.init_process_group("nccl" if cuda else "gloo")
    try:
        yield distributed.get_rank(), f"cuda:{os.environ['LOCAL_RANK']}" if cuda else "cpu"
    finally:
        distributed.destroy_process_group()


def barrier() -> None:
    """Wait until every process has arrived here."""
    if _initialized():
        distributed.barrier()


def _initialized() -> bool:
    return distributed.is_available() and distributed.is_initialized()


@dataclass(frozen=True, slots=True)
class ProcessGroup:
    """This process among those that train together; alone, it is rank 0 of 1 and nothing is sent."""

    rank: int
    size: int

    @classmethod
    def current(cls) -> ProcessGroup:
        """Return the group that `joined` joined."""
        return cls(distributed.get_rank(), distributed.get_world_size()) if _initialized() else cls(0, 1)

    def sum(self, numbers: Tensor) -> None:
        """Replace each number by its sum over all processes."""
        if self.size > 1:
            distributed.all_reduce(numbers)

    def broadcast(self, number: int, device: torch.device) -> int:
        """Return the number that the first process has."""
        if self.size == 1:
            return number
        shared = torch.tensor([number], device=device)
        distributed.broadcast(shared, 0)
        return int(shared)
