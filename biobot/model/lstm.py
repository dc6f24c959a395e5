"""The byte-LSTM: an embedding, a stack of LSTM layers with dropout between them, and a linear layer."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from torch import Tensor, nn

State = tuple[Tensor, Tensor]
"""Hidden and cell state, each (layers, batch, hidden)."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a ByteLSTM; `vocabulary` counts the stop code."""

    vocabulary: int
    embedding: int
    hidden: int
    layers: int
    dropout: float = 0.0

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
        self.lstm = nn.LSTM(
            shape.embedding,
            shape.hidden,
            shape.layers,
            dropout=shape.dropout if shape.layers > 1 else 0.0,
            batch_first=True,
        )
        self.linear = nn.Linear(shape.hidden, shape.vocabulary)

    def forward(self, codes: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map codes (batch, time) to logits (batch, time, vocabulary) and the state after the last one."""
        hidden, state = self.lstm(self.embedding(codes), state)
        return self.linear(self.dropout(hidden)), state
