"""The byte-LSTM: embeddings, a stack of LSTM layers, each with dropout behind it, and a linear layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from biobot.model.codec import STOP
from biobot.model.shape import Shape

State = tuple[Tensor, Tensor, Tensor]
"""Hidden and cell state, each (layers, batch, hidden), and the last MAX_NGRAM - 1 codes, (batch, MAX_NGRAM - 1)."""

MAX_NGRAM = 4
"""N-grams of 2 to MAX_NGRAM codes have embeddings."""

_STOP_ID = 256  # stands for the stop where n-grams are hashed by their bytes
_FACTOR, _BITS = 0x5BD1E995, 31  # a large odd number, and how many bits of a hash are kept: products fit int64


class ByteLSTM(nn.Module):
    """Predicts the next code of a bio from those before it (the stop code before the first)."""

    byte_ids: Tensor

    def __init__(self, shape: Shape, values: bytes = b"") -> None:
        """Initialise with random weights; `values` are the bytes that the codes stand for, needed for n-grams."""
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.embedding)
        if shape.ngram_buckets:
            if len(values) + 1 != shape.vocabulary:
                raise ValueError(f"{len(values)} byte values and a stop are not {shape.vocabulary} codes")
            table = 0.02 * torch.randn(shape.ngram_buckets, shape.embedding)
            self.ngram_embedding = nn.Embedding.from_pretrained(table, freeze=False)  # type: ignore[no-untyped-call]
            # n-grams are hashed by their bytes, not their codes: those change when a model learns of new bytes
            self.register_buffer("byte_ids", torch.tensor([_STOP_ID, *values]), persistent=False)
        self.dropout = nn.Dropout(shape.dropout)
        inputs = [shape.embedding] + [shape.hidden] * (shape.layers - 1)
        self.lstm = nn.ModuleList(nn.LSTM(size, shape.hidden, batch_first=True) for size in inputs)
        self.linear = nn.Linear(shape.width, shape.vocabulary)

    @property
    def layers(self) -> list[nn.LSTM]:
        """The LSTM layers, from the lowest to the top."""
        return cast("list[nn.LSTM]", list(self.lstm))

    def embed(self, padded: Tensor, dropout: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Return the inputs of the first layer for codes that have the MAX_NGRAM - 1 codes before them in front.

        Maps (batch, MAX_NGRAM - 1 + time) to (batch, time, embedding): the code's own embedding plus, if the model
        has them, those of the n-grams that end with it (Pagnoni et al., Byte Latent Transformer, 2024). `dropout`
        (None: the module's own) is applied to every number of an n-gram's embedding.
        """
        inputs: Tensor = self.embedding(padded[:, MAX_NGRAM - 1 :])
        if self.shape.ngram_buckets:
            buckets = ngram_buckets(self.byte_ids[padded].unfold(1, MAX_NGRAM, 1), self.shape.ngram_buckets)
            inputs = inputs + (dropout or self.dropout)(self.ngram_embedding(buckets)).sum(-2)
        return inputs

    def forward(self, codes: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map codes (batch, time) to logits (batch, time, vocabulary) and the state after the last one."""
        padded = pad_start(codes) if state is None else torch.cat([state[2], codes], 1)
        hidden, outputs, states = self.embed(padded), [], []
        for k, layer in enumerate(self.layers):
            hidden, after = layer(hidden, None if state is None else (state[0][k : k + 1], state[1][k : k + 1]))
            hidden = self.dropout(hidden)
            outputs.append(hidden)
            states.append(after)
        top = torch.cat(outputs, -1) if self.shape.skip else hidden
        after = torch.cat([h for h, _ in states]), torch.cat([c for _, c in states]), padded[:, 1 - MAX_NGRAM :]
        return self.linear(top), after


def pad_start(codes: Tensor) -> Tensor:
    """Put MAX_NGRAM - 1 stops, which stand for what precedes a bio, before codes of shape (batch, time)."""
    return functional.pad(codes, (MAX_NGRAM - 1, 0), value=STOP)


def ngram_buckets(byte_ids: Tensor, buckets: int) -> Tensor:
    """Hash the n-grams that end each window of byte ids, (..., MAX_NGRAM), to table rows, (..., MAX_NGRAM - 1)."""
    *older, hashed = byte_ids.unbind(-1)
    rows = []
    for byte_id in reversed(older):
        hashed = (hashed * _FACTOR + byte_id + 1) & ((1 << _BITS) - 1)
        rows.append((hashed ^ (hashed >> 15)) % buckets)
    return torch.stack(rows, -1)
