"""How torch is loaded: what its libraries are told before, and how a short-lived process gets it sooner."""

from __future__ import annotations

import gc
import os

SETTINGS = {
    # threads that spin while they wait make small products 50 times slower when another process takes a core
    "OMP_WAIT_POLICY": "PASSIVE",
    # but a short look before falling asleep, of some 20 microseconds, spares most of the waking up
    "GOMP_SPINCOUNT": "20000",
    # a kernel is kept for every shape of a product: batches have thousands, at half a megabyte each
    "LRU_CACHE_CAPACITY": "16",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "16",
}
"""Environment variables that OpenMP, ideep and oneDNN read once; what the user set stays."""


def prepare() -> None:
    """Set them; to be called before torch is imported for the first time."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)


def load() -> None:
    """Import torch, as `prepare` has it, without the garbage collector: its rounds over torch's objects take 0.2 s."""
    prepare()
    gc.disable()
    try:
        import torch  # noqa: F401
    finally:
        gc.freeze()
        gc.enable()
