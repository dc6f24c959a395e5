"""The byte-LSTM: an embedding, a stack of LSTM layers, each with dropout behind it, and a linear layer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import cast

import torch
from torch import Tensor, nn

State = tuple[Tensor, Tensor]
"""Hidden and cell state, each (layers, batch, hidden)."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a ByteLSTM; `vocabulary` counts the stop code.

    With `skip` the linear layer reads the hidden states of every layer, not those of the last one alone (Graves,
    Generating Sequences With Recurrent Neural Networks, 2013): the lower layers are taught directly.
    """

    vocabulary: int
    embedding: int
    hidden: int
    layers: int
    dropout: float = 0.0
    skip: bool = False

    @property
    def width(self) -> int:
        """How many numbers the linear layer reads."""
        return self.hidden * (self.layers if self.skip else 1)

    def as_dict(self) -> dict[str, int | float]:
        """Give the sizes as plain numbers, for a checkpoint's header."""
        return asdict(self)


class ByteLSTM(nn.Module):
    """Predicts the next code of a bio from those before it (the stop code before the first)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.embedding)
        self.dropout = nn.Dropout(shape.dropout)
        inputs = [shape.embedding] + [shape.hidden] * (shape.layers - 1)
        self.lstm = nn.ModuleList(nn.LSTM(size, shape.hidden, batch_first=True) for size in inputs)
        self.linear = nn.Linear(shape.width, shape.vocabulary)

    @property
    def layers(self) -> list[nn.LSTM]:
        """The LSTM layers, from the lowest to the top."""
        return cast("list[nn.LSTM]", list(self.lstm))

    def forward(self, codes: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map codes (batch, time) to logits (batch, time, vocabulary) and the state after the last one."""
        hidden, outputs, states = self.embedding(codes), [], []
        for k, layer in enumerate(self.layers):
            hidden, after = layer(hidden, None if state is None else (state[0][k : k + 1], state[1][k : k + 1]))
            hidden = self.dropout(hidden)
            outputs.append(hidden)
            states.append(after)
        top = torch.cat(outputs, -1) if self.shape.skip else hidden
        return self.linear(top), (torch.cat([h for h, _ in states]), torch.cat([c for _, c in states]))
