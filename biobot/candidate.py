"""The nouns of the pipeline: a candidate, what filters hold against it, and what was seen before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Source = Literal["learnt", "posted", "queued", "forgotten"]
"""Where a resembling text stands: the training set, the account, the outbox, or the opt-outs."""

Layer = Literal["exact", "near", "copied"]
"""How a text resembles another: equal after folding, a few edits away, or sharing a long run."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A bio that might be posted.

    Only `text` is always there; the rest is None for a text that no model of ours made (`biobot check`).
    `bits` is -log2 p of the text and its stop under the model at T = 1; `entropy` is the mean entropy, in
    bits, of the distributions that its bytes were drawn from; `model` is the id of the model.
    """

    text: str
    temperature: float | None = None
    seed: int | None = None
    bits: float | None = None
    entropy: float | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Objection:
    """One filter's reason to drop a candidate."""

    filter: str
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """A candidate, every filter's objection to it, and the seconds that each filter took."""

    candidate: Candidate
    objections: tuple[Objection, ...] = ()
    seconds: tuple[tuple[str, float], ...] = ()

    @property
    def accepted(self) -> bool:
        """Return whether no filter objected."""
        return not self.objections


@dataclass(frozen=True, slots=True)
class Match:
    """A resemblance to something seen.

    `amount` is 1.0 for `exact`, the estimated share of equal 3-grams (0 to 1) for `near`, and the length
    in characters of the longest copied run for `copied`.
    """

    source: Source
    layer: Layer
    amount: float


class Seen(Protocol):
    """What was learnt, posted or queued before: asked by filters, never shown to them."""

    def matches(self, text: str) -> tuple[Match, ...]:
        """Return every resemblance of `text`, the strongest of each source and layer, without thresholds."""
        ...
