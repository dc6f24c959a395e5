"""The parameters of sampling, validated before a model is loaded (F27, F28)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from biobot.errors import SampleError

MAX_TEMPERATURE = 100.0
"""The highest temperature: there every byte is about as likely as any other."""

MAX_BYTES = 1024
"""The default length limit; also that of the bios that training learns from by default."""

MAX_BYTES_LIMIT = 65536
"""The largest length limit."""


@dataclass(frozen=True, slots=True)
class Request:
    """One bio to draw: its seed, the only source of randomness, and its temperature (0: the argmax)."""

    seed: int
    temperature: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and 0 <= self.temperature <= MAX_TEMPERATURE):
            raise SampleError(f"temperature {self.temperature} is not a number from 0 to {MAX_TEMPERATURE:g}; try 0.8")
        if not 0 <= self.seed < 2**63:
            raise SampleError(f"seed {self.seed} is not a whole number from 0 to 2^63 - 1")


@dataclass(frozen=True, slots=True)
class Controls:
    """The parameters that all bios of a draw share.

    `top_p` keeps the likeliest bytes that together reach this share, `min_p` those at least this share as
    likely as the likeliest; both look at the distribution after temperature and masking. `prefix` is the
    beginning of every bio; it may end inside a character. `max_bytes` is the length, in UTF-8 bytes, at which
    a bio that has not stopped is cut after its last whole grapheme.
    """

    top_p: float = 1.0
    min_p: float = 0.0
    prefix: bytes = b""
    max_bytes: int = MAX_BYTES

    def __post_init__(self) -> None:
        if not 0 < self.top_p <= 1:
            raise SampleError(f"top-p {self.top_p} is not above 0 and at most 1; 1 keeps every byte")
        if not 0 <= self.min_p <= 1:
            raise SampleError(f"min-p {self.min_p} is not from 0 to 1; 0 keeps every byte")
        if not 1 <= self.max_bytes <= MAX_BYTES_LIMIT:
            raise SampleError(f"max-bytes {self.max_bytes} is not from 1 to {MAX_BYTES_LIMIT}")
        if len(self.prefix) > self.max_bytes:
            raise SampleError(
                f"the prefix has {len(self.prefix)} bytes, but a bio may have {self.max_bytes}: "
                "shorten it or raise max-bytes"
            )
