"""Training with several processes, as torchrun starts them: one on each GPU, or some on the CPUs of machines."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import distributed

from biobot.errors import ModelError


@contextmanager
def joined(device: str) -> Iterator[tuple[int, str]]:
    """Join the processes that torchrun started, if it did; give this one's number and device.

    `device` is "auto", "cpu" or "cuda"; ModelError when there is no such device here.
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


def meet() -> None:
    """Wait until all processes are here."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.barrier()
