"""The byte-LSTM: embeddings, a stack of LSTM layers, each with dropout behind it, and a linear layer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

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
        """Return the sizes as plain numbers, for a checkpoint's header."""
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
            if len(values) + 1 != shape.vocabulary:
                raise ValueError(f"{len(values)} byte values and a stop are not {shape.vocabulary} codes")
            table = 0.02 * torch.randn(shape.grams, shape.embedding)
            self.grams = nn.Embedding.from_pretrained(table, freeze=False)  # type: ignore[no-untyped-call]
            # n-grams are hashed by their bytes, not their codes: those change when a model learns of new bytes
            self.register_buffer("names", torch.tensor([_NO_BYTE, *values]), persistent=False)
        self.dropout = nn.Dropout(shape.dropout)
        inputs = [shape.embedding] + [shape.hidden] * (shape.layers - 1)
        self.lstm = nn.ModuleList(nn.LSTM(size, shape.hidden, batch_first=True) for size in inputs)
        self.linear = nn.Linear(shape.width, shape.vocabulary)

    @property
    def layers(self) -> list[nn.LSTM]:
        """The LSTM layers, from the lowest to the top."""
        return cast("list[nn.LSTM]", list(self.lstm))

    def embed(self, line: Tensor) -> Tensor:
        """Map codes, the LONGEST - 1 before them in front, to what the first layer reads of each.

        (batch, LONGEST - 1 + time) to (batch, time, embedding): the code's own embedding and, if there is a table of
        them, those of the n-grams that end with it (Pagnoni et al., Byte Latent Transformer, 2024). Each number of an
        n-gram's embedding is dropped out by itself, anew at every code.
        """
        read: Tensor = self.embedding(line[:, LONGEST - 1 :])
        if self.shape.grams:
            rows = rows_of_grams(self.names[line].unfold(1, LONGEST, 1), self.shape.grams)
            read = read + self.dropout(self.grams(rows)).sum(-2)
        return read

    def forward(self, codes: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map codes (batch, time) to logits (batch, time, vocabulary) and the state after the last one."""
        line = opened(codes) if state is None else torch.cat([state[2], codes], 1)
        hidden, outputs, states = self.embed(line), [], []
        for k, layer in enumerate(self.layers):
            hidden, after = layer(hidden, None if state is None else (state[0][k : k + 1], state[1][k : k + 1]))
            hidden = self.dropout(hidden)
            outputs.append(hidden)
            states.append(after)
        top = torch.cat(outputs, -1) if self.shape.skip else hidden
        after = torch.cat([h for h, _ in states]), torch.cat([c for _, c in states]), line[:, 1 - LONGEST :]
        return self.linear(top), after


def opened(codes: Tensor) -> Tensor:
    """Put the stops in front that stand for what goes before a bio: (batch, time) to (batch, LONGEST - 1 + time)."""
    return functional.pad(codes, (LONGEST - 1, 0), value=STOP)


def rows_of_grams(names: Tensor, rows: int) -> Tensor:
    """Hash the n-grams that end a window of names, (..., LONGEST), to their rows in a table, (..., LONGEST - 1)."""
    *older, hashed = names.unbind(-1)
    found = []
    for name in reversed(older):
        hashed = (hashed * _FACTOR + name + 1) & ((1 << _BITS) - 1)
        found.append((hashed ^ (hashed >> 15)) % rows)
    return torch.stack(found, -1)
