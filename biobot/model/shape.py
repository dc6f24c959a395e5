"""The sizes of a byte-LSTM: the one place that lists them, read from a file's header without torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a ByteLSTM; `vocabulary` counts the stop code, and is 0 until there is a corpus to take it from.

    With `skip` the linear layer reads the hidden states of every layer, not those of the last one alone (Graves,
    Generating Sequences With Recurrent Neural Networks, 2013): the lower layers are trained directly.
    `ngram_buckets` is how many rows the hashed table of n-gram embeddings has (0: there is no such table).
    Raises ValueError for sizes that no model can have.
    """

    vocabulary: int
    embedding: int
    hidden: int
    layers: int
    dropout: float = 0.0
    skip: bool = False
    ngram_buckets: int = 0

    def __post_init__(self) -> None:
        kinds: dict[object, tuple[type, ...]] = {"int": (int,), "float": (int, float), "bool": (bool,)}
        for each in fields(self):
            value = getattr(self, each.name)
            if type(value) not in kinds[each.type] or not math.isfinite(value):
                raise ValueError(f"{each.name} is {value!r}")
        if min(self.embedding, self.hidden, self.layers) < 1 or min(self.vocabulary, self.ngram_buckets) < 0:
            raise ValueError("sizes are positive")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}")

    @classmethod
    def parse(cls, facts: Mapping[str, Any]) -> Shape:
        """Read the sizes in a header of any format; raises TypeError or ValueError."""
        facts = dict(facts)
        if "grams" in facts:  # its name up to format 3; formats 1 and 2 had no such table
            facts["ngram_buckets"] = facts.pop("grams")
        return cls(**facts)

    @property
    def width(self) -> int:
        """How many numbers the linear layer reads."""
        return self.hidden * (self.layers if self.skip else 1)

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every weight of the model, by its name."""
        vocabulary, gates = self.vocabulary, 4 * self.hidden
        found: dict[str, tuple[int, ...]] = {"embedding.weight": (vocabulary, self.embedding)}
        if self.ngram_buckets:
            found["ngram_embedding.weight"] = (self.ngram_buckets, self.embedding)
        for k in range(self.layers):
            found[f"lstm.{k}.weight_ih_l0"] = (gates, self.hidden if k else self.embedding)
            found[f"lstm.{k}.weight_hh_l0"] = (gates, self.hidden)
            found |= {f"lstm.{k}.bias_ih_l0": (gates,), f"lstm.{k}.bias_hh_l0": (gates,)}
        return found | {"linear.weight": (vocabulary, self.width), "linear.bias": (vocabulary,)}

    def as_dict(self) -> dict[str, int | float]:
        """Return the sizes as plain numbers, for a file's header."""
        return asdict(self)

    def __str__(self) -> str:
        more = (", skip connections" if self.skip else "") + (", n-gram embeddings" if self.ngram_buckets else "")
        return f"{self.layers} x {self.hidden}{more}, embedding {self.embedding}"
