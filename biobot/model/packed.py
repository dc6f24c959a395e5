"""Products with a weight that is used many times, laid out once as the processor's kernels want it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Types = tuple[torch.dtype, ...]
TYPES: Types = (torch.bfloat16, torch.float32)


def available() -> bool:
    """Return whether this torch can pack a weight for oneDNN, with operators of its compiler that are not public."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")  # type: ignore[no-untyped-call]


def linear(weight: Tensor, bias: Tensor | None = None, types: Types = TYPES) -> Callable[[Tensor], Tensor]:
    """Return x -> x @ weight.T + bias for contiguous `x`; later changes of `weight` may go unnoticed.

    Only weights of one of `types` are packed.
    """
    if _packable(weight, types):
        packed = torch.ops.mkldnn._reorder_linear_weight(weight)
        product: Callable[..., Tensor] = torch.ops.mkldnn._linear_pointwise
        return lambda x: product(x, packed, bias, "none", [], "")
    transposed = weight.T.contiguous()
    return lambda x: x @ transposed if bias is None else torch.addmm(bias, x, transposed)


def linear_add(weight: Tensor, types: Types = TYPES) -> Callable[[Tensor, Tensor], Tensor]:
    """Return (x, y) -> x @ weight.T + y for contiguous `x`; `y` may be overwritten; `types` as in `linear`."""
    if _packable(weight, types):
        packed = torch.ops.mkldnn._reorder_linear_weight(weight)
        product: Callable[..., Tensor] = torch.ops.mkldnn._linear_pointwise.binary
        return lambda x, y: product(x, y, packed, None, "add")
    transposed = weight.T.contiguous()
    return lambda x, y: y.addmm_(x, transposed)


def _packable(weight: Tensor, types: Types) -> bool:
    return weight.dtype in types and weight.device.type == "cpu" and available()
