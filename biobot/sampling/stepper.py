"""The byte-LSTM, one byte at a time for many rows at once, as fast as this machine can.

What makes it fast: the first layer's input product is a look-up in a table made once, since an embedding
times a matrix is one of `vocabulary` vectors (n-grams are too many for that: their embeddings take a small
product); each other layer is one product of [input, hidden]; weights are bfloat16 where the processor
multiplies it natively, packed once in the layout of its kernels; a few rows are computed as few where that
gives the same bits; every gate is a sigmoid, which vectorises six times better than tanh; buffers are
allocated once.

tanh(x) is 2 sigmoid(2x) - 1. To save the factors, the cell is stored doubled and the hidden state halved, and
the weights compensate: powers of two, so nothing is rounded differently.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from biobot.model import packed
from biobot.model.codec import STOP
from biobot.model.lstm import MAX_NGRAM, ByteLSTM, ngram_buckets

NumericKind = Literal["bfloat16", "float32"]

PACKED_TYPES = (torch.bfloat16,)
"""float32 stays with torch's own product: another kernel would round otherwise, and old seeds give other bios."""

MIN_ROWS = 16
"""A step has at least this many rows: with fewer, a kernel may sum in another order, and a bio drawn alone would
differ in its last digits from the same bio drawn among others. `Stepper.few` has the exceptions."""


def best_kind(device: torch.device) -> NumericKind:
    """Return bfloat16 where `device` multiplies it natively, else float32."""
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    return "bfloat16" if packed.available() and torch.ops.mkldnn._is_mkldnn_bf16_supported() else "float32"


class Stepper:
    """A ByteLSTM's weights, laid out for single steps, and the state of up to `rows` bios."""

    def __init__(self, model: ByteLSTM, rows: int, kind: NumericKind) -> None:
        self._shape = shape = model.shape
        self.kind = kind
        self._size = size = shape.hidden
        self._ngram_table = model.ngram_embedding.weight.detach().clone() if shape.ngram_buckets else None
        dtype, device = getattr(torch, kind), model.linear.weight.device
        self._layers: list[Callable[[Tensor], Tensor]] = []
        self.few: tuple[int, ...] = ()
        """Numbers of rows below MIN_ROWS at which this machine computes the same bits as at MIN_ROWS."""
        with torch.no_grad():
            for k, layer in enumerate(model.layers):
                # rows are the gates i, f, g, o; g is doubled, and what a hidden state is multiplied with too
                w_ih, w_hh, b_ih, b_hh = layer.all_weights[0]
                below, recurrent = _doubled(w_ih, size), _doubled(w_hh, size) * 2
                bias = _doubled(b_ih + b_hh, size)
                if k == 0:
                    self._table = (model.embedding.weight @ below.T + bias).to(dtype)
                    self._recurrent = packed.linear_add(recurrent.to(dtype), PACKED_TYPES)
                    if self._ngram_table is not None:
                        self._byte_ids = model.byte_ids.clone()
                        self._below = packed.linear_add(below.to(dtype), PACKED_TYPES)
                else:
                    both = torch.cat([below * 2, recurrent], dim=1).to(dtype)
                    self._layers.append(packed.linear(both, bias.to(dtype), PACKED_TYPES))
            self._out_weight = (model.linear.weight.detach() * 2).T.contiguous()
            self._out_bias = model.linear.bias.detach().clone()
        self._begin(rows)
        if device.type == "cpu" and kind == "bfloat16":
            self.few = tuple(count for count in (1, 2, 4, 8) if self._agrees(count))

    def fresh(self, rows: int) -> Stepper:
        """Return a stepper with the same weights and a state of its own, of up to `rows` bios."""
        other = copy(self)
        other._begin(rows)
        return other

    def _begin(self, rows: int) -> None:
        """Allocate the state and the buffers of a step."""
        shape, size, dtype, device = self._shape, self._size, self._table.dtype, self._table.device
        # the layers' hidden states side by side: layer k multiplies those of layer k - 1 (new) and its own (old)
        self._hidden = torch.zeros(rows, shape.layers * size, dtype=dtype, device=device)
        self._cell = torch.zeros(rows, shape.layers * size, device=device)
        self._recent = torch.full((rows, MAX_NGRAM), STOP, device=device)  # the latest codes, for n-grams
        self._first = torch.empty(rows, 4 * size, dtype=dtype, device=device)
        self._gates = torch.empty(rows, 4 * size, device=device)
        self._top = torch.zeros(rows, shape.width, device=device)  # what the linear layer reads
        places = range(shape.layers) if shape.skip else [0] * shape.layers
        self._places = [slice(place * size, (place + 1) * size) for place in places]  # where each layer writes it
        self._logits = torch.empty(rows, shape.vocabulary, device=device)

    @property
    def state(self) -> tuple[Tensor, Tensor, Tensor]:
        """The tensors of the rows' state, (rows, …) each; a bio begins with zeros."""
        return self._hidden, self._cell, self._recent

    def step(self, codes: Tensor, active: int | None = None) -> Tensor:
        """Feed one code to each of the first n rows, n = len(codes) >= MIN_ROWS.

        Returns float32 logits (n, vocabulary), which the next step overwrites; those after the first `active` rows
        (None: all) are meaningless.
        """
        n, size = len(codes), self._size
        m = next((few for few in self.few if active is not None and few >= active), n)
        gates = self._gates[:m]
        i, f, g, o = gates.chunk(4, dim=1)
        first = torch.index_select(self._table, 0, codes[:m], out=self._first[:m])
        if self._ngram_table is not None:
            recent = self._recent[:m]
            recent.copy_(torch.cat([recent[:, 1:], codes[:m, None]], 1))
            buckets = ngram_buckets(self._byte_ids[recent], len(self._ngram_table))
            inputs = functional.embedding(buckets, self._ngram_table).sum(-2)
            first = self._below(inputs.to(first.dtype), first)
        raw = self._recurrent(self._hidden[:m, :size], first)
        for k, place in enumerate(self._places):
            if k > 0:
                raw = self._layers[k - 1](self._hidden[:m, (k - 1) * size : (k + 1) * size])
            gates.copy_(raw).sigmoid_()
            cell = self._cell[:m, k * size : (k + 1) * size]
            cell.mul_(f).addcmul_(i, g, value=4).sub_(i, alpha=2)  # 2 c = f 2 c + 2 i (2 g - 1)
            top = self._top[:m, place]
            torch.sigmoid(cell, out=top).sub_(0.5).mul_(o)  # h / 2 = o (sigmoid(2 c) - 1/2)
            self._hidden[:m, k * size : (k + 1) * size] = top
        return torch.addmm(self._out_bias, self._top[:n], self._out_weight, out=self._logits[:n])

    @torch.no_grad()
    def _agrees(self, count: int) -> bool:
        """Return whether a step of `count` rows equals one of MIN_ROWS bit for bit, from a random state."""
        draw = torch.Generator().manual_seed(count)
        codes = torch.randint(len(self._table), (MIN_ROWS,), generator=draw)
        hidden, cell = (torch.rand(each[:MIN_ROWS].shape, generator=draw) - 0.5 for each in self.state[:2])
        recent = torch.randint(len(self._table), (MIN_ROWS, MAX_NGRAM), generator=draw)
        results = []
        for few in ((), (count,)):
            self.few = few
            self._hidden[:MIN_ROWS], self._cell[:MIN_ROWS] = hidden, cell
            self._recent[:MIN_ROWS] = recent
            logits = self.step(codes, count)
            results.append([each[:count].clone() for each in (logits, *self.state)])
        self.few = ()
        for each in self.state:
            each.zero_()
        return all(map(torch.equal, *results))


def _doubled(gates: Tensor, size: int) -> Tensor:
    """Double the third quarter of the rows: the gate whose tanh becomes a sigmoid."""
    gates = gates.detach().clone()
    gates[2 * size : 3 * size] *= 2
    return gates
