"""Text to codes and back: a code for each byte value seen in training, plus one stop code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from biobot.errors import ModelError

STOP = 0
"""The code that ends a bio and also, as the model's first input, starts it."""


@dataclass(frozen=True, slots=True)
class Codec:
    """The table between byte values and codes: code 0 is the stop, code i > 0 the i-th byte value seen."""

    values: bytes
    _codes: tuple[int | None, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if sorted(set(self.values)) != list(self.values):
            raise ValueError("the byte values of a codec must be sorted and distinct")
        codes: list[int | None] = [None] * 256
        for code, value in enumerate(self.values, start=STOP + 1):
            codes[value] = code
        object.__setattr__(self, "_codes", tuple(codes))

    @classmethod
    def of(cls, texts: Iterable[bytes]) -> Codec:
        """Return the codec of the byte values that occur in `texts`."""
        seen: set[int] = set()
        for text in texts:
            seen.update(text)
        return cls(bytes(sorted(seen)))

    @property
    def size(self) -> int:
        """How many codes there are, the stop included."""
        return len(self.values) + 1

    def lookup(self, value: int) -> int | None:
        """Return the code of a byte value, or None where training never saw it."""
        return self._codes[value]

    def encode(self, text: bytes) -> list[int]:
        """Return the codes of `text`, without a stop; raise ModelError for a byte never seen in training."""
        codes = [self._codes[value] for value in text]
        if None in codes:
            position = codes.index(None)
            raise ModelError(
                f"byte 0x{text[position]:02x} at position {position} was never seen in training; leave it out"
            )
        return codes  # type: ignore[return-value]  # no None is left

    def decode(self, codes: Iterable[int]) -> bytes:
        """Return the bytes of `codes`, which must hold no stop."""
        return bytes(self.values[code - 1] for code in codes)
