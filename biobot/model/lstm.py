"""The byte-LSTM: embeddings, a stack of LSTM layers, each with dropout behind it, and a linear layer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import cast

import torch
from torch import Tensor, nn

from biobot.model.codec import STOP

State = tuple[Tensor, Tensor, Tensor]
"""Hidden and cell state, each (layers, batch, hidden), and the last LONGEST - 1 codes, (batch, LONGEST - 1)."""

LONGEST = 4
"""The n-grams that have embeddings have 2 to so many codes."""

_NO_BYTE = 256  # the name of the stop
_FACTOR, _BITS = 0x5BD1E995, 31  # a large odd number, and how many bits of a hash are kept: products fit int64


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a ByteLSTM; `vocabulary` counts the stop code.

    With `skip` the linear layer reads the hidden states of every layer, not those of the last one alone (Graves,
    Generating Sequences With Recurrent Neural Networks, 2013): the lower layers are taught directly. `grams` is how
    many rows the table of n-gram embeddings has (0: there is no such table).
    """

    vocabulary: int
    embedding: int
    hidden: int
    layers: int
    dropout: float = 0.0
    skip: bool = False
    grams: int = 0

    @property
    def width(self) -> int:
        """How many numbers the linear layer reads."""
        return self.hidden * (self.layers if self.skip else 1)

    def as_dict(self) -> dict[str, int | float]:
        """Give the sizes as plain numbers, for a checkpoint's header."""
        return asdict(self)


class ByteLSTM(nn.Module):
    """Predicts the next code of a bio from those before it (the stop code before the first)."""

    names: Tensor

    def __init__(self, shape: Shape, values: bytes = b"") -> None:
        """Make one with random weights; `values` are the bytes that codes stand for, needed where there are n-grams."""
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.embedding)
        if shape.grams:
            self.grams = nn.Embedding(shape.grams, shape.embedding)
            nn.init.normal_(self.grams.weight, std=0.02)
            # n-grams are hashed by their bytes, not their codes: those change when a model learns of new bytes
            self.register_buffer("names", torch.tensor([_NO_BYTE, *values]), persistent=False)
            if len(self.names) != shape.vocabulary:
                raise ValueError(f"{len(values)} byte values and a stop are not {shape.vocabulary} codes")
        self.dropout = nn.Dropout(shape.dropout)
        inputs = [shape.embedding] + [shape.hidden] * (shape.layers - 1)
        self.lstm = nn.ModuleList(nn.LSTM(size, shape.hidden, batch_first=True) for size in inputs)
        self.linear = nn.Linear(shape.width, shape.vocabulary)

    @property
    def layers(self) -> list[nn.LSTM]:
        """The LSTM layers, from the lowest to the top."""
        return cast("list[nn.LSTM]", list(self.lstm))

    def embed(self, codes: Tensor, before: Tensor | None = None) -> Tensor:
        """Map codes (batch, time) to what the first layer reads, (batch, time, embedding).

        Each code's embedding, and those of the n-grams that end with it (Pagnoni et al., Byte Latent Transformer,
        2024). `before` are the LONGEST - 1 codes that went before, (batch, LONGEST - 1); None: stops.
        """
        read: Tensor = self.embedding(codes)
        if not self.shape.grams:
            return read
        if before is None:
            before = codes.new_full((len(codes), LONGEST - 1), STOP)
        return read + self.of_grams(torch.cat([before, codes], 1).unfold(1, LONGEST, 1))

    def of_grams(self, recent: Tensor) -> Tensor:
        """Sum the embeddings of the n-grams that end a window of codes: (..., LONGEST) to (..., embedding)."""
        *older, hashed = self.names[recent].unbind(-1)
        rows = []
        for name in reversed(older):
            hashed = (hashed * _FACTOR + name + 1) & ((1 << _BITS) - 1)
            rows.append((hashed ^ (hashed >> 15)) % self.shape.grams)
        return self.dropout(self.grams(torch.stack(rows, -1))).sum(-2)  # type: ignore[no-any-return]

    def forward(self, codes: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map codes (batch, time) to logits (batch, time, vocabulary) and the state after the last one."""
        before = codes.new_full((len(codes), LONGEST - 1), STOP) if state is None else state[2]
        hidden, outputs, states = self.embed(codes, before), [], []
        for k, layer in enumerate(self.layers):
            hidden, after = layer(hidden, None if state is None else (state[0][k : k + 1], state[1][k : k + 1]))
            hidden = self.dropout(hidden)
            outputs.append(hidden)
            states.append(after)
        top = torch.cat(outputs, -1) if self.shape.skip else hidden
        last = torch.cat([before, codes], 1)[:, 1 - LONGEST :]
        return self.linear(top), (torch.cat([h for h, _ in states]), torch.cat([c for _, c in states]), last)
