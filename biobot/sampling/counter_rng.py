"""A counter-based random generator: number t of a bio is a hash of its seed and t, and of nothing else.

So a bio is the same whatever is drawn beside it, in whatever order (F37). The hash is SplitMix64: the mixed seed
is the first state, the increment is that of the golden ratio, and each state is mixed once more.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB


def uniforms(seeds: Sequence[int], count: int) -> Tensor:
    """Return the first `count` numbers of each seed, float64 in [0, 1), of 53 bits: (seeds, count)."""
    start = _mix(torch.tensor(seeds, dtype=torch.int64).unsqueeze(1))
    steps = torch.arange(1, count + 1, dtype=torch.int64) * _signed(_GOLDEN)
    return _shift(_mix(start + steps), 11).double().mul_(2.0**-53)


def _mix(x: Tensor) -> Tensor:
    """Mix 64 bits, held in int64: products wrap around as they do in C."""
    x = (x ^ _shift(x, 30)) * _signed(_FIRST)
    x = (x ^ _shift(x, 27)) * _signed(_SECOND)
    return x ^ _shift(x, 31)


def _shift(x: Tensor, bits: int) -> Tensor:
    """Shift right without the sign, which int64 would drag in."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _signed(constant: int) -> int:
    return constant - (1 << 64) if constant >= 1 << 63 else constant
