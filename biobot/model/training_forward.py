"""Forward and backward pass of the byte-LSTM for training: the numbers of `torch.nn.LSTM`, near the GEMM's speed.

A time step's matrix product is small (24 x 768 times 768 x 1536, say), and a library that is handed the weights as
they are copies all of them into its own order at every step. Here they are packed once a batch. Input and recurrent
weights stand side by side, so that a step is one product with [x, h]; the backward pass has one product a step, and
one over the whole sequence for the gradient of the weights. Everything else is done in place, in buffers that the next
batch uses again: fresh ones of 100 MB would cost more in page faults than the work done in them.

Products have the dtype that is asked for (bfloat16 where the CPU multiplies it fast, else float32); gates, cell state
and the sums within a product are always float32 (float64 if asked, for gradient checks).
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from biobot.model.batches import PADDING
from biobot.model.lstm import ByteLSTM, pad_start
from biobot.model.packed import linear

_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_tanh_backward = torch.ops.aten.tanh_backward.grad_input
_MINUS_ONE = torch.tensor(-1.0)

I, F, O, G, TANH, CELL, BLOCKS = 0, 1, 2, 3, 4, 6, 7  # noqa: E741
"""What a time step keeps for the backward pass, in blocks of (batch, hidden): the gates i, f and o, g (nn.LSTM has the
order i, f, g, o), tanh of the new cell, and twice the old cell. I, G and CELL are equally far apart, so that one
multiplication serves all three."""

_FROM_SLOPES = (1, 2, 0, 3)  # the slopes of the backward pass come in the order g, i, f, o


class Workspace:
    """Buffers that outlive a batch."""

    def __init__(self) -> None:
        self._flat: dict[tuple[str, torch.dtype], Tensor] = {}

    def take(self, name: str, dtype: torch.dtype, *shape: int) -> Tensor:
        """Return the buffer `name` with that shape; its contents are undefined."""
        size = 1
        for each in shape:
            size *= each
        flat = self._flat.get((name, dtype))
        if flat is None or flat.numel() < size:
            flat = self._flat[name, dtype] = torch.empty(size + size // 4, dtype=dtype)
        return flat[:size].view(shape)


def _tanh_from_sigmoid_(x: Tensor) -> Tensor:
    """Map sigmoid(2a) to tanh(a) = 2 sigmoid(2a) - 1, in place: in all three times as fast as `Tensor.tanh_` here."""
    return torch.add(_MINUS_ONE, x, alpha=2, out=x)


class Layer:
    """One LSTM layer over whole sequences, from a zero state; `weights` are those of an `nn.LSTM` of one layer."""

    def __init__(self, weights: Sequence[Tensor], dtype: torch.dtype, workspace: Workspace, name: str) -> None:
        self.weights, self.dtype, self.workspace, self.name = weights, dtype, workspace, name
        self.exact = torch.promote_types(dtype, torch.float32)
        self.inputs, self.hidden = weights[0].shape[1], weights[1].shape[1]

    def load(self) -> None:
        """Pack the weights; to be called after they have changed."""
        hidden, inputs = self.hidden, self.inputs
        w_ih, w_hh, b_ih, b_hh = (each.view(4, hidden, -1) for each in self.weights)
        gates = self._take("gates", self.dtype, 4, hidden, inputs + hidden)
        bias = self._take("bias", self.dtype, 4, hidden, 1)
        slopes = self._take("slopes", self.dtype, inputs + hidden, 4, hidden)
        for row, source in ((I, 0), (F, 1), (O, 3), (G, 2)):  # nn.LSTM has the order i, f, g, o
            gates[row, :, :inputs], gates[row, :, inputs:] = w_ih[source], w_hh[source]
            torch.add(b_ih[source], b_hh[source], out=bias[row])
        for column, row in enumerate((G, I, F, O)):
            slopes[:, column] = gates[row].t()
        slopes[:, 2] /= 2  # the slope of f is twice as large as it should be, because the cell is
        gates[G] *= 2  # g = tanh(a) = 2 sigmoid(2a) - 1; doubling is exact
        bias[G] *= 2
        self._product = linear(gates.flatten(0, 1), bias.flatten())
        self._backward_product = linear(slopes.flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (time, batch, inputs) to hidden states (time, batch, hidden), which the next call overwrites."""
        (time, batch, inputs), hidden = x.shape, self.hidden
        xh = self._xh = self._take("xh", self.dtype, time + 1, batch, inputs + hidden)  # [x of t, h of t - 1]
        xh[:time, :, :inputs] = x
        xh[0, :, inputs:] = 0
        kept = self._kept = self._take("kept", self.exact, time + 1, BLOCKS, batch, hidden)
        kept[0, CELL] = 0
        i, f, o, g, tanh, _, cell = kept.unbind(1)
        steps = (each.unbind() for each in (xh, xh[1:, :, inputs:], kept[:, :TANH], i, f, o, g, tanh, cell, cell[1:]))
        for into, h, gates, i, f, o, g, tanh, before, cell in zip(*steps, strict=False):
            gates.copy_(self._product(into).view(batch, 4, hidden).transpose(0, 1)).sigmoid_()
            _tanh_from_sigmoid_(g)
            torch.mul(f, before, out=cell).addcmul_(i, g, value=2)
            _tanh_from_sigmoid_(torch.sigmoid(cell, out=tanh))
            torch.mul(o, tanh, out=h)
        return xh[1:, :, inputs:]

    def backward(self, grad: Tensor, gradients: Sequence[Tensor]) -> Tensor:
        """Return the gradient of the last `x`, from that of its hidden states; write those of the weights."""
        (time, batch, hidden), inputs, exact, take = grad.shape, self.inputs, self.exact, self.workspace.take
        slopes = take("slopes", self.dtype, time, batch, 4 * hidden)  # d loss / d gates before their squashing
        d_x = self._take("d_x", self.dtype, time, batch, inputs)
        slope, d_cell = take("slope", exact, 4, batch, hidden), take("d_cell", exact, batch, hidden).zero_()
        d_hidden, through = take("d_hidden", exact, batch, hidden), take("through", exact, batch, hidden)
        d_g, d_o, d_gif, d_ifo, rows = slope[0], slope[3], slope[:3], slope[1:], slope.transpose(0, 1)
        kept = self._kept[:time]
        later: Tensor | None = None
        steps = (
            grad, kept[:, I : CELL + 1 : G], kept[:, : O + 1], kept[:, F], kept[:, O], kept[:, G], kept[:, TANH],
            slopes, d_x,
        )  # fmt: skip
        for d_out, igc, ifo, f, o, g, tanh, kept_slope, d_into in zip(
            *(reversed(each.unbind()) for each in steps), strict=True
        ):
            d_hidden.copy_(d_out)
            if later is not None:
                d_hidden.add_(later[:, inputs:])
            torch.mul(d_hidden, tanh, out=d_o)
            d_cell.addcmul_(o, torch.addcmul(d_hidden, d_o, tanh, value=-1, out=through))  # tanh' = 1 - tanh^2
            torch.mul(d_cell, igc, out=d_gif)
            d_cell.mul_(f)
            _sigmoid_backward(d_ifo, ifo, grad_input=d_ifo)
            _tanh_backward(d_g, g, grad_input=d_g)
            kept_slope.view(batch, 4, hidden).copy_(rows)
            later = self._backward_product(kept_slope)
            d_into.copy_(later[:, :inputs])
        slopes = slopes.flatten(0, 1)
        d_weight = torch.mm(slopes.t(), self._xh[:time].flatten(0, 1)).view(4, hidden, -1)[_FROM_SLOPES, :]
        d_bias = slopes.sum(0).view(4, hidden)[_FROM_SLOPES, :]
        for each in (d_weight, d_bias):
            each[1] /= 2
        d_w_ih, d_w_hh, *d_biases = gradients
        d_w_ih.copy_(d_weight[..., :inputs].flatten(0, 1))
        d_w_hh.copy_(d_weight[..., inputs:].flatten(0, 1))
        for each in d_biases:
            each.copy_(d_bias.flatten())
        return d_x

    def _take(self, name: str, dtype: torch.dtype, *shape: int) -> Tensor:
        return self.workspace.take(self.name + name, dtype, *shape)


class TrainingForward:
    """Runs a ByteLSTM for training: on a CPU by `Layer`, with one dropout mask for a whole bio; on a GPU by cuDNN.

    Inputs and targets are codes, (time, batch). One thread at a time may use it; several of them can share a model.
    """

    def __init__(self, model: ByteLSTM, dtype: torch.dtype) -> None:
        self.model, self.dtype = model, dtype
        self.workspace = Workspace()
        self.layers = [Layer(each.all_weights[0], dtype, self.workspace, f"{k}") for k, each in enumerate(model.layers)]
        self._embeddings = [each for name, each in model.named_parameters() if "embedding" in name]
        self.stale = True
        """Whether the model's weights have changed since they were last used here."""

    @torch.no_grad()
    def logits(self, inputs: Tensor) -> Tensor:
        """Return the logits (time, batch, vocabulary), without dropout."""
        outputs = self._outputs(self._embed(inputs, None), [])
        return self._logits(outputs).view(*inputs.shape, -1)

    @torch.no_grad()
    def nats(self, inputs: Tensor, targets: Tensor) -> float:
        """Return the negative log-likelihood of the targets in nats, summed, without dropout."""
        if inputs.is_cuda:
            return self._loss_on_gpu(inputs, targets).item()
        return self._loss(self._outputs(self._embed(inputs, None), []), targets)[0]

    def gradients(self, inputs: Tensor, targets: Tensor, count: int, seed: int, gradients: list[Tensor]) -> float:
        """Return the nats with dropout as `seed` decides; write to `gradients` those of the nats over `count`.

        They are in the order of the model's parameters.
        """
        if inputs.is_cuda:
            torch.manual_seed(seed)
            loss = self._loss_on_gpu(inputs, targets)
            found = torch.autograd.grad(loss / count, list(self.model.parameters()))
            for gradient, each in zip(gradients, found, strict=True):
                gradient.copy_(each)
            return float(loss.item())
        generator = torch.Generator().manual_seed(seed)
        embedded = self._embed(inputs, generator)
        d_embedded = self._backward(embedded.detach(), targets, count, generator, gradients)
        found = torch.autograd.grad(embedded, self._embeddings, d_embedded.transpose(0, 1).to(embedded.dtype))
        for gradient, each in zip(gradients, found, strict=False):
            gradient.copy_(each)
        return self._nats

    @torch.no_grad()
    def _backward(
        self, embedded: Tensor, targets: Tensor, count: int, generator: torch.Generator, gradients: list[Tensor]
    ) -> Tensor:
        shape = self.model.shape
        masks = []
        if shape.dropout:
            size = targets.shape[1], shape.hidden
            masks = [_mask(size, shape.dropout, generator).to(self.dtype) for _ in self.layers]
        outputs = self._outputs(embedded, masks)
        self._nats, d_logits = self._loss(outputs, targets)
        d_logits.div_(count)
        *_, d_weight, d_bias = gradients
        torch.sum(d_logits, 0, out=d_bias)
        d_logits = self.workspace.take("d_logits", self.dtype, *d_logits.shape).copy_(d_logits)
        below: Tensor | None = None
        first = len(self._embeddings)
        for k in reversed(range(shape.layers)):
            d_out = self.workspace.take("d_out", self.dtype, *outputs[k].shape)
            if columns := self._columns(k):
                d_weight[:, columns] = torch.mm(d_logits.t(), outputs[k].flatten(0, 1))
                torch.mm(d_logits, self._linear[:, columns], out=d_out.flatten(0, 1))
                if below is not None:
                    d_out.add_(below)
            elif below is not None:
                d_out.copy_(below)
            if masks:
                d_out.mul_(masks[k])
            below = self.layers[k].backward(d_out, gradients[first + 4 * k : first + 4 * k + 4])
        assert below is not None
        return below

    def _embed(self, inputs: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return the inputs of the first layer, (batch, time, embedding)."""
        rate = self.model.shape.dropout

        def drop(x: Tensor) -> Tensor:
            return x * _mask(x.shape, rate, generator) if generator and rate else x

        return self.model.embed(pad_start(inputs.t()), drop)

    def _outputs(self, embedded: Tensor, masks: list[Tensor]) -> list[Tensor]:
        """Return the hidden states of each layer, (time, batch, hidden), dropped out by the masks, if there are any."""
        if self.stale:
            self._linear = self.model.linear.weight.to(self.dtype)
            for layer in self.layers:
                layer.load()
            self.stale = False
        x, outputs = embedded.transpose(0, 1), []
        for k, layer in enumerate(self.layers):
            x = layer.forward(x)
            if masks:
                x = torch.mul(x, masks[k], out=self.workspace.take(f"{k}dropped", self.dtype, *x.shape))
            outputs.append(x)
        return outputs

    def _columns(self, k: int) -> slice | None:
        """Return which columns of the linear layer's weight read layer k, None for none."""
        shape = self.model.shape
        if shape.skip:
            return slice(k * shape.hidden, (k + 1) * shape.hidden)
        return slice(0, shape.hidden) if k == shape.layers - 1 else None

    def _logits(self, outputs: list[Tensor]) -> Tensor:
        """Return the logits (time * batch, vocabulary)."""
        exact = torch.promote_types(self.dtype, torch.float32)
        bias, (time, batch, _) = self.model.linear.bias, outputs[0].shape
        logits = self.workspace.take("logits", exact, time * batch, len(bias)).copy_(bias)
        for k, output in enumerate(outputs):
            if columns := self._columns(k):
                logits += torch.mm(output.flatten(0, 1), self._linear[:, columns].t())
        return logits

    def _loss(self, outputs: list[Tensor], targets: Tensor) -> tuple[float, Tensor]:
        """Return the nats and their gradient by the logits."""
        targets = targets.flatten()
        real = targets != PADDING
        places = targets.clamp(min=0)[:, None]
        logs = self._logits(outputs).log_softmax(1)
        nats = -(logs.gather(1, places)[:, 0] * real).sum().item()
        d_logits = logs.exp_().scatter_add_(1, places, torch.full_like(logs[:, :1], -1.0)).mul_(real[:, None])
        return nats, d_logits

    def _loss_on_gpu(self, inputs: Tensor, targets: Tensor) -> Tensor:
        with torch.autocast("cuda", self.dtype, enabled=self.dtype != torch.float32):
            logits = self.model(inputs.t())[0].float()
        return functional.cross_entropy(
            logits.flatten(0, 1), targets.t().flatten(), ignore_index=PADDING, reduction="sum"
        )


def _mask(size: Sequence[int], rate: float, generator: torch.Generator | None) -> Tensor:
    """Draw a dropout mask: 0 with probability `rate`, else the factor that makes up for it."""
    return torch.rand(size, generator=generator).ge_(rate).div_(1 - rate)


def fast_dtype(device: torch.device) -> torch.dtype:
    """Return the fastest dtype for products: bfloat16 where this machine multiplies it clearly faster than float32."""
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
