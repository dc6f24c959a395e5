"""The nouns of the pipeline: a candidate, the filters' verdict on it, and the texts that it is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

Source = Literal["learnt", "posted", "queued", "forgotten"]
"""Where a resembling text is: in the training set, on the account, in the outbox, or among the opt-outs."""

Layer = Literal["exact", "near", "copied"]
"""How a text resembles another: equal after folding, a few edits away, or sharing a long run."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A bio that might be posted.

    Only `text` is always there; the rest is None, or empty, for a text that was not sampled (`biobot check`).
    `bits` is -log2 p of the drawn bytes and the stop (of the kept bytes alone when `cut`) under the model at T = 1,
    unmasked. `entropy` is the mean entropy, in bits, of all distributions that were drawn from, the stop's among
    them. `model` is the model's id, `numerics` the arithmetic that the text depends on: type, processor, torch.

    `probabilities` and `entropies` (bits) belong to the distribution that each UTF-8 byte of `text` was drawn from;
    a byte of the prefix was given, so its probability is 1 and its entropy 0. `masked` is the mean probability
    that masking removed before each draw. `cut`: the length limit came before the stop.
    """

    text: str
    temperature: float | None = None
    seed: int | None = None
    bits: float | None = None
    entropy: float | None = None
    model: str | None = None
    numerics: str | None = None
    probabilities: tuple[float, ...] = ()
    entropies: tuple[float, ...] = ()
    masked: float | None = None
    cut: bool = False

    @property
    def bits_per_byte(self) -> float | None:
        """Return the bits over the UTF-8 bytes of the text and one for the stop, as `biobot eval` counts."""
        return None if self.bits is None else self.bits / (len(self.text.encode()) + 1)


@dataclass(frozen=True, slots=True)
class Objection:
    """One filter's reason to refuse a candidate; `failed`: it could not judge at all, and that is the reason."""

    filter: str
    reason: str
    failed: bool = False

    def __str__(self) -> str:
        """Format it for people."""
        return f"{self.filter}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A candidate, every filter's objection to it, and the seconds that each filter took.

    `misfits` says which of several networks would not take an accepted text, and why: it is skipped there.
    `score` is the taste's score plus the plugins': None for a refused text, and where nothing scores.
    """

    candidate: Candidate
    objections: tuple[Objection, ...] = ()
    seconds: tuple[tuple[str, float], ...] = ()
    score: float | None = None
    misfits: tuple[Objection, ...] = ()

    @property
    def accepted(self) -> bool:
        """Return whether no filter objected."""
        return not self.objections


@dataclass(frozen=True, slots=True)
class DraftRequest:
    """A request for one accepted candidate out of at most `tries`: those of the seeds from `seed` on."""

    id: str
    temperature: float
    seed: int
    tries: int


@dataclass(frozen=True, slots=True)
class DraftResult:
    """What came of a request: the verdict on the chosen candidate, or None where all of them were refused.

    `tries` is how many candidates were drawn, `refused` how many of them each filter refused; one may fall to several.
    The verdict is the best of `accepted` ones; the first candidate had the seed `seed`.
    """

    request: str
    verdict: Verdict | None
    tries: int
    refused: Mapping[str, int]
    accepted: int = 0
    seed: int | None = None

    @property
    def reason(self) -> str:
        """Return why there is no draft."""
        filters = sorted(self.refused.items(), key=lambda each: -each[1])
        return f"all {self.tries} drafts were refused: {', '.join(f'{name} {count}' for name, count in filters)}"


@dataclass(frozen=True, slots=True)
class Match:
    """A resemblance to a known text.

    `amount` is 1.0 for `exact`, the estimated share of equal 3-grams (0 to 1) for `near`, and the length
    in characters of the longest copied run for `copied`.
    """

    source: Source
    layer: Layer
    amount: float


class KnownTexts(Protocol):
    """The training set and what was posted, queued or opted out: filters may ask about them, never read them."""

    def matches(self, text: str) -> tuple[Match, ...]:
        """Return every resemblance of `text`, the strongest of each source and layer, without thresholds."""
        ...


Seen = KnownTexts
"""The name that plugins written for biobot 0.1 import."""
