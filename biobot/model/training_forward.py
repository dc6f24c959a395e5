"""The LSTM layer that training runs on a CPU: the same numbers as `torch.nn.LSTM`, close to the GEMM's own speed.

A step's matrix product is small (2048 x 1024 times 1024 x 48, say), and a library that is handed the weights as
the right-hand side copies all of them into its own order at every step. Here time comes first and the batch
last, so the weights are the left-hand side, which is read where it lies: the products run at the rate of a
2048-cubed one. Input and recurrent weights stand side by side, so that a step is one product over [x; h]; the
backward pass is one product a step, and one over the whole sequence for the weights' gradient. Everything
else is done in place, in float32, in buffers that the next batch uses again.

Products are made in the dtype that is asked for (bfloat16 where the CPU multiplies it, else float32); gates,
cell state and the sums within a product are float32 always (float64 if asked, for gradient checks).
"""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from biobot.model.lstm import ByteLSTM, pad_start

_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_tanh_backward = torch.ops.aten.tanh_backward.grad_input


class Workspace:
    """Buffers that outlive a batch: fresh ones of 100 MB cost more in page faults than the work done in them."""

    def __init__(self) -> None:
        self._flat: dict[tuple[str, torch.dtype], Tensor] = {}

    def take(self, name: str, dtype: torch.dtype, *shape: int) -> Tensor:
        """Return the buffer `name` with that shape; what it held before is undefined."""
        size = 1
        for each in shape:
            size *= each
        flat = self._flat.get((name, dtype))
        if flat is None or flat.numel() < size:
            flat = self._flat[name, dtype] = torch.empty(size + size // 4, dtype=dtype)
        return flat[:size].view(shape)


_APART = 32
"""Elements left free behind each row of the weights: rows that lie a power of two apart fight for the same few places
in the cache, and a product with 16 columns takes two and a half times as long, one with 80 a third longer."""

_MINUS_ONE = torch.tensor(-1.0)


def _tanh_from_sigmoid_(x: Tensor) -> Tensor:
    """Map sigmoid(2a) to tanh(a) = 2 sigmoid(2a) - 1, in place: in all three times as fast as `Tensor.tanh_` here."""
    return torch.add(_MINUS_ONE, x, alpha=2, out=x)


class Layer(torch.autograd.Function):
    """One LSTM layer over a whole sequence, from a zero state.

    `apply(x, w_ih, w_hh, b_ih, b_hh, dtype, workspace, name)`: `x` is (time, inputs, batch), the parameters
    are those of `nn.LSTM`; gives the hidden states, (time, hidden, batch) in `dtype`, as a view of a buffer
    that the next call with the same `name` overwrites.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor,
        b_hh: Tensor,
        dtype: torch.dtype,
        workspace: Workspace,
        name: str,
    ) -> Tensor:
        """Run the layer, keeping gates, cells and their tangents for the way back."""
        (time, inputs, batch), hidden = x.shape, w_hh.shape[1]
        exact = torch.promote_types(dtype, torch.float32)

        # gates in the order i, f, o, g (nn.LSTM has i, f, g, o), so that the three sigmoids lie together
        weights = workspace.take(name + "w", dtype, 4 * hidden, inputs + hidden + _APART)[:, : inputs + hidden]
        bias = workspace.take(name + "b", exact, 4 * hidden, 1)
        summed = b_ih + b_hh
        for into, out_of in ((0, 0), (1, 1), (2, 3), (3, 2)):
            rows, source = slice(into * hidden, (into + 1) * hidden), slice(out_of * hidden, (out_of + 1) * hidden)
            weights[rows, :inputs] = w_ih[source]
            weights[rows, inputs:] = w_hh[source]
            bias[rows, 0] = summed[source]
        back = workspace.take(name + "wt", dtype, inputs + hidden, 4 * hidden + _APART)[:, : 4 * hidden]
        back.copy_(weights.t())
        weights[3 * hidden :].mul_(2)  # g = tanh(a) = 2 sigmoid(2a) - 1; doubling is exact
        bias[3 * hidden :].mul_(2)
        biases = workspace.take(name + "bb", dtype, 4 * hidden, batch).copy_(bias.expand(-1, batch))

        both = workspace.take(name + "xh", dtype, time + 1, inputs + hidden, batch)  # [x of t; h of t - 1]
        both[:time, :inputs] = x
        both[0, inputs:] = 0
        sums = workspace.take(name + "a", dtype, 4 * hidden, batch)
        gates = workspace.take(name + "g", exact, time, 4 * hidden, batch)
        cells = workspace.take(name + "c", exact, time + 1, hidden, batch)
        tangents = workspace.take(name + "t", exact, time, hidden, batch)
        cells[0] = 0
        i, f, o, g = gates.view(time, 4, hidden, batch).unbind(1)
        steps = (each.unbind() for each in (both, both[1:, inputs:], gates, i, f, o, g, cells, cells[1:], tangents))
        for xh, h, gate, i, f, o, g, before, cell, tangent in zip(*steps, strict=False):
            torch.addmm(biases, weights, xh, out=sums)
            gate.copy_(sums).sigmoid_()
            _tanh_from_sigmoid_(g)
            torch.mul(f, before, out=cell).addcmul_(i, g)
            _tanh_from_sigmoid_(torch.mul(cell, 2, out=tangent).sigmoid_())
            torch.mul(o, tangent, out=h)
        ctx.saved = back, both, gates, cells, tangents, workspace, name
        return both[1:, inputs:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of `x` and of the four parameters."""
        back, both, gates, cells, tangents, workspace, name = ctx.saved
        time, rows, batch = gates.shape
        hidden, dtype, exact = rows // 4, both.dtype, gates.dtype
        inputs = both.shape[1] - hidden

        # d loss / d gates before their squashing, laid out for the product over the whole sequence
        slopes = workspace.take("slopes", dtype, rows, time, batch)
        downs = workspace.take(name + "dx", dtype, time, inputs + hidden, batch)  # d loss / d [x; h]
        slope = workspace.take("slope", exact, rows, batch)
        d_cell = workspace.take("d_cell", exact, hidden, batch).zero_()
        d_hidden = workspace.take("d_hidden", exact, hidden, batch)
        through = workspace.take("through", exact, hidden, batch)
        d_i, d_f, d_o, d_g = slope.chunk(4)
        sigmoids, d_sigmoids = gates[:, : 3 * hidden], slope[: 3 * hidden]
        i, f, o, g = gates.view(time, 4, hidden, batch).unbind(1)
        later: Tensor | None = None
        steps = (grad, sigmoids, i, f, o, g, cells[:time], tangents, slopes.transpose(0, 1), downs)
        for d_out, sigmoid, i, f, o, g, before, tangent, kept, down in zip(
            *(reversed(each.unbind()) for each in steps), strict=True
        ):
            d_hidden.copy_(d_out)
            if later is not None:
                d_hidden.add_(later)
            torch.mul(d_hidden, tangent, out=d_o)
            d_cell.addcmul_(o, torch.addcmul(d_hidden, d_o, tangent, value=-1, out=through))  # tanh' = 1 - tanh^2
            torch.mul(d_cell, g, out=d_i)
            torch.mul(d_cell, before, out=d_f)
            torch.mul(d_cell, i, out=d_g)
            d_cell.mul_(f)
            _sigmoid_backward(d_sigmoids, sigmoid, grad_input=d_sigmoids)
            _tanh_backward(d_g, g, grad_input=d_g)
            torch.mm(back, kept.copy_(slope), out=down)
            later = down[inputs:]

        seen = workspace.take("seen", dtype, inputs + hidden, time, batch).copy_(both[:time].transpose(0, 1))
        d_weights = torch.mm(
            slopes.view(rows, -1),
            seen.view(inputs + hidden, -1).t(),
            out=workspace.take(name + "dw", dtype, rows, inputs + hidden),
        )
        d_i, d_f, d_o, d_g = d_weights.to(exact).chunk(4)
        d_w = torch.cat((d_i, d_f, d_g, d_o))
        d_i, d_f, d_o, d_g = slopes.view(rows, -1).sum(1).to(exact).chunk(4)
        d_b = torch.cat((d_i, d_f, d_g, d_o))
        return downs[:, :inputs], d_w[:, :inputs], d_w[:, inputs:], d_b, d_b.clone(), None, None, None


class TrainingForward:
    """Runs a ByteLSTM for training: on a CPU by `Layer`, with one dropout mask for a whole bio; on a GPU by cuDNN."""

    def __init__(self, model: ByteLSTM, dtype: torch.dtype) -> None:
        self.model = model
        self.dtype = dtype
        self.workspace = Workspace()

    def logits(self, codes: Tensor) -> Tensor:
        """Map codes (time, batch) to logits (time * batch, vocabulary) in float32."""
        model = self.model
        if codes.is_cuda:
            with torch.autocast("cuda", self.dtype, enabled=self.dtype != torch.float32):
                return model(codes.t())[0].transpose(0, 1).flatten(0, 1).float()  # type: ignore[no-any-return]
        x = model.embed(pad_start(codes.t())).to(self.dtype).permute(1, 2, 0)  # (time, embedding, batch)
        outputs = []
        for k, layer in enumerate(model.layers):
            x = Layer.apply(x, *layer.all_weights[0], self.dtype, self.workspace, f"{k}")  # type: ignore[no-untyped-call]
            x = self._drop(x)
            outputs.append(x)
        top = torch.cat(outputs, 1) if model.shape.skip else x
        flat = top.transpose(1, 2).reshape(-1, model.shape.width)
        exact = torch.promote_types(self.dtype, torch.float32)
        linear = model.linear
        return torch.nn.functional.linear(flat, linear.weight.to(self.dtype), linear.bias.to(self.dtype)).to(exact)

    def _drop(self, x: Tensor) -> Tensor:
        """Drop units of (time, hidden, batch), the same ones at every step of a bio (variational dropout)."""
        rate = self.model.shape.dropout
        if not (self.model.training and rate):
            return x
        mask = torch.rand(x.shape[1:]).ge_(rate).div_(1 - rate)
        return x * mask.to(x.dtype)


def fast_dtype(device: torch.device) -> torch.dtype:
    """Choose the dtype of products: bfloat16 where this machine multiplies it clearly faster than float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if rate(torch.bfloat16) > 1.3 * rate(torch.float32) else torch.float32


def rate(dtype: torch.dtype, size: int = 512, tries: int = 7) -> float:
    """Measure the rate at which this machine multiplies two square matrices of `size`, in FLOP/s."""
    left, right = torch.ones(2, size, size, dtype=dtype)
    out = torch.empty_like(left)
    times = []
    for _ in range(tries):
        start = time.perf_counter()
        torch.mm(left, right, out=out)
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times)
