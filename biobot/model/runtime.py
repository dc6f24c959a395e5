"""How torch is loaded: the settings of its libraries, and a faster import for short-lived processes."""

from __future__ import annotations

import ctypes
import gc
import os

SETTINGS = {
    # threads that spin while they wait make small products 50 times slower as soon as another process takes a core
    "OMP_WAIT_POLICY": "PASSIVE",
    # but spinning for some 20 microseconds before sleeping avoids most wake-ups
    "GOMP_SPINCOUNT": "20000",
    # a kernel is cached for every shape of a product: batches have thousands, at half a megabyte each
    "LRU_CACHE_CAPACITY": "16",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "16",
}
"""Environment variables that OpenMP, ideep and oneDNN read once; those the user has set are left alone."""


def prepare() -> None:
    """Set the environment variables; to be called before torch is first imported."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)


def load(threads: int | None = None) -> None:
    """Import torch with these settings and without the garbage collector, whose passes over its objects take 0.2 s.

    It then uses this many `threads`; None: one per core.
    """
    prepare()
    gc.disable()
    try:
        import torch

        if threads is not None:
            torch.set_num_threads(threads)
    finally:
        gc.freeze()
        gc.enable()


def keep_memory() -> None:
    """Have the C library use freed memory again instead of returning it, for programs that allocate much at every step.

    Fresh pages cost a training a fifth of its time. Does nothing where the C library is not glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        trim_threshold, mmap_max, arena_max = -1, -4, -8  # numbers of malloc.h
        for option, value in ((trim_threshold, 2**31 - 1), (mmap_max, 0), (arena_max, 1)):
            mallopt(option, value)
