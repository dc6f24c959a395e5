"""The byte-LSTM, one byte at a time for many rows at once, as fast as this machine can.

What makes it fast: the first layer's input product is a look-up in a table made once, since an embedding
times a matrix is one of `vocabulary` vectors; each other layer is one product of [input, hidden]; weights
are bfloat16 where the processor multiplies that natively; every buffer is allocated once.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from biobot.model.lstm import ByteLSTM

Kind = Literal["bfloat16", "float32"]

LEAST_ROWS = 16
"""Products have at least so many rows: with fewer, kernels sum in another order, and a bio drawn alone would
differ in its last digits from the same bio drawn among others."""


def best_kind(device: torch.device) -> Kind:
    """Choose bfloat16 where `device` multiplies it natively, else float32."""
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    native = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()  # type: ignore[no-untyped-call]
    return "bfloat16" if native else "float32"


class Stepper:
    """A ByteLSTM's weights, laid out for single steps, and the state of up to `rows` bios."""

    def __init__(self, model: ByteLSTM, rows: int, kind: Kind) -> None:
        shape, lstm = model.shape, model.lstm
        self.kind = kind
        dtype = getattr(torch, kind)
        device = model.linear.weight.device
        hidden = shape.hidden
        self._hidden = hidden
        weights = dict(lstm.named_parameters())
        with torch.no_grad():
            biases = [weights[f"bias_ih_l{k}"] + weights[f"bias_hh_l{k}"] for k in range(shape.layers)]
            self._table = (model.embedding.weight @ weights["weight_ih_l0"].T + biases[0]).to(dtype)
            self._weights = [weights["weight_hh_l0"].T.to(dtype).contiguous()]
            self._biases = [biases[0].to(dtype)]
            for k in range(1, shape.layers):
                both = torch.cat([weights[f"weight_ih_l{k}"], weights[f"weight_hh_l{k}"]], dim=1)
                self._weights.append(both.T.to(dtype).contiguous())
                self._biases.append(biases[k].to(dtype))
            self._out_weight = model.linear.weight.detach().T.contiguous()
            self._out_bias = model.linear.bias.detach().clone()
        # layer k multiplies [output of layer k - 1, own output of the step before]; layer 0 only the latter
        self._inputs = [
            torch.zeros(rows, hidden * (1 if k == 0 else 2), dtype=dtype, device=device) for k in range(shape.layers)
        ]
        self._cells = [torch.zeros(rows, hidden, device=device) for _ in range(shape.layers)]
        self._gates = torch.empty(rows, 4 * hidden, dtype=dtype, device=device)
        self._top = torch.empty(rows, hidden, device=device)
        self._logits = torch.empty(rows, shape.vocabulary, device=device)

    @property
    def state(self) -> list[Tensor]:
        """Every tensor that holds the rows' state: (rows, …) each."""
        return [*self._inputs, *self._cells]

    def step(self, codes: Tensor) -> Tensor:
        """Feed one code to each of the first n rows, n = len(codes) >= LEAST_ROWS; give float32 logits (n, vocabulary).

        The result is overwritten by the next step.
        """
        n, hidden = len(codes), self._hidden
        gates = self._gates[:n]
        last = len(self._cells) - 1
        for k, (inputs, weight) in enumerate(zip(self._inputs, self._weights, strict=True)):
            if k == 0:
                torch.index_select(self._table, 0, codes, out=gates)
                gates.addmm_(inputs[:n], weight)
            else:
                torch.addmm(self._biases[k], inputs[:n], weight, out=gates)
            i, f, g, o = gates.float().chunk(4, dim=1)
            cell = self._cells[k][:n]
            cell.mul_(f.sigmoid_()).addcmul_(i.sigmoid_(), g.tanh_())
            out = o.sigmoid_().mul_(cell.tanh())
            inputs[:n, -hidden:] = out
            if k < last:
                self._inputs[k + 1][:n, :hidden] = out
            else:
                self._top[:n] = inputs[:n, -hidden:]
        return torch.addmm(self._out_bias, self._top[:n], self._out_weight, out=self._logits[:n])
