"""Forward and backward pass of the byte-LSTM for training.

On a CPU each layer is one call of oneDNN's LSTM for all time steps, forward and backward. It is the kernel that
`torch.nn.LSTM` uses, too, but called directly it keeps the cell state and the gradients of the weights in float32,
and on every machine that has it. Products have the dtype that is asked for. Elsewhere the layers are `torch.nn.LSTM`
(cuDNN on a GPU) under autocast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from biobot.model.batches import PADDING
from biobot.model.lstm import ByteLSTM, pad_start

_LSTM = 2  # this kind of recurrent network, in torch's numbering


class _Lstm(torch.autograd.Function):
    """oneDNN's LSTM layer from a zero state, (time, batch, inputs) to (time, batch, hidden), both of one dtype."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *weights: Tensor) -> Tensor:
        hidden = x.new_zeros(1, x.shape[1], weights[1].shape[1])
        inputs = x.detach(), *(each.detach().to(x.dtype) for each in weights), hidden, hidden.float()
        training = any(ctx.needs_input_grad)
        with torch.set_grad_enabled(training):  # without, the operator keeps nothing for the backward pass
            found = torch.ops.aten.mkldnn_rnn_layer(
                *inputs, False, [], _LSTM, hidden.shape[2], 1, True, False, False, training
            )
        ctx.save_for_backward(*inputs, *found)
        output: Tensor = found[0]
        return output

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        *tensors, workspace = (each.detach() for each in ctx.saved_tensors)
        size = tensors[2].shape[1]
        with torch.enable_grad():  # as in `forward`
            d_x, *d_weights, _, _ = torch.ops.aten.mkldnn_rnn_layer_backward(
                *tensors, grad.contiguous(), None, None, False, _LSTM, size, 1, True, True, False, [], False, workspace
            )
        return d_x.to(grad.dtype), *d_weights


class TrainingForward:
    """Runs a ByteLSTM for training, with one dropout mask for a whole bio.

    Inputs and targets are codes, (time, batch). Several threads can use it side by side.
    """

    def __init__(self, model: ByteLSTM, dtype: torch.dtype) -> None:
        self.model, self.dtype = model, dtype
        on_cpu = model.linear.weight.device.type == "cpu"
        mkldnn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        self._fused = on_cpu and mkldnn and dtype in (torch.bfloat16, torch.float32)

    @torch.no_grad()
    def logits(self, inputs: Tensor) -> Tensor:
        """Return the logits (time, batch, vocabulary), without dropout."""
        return self._logits(inputs, None)

    @torch.no_grad()
    def nats(self, inputs: Tensor, targets: Tensor) -> float:
        """Return the negative log-likelihood of the targets in nats, summed, without dropout."""
        return float(_loss(self._logits(inputs, None), targets))

    def gradients(self, inputs: Tensor, targets: Tensor, count: int, seed: int) -> tuple[float, tuple[Tensor, ...]]:
        """Return the nats with dropout as `seed` decides, and the gradient of the nats over `count`, by parameter."""
        loss = _loss(self._logits(inputs, torch.Generator(inputs.device).manual_seed(seed)), targets)
        return float(loss.detach()), torch.autograd.grad(loss / count, [*self.model.parameters()])

    def _logits(self, inputs: Tensor, generator: torch.Generator | None) -> Tensor:
        rate = self.model.shape.dropout

        def drop(x: Tensor, size: Sequence[int] | None = None) -> Tensor:
            if generator is None or not rate:
                return x
            mask = torch.rand(size or x.shape, generator=generator, device=x.device).ge_(rate).div_(1 - rate)
            return x * mask.to(x.dtype)

        outputs = [self.model.embed(pad_start(inputs.t()), drop).transpose(0, 1).to(self.dtype)]
        for layer in self.model.layers:
            hidden = self._layer(layer, outputs[-1].contiguous())
            outputs.append(drop(hidden, hidden.shape[1:]))
        top = torch.cat(outputs[1:], -1) if self.model.shape.skip else outputs[-1]
        linear = (each.to(self.dtype) for each in self.model.linear.parameters())
        return functional.linear(top, *linear).to(torch.promote_types(self.dtype, torch.float32))

    def _layer(self, layer: nn.LSTM, x: Tensor) -> Tensor:
        hidden: Tensor
        if self._fused:
            hidden = _Lstm.apply(x, *layer.all_weights[0])  # type: ignore[no-untyped-call]
            return hidden
        with torch.autocast(x.device.type, self.dtype, enabled=self.dtype.itemsize < 4):
            hidden = layer(x.transpose(0, 1))[0].transpose(0, 1)
            return hidden


def _loss(logits: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=PADDING, reduction="sum")


def fast_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 where `device` has instructions that multiply it, else float32."""
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported()
    else:
        native = any(torch.cpu.get_capabilities().get(each) for each in ("avx512_bf16", "amx_bf16"))
    return torch.bfloat16 if native else torch.float32
