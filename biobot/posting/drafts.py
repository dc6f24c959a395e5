"""Drafts: what is asked of a worker for a slot, and what of its answer becomes a row of the outbox."""

from __future__ import annotations

import json
from bisect import bisect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate

from biobot.candidate import DraftRequest, DraftResult, Verdict
from biobot.config import Config
from biobot.errors import OutboxError, SampleError
from biobot.posting import schedule
from biobot.posting.post import Draft
from biobot.sampling.controls import Controls

Draw = Callable[[Sequence[DraftRequest]], Iterable[DraftResult]]
"""What samples and judges, as `biobot.worker.client.Worker.draw` does: a result for each request, as it comes."""


def request(config: Config, name: str, slot: datetime | None, *salt: object) -> DraftRequest:
    """Return the request for one draft: temperature and seed are a hash of the home and the slot.

    A run that is repeated after a crash asks for the same draft. `salt` tells the drafts of one slot apart.
    """
    weights = config.settings.sample.temperatures
    where = (str(config.home.resolve()), slot or name, *salt)
    totals = list(accumulate(weights.values()))
    drawn = bisect(totals, schedule.hash_to_unit(*where, "temperature") * totals[-1])
    return DraftRequest(
        name,
        temperature=list(weights)[min(drawn, len(totals) - 1)],
        seed=int(schedule.hash_to_unit(*where, "seed") * 2**48),
        tries=config.settings.sample.max_tries,
    )


def to_draft(
    verdict: Verdict, slot: datetime | None, controls: Controls | None = None, drawn: DraftResult | None = None
) -> Draft:
    """Return an accepted candidate as a text that may become a row.

    `controls` are those it was drawn with, `drawn` is what it was chosen from.
    """
    candidate = verdict.candidate
    figures = (candidate.bits, candidate.bits_per_byte, candidate.entropy, verdict.score)
    choice = (drawn.accepted, drawn.seed, drawn.tries) if drawn else ()
    record = SamplingRecord(controls or Controls(), candidate.numerics, *figures, *choice)
    return Draft(candidate.text, slot, candidate.temperature, candidate.seed, candidate.model, record.write())


@dataclass(frozen=True, slots=True)
class SamplingRecord:
    """How a row's text was drawn, in addition to model, seed and temperature.

    `controls` and `numerics` (None: not recorded) decide, with those, what the text is. `bits`, `bits_per_byte` and
    `entropy` are the candidate's; its `score` was the best of `best_of` accepted ones, but for variety. They
    were accepted out of `tries`, the first with the seed `first_seed`.
    """

    controls: Controls = field(default_factory=Controls)
    numerics: str | None = None
    bits: float | None = None
    bits_per_byte: float | None = None
    entropy: float | None = None
    score: float | None = None
    best_of: int | None = None
    first_seed: int | None = None
    tries: int | None = None

    def write(self) -> str:
        """Return the record as the JSON of the column `controls`."""
        controls = self.controls
        facts = {
            "top_p": controls.top_p,
            "min_p": controls.min_p,
            "prefix": controls.prefix.decode(errors="surrogateescape"),
            "max_bytes": controls.max_bytes,
            "kind": self.numerics,
            "bits": self.bits,
            "bits_per_byte": self.bits_per_byte,
            "entropy": self.entropy,
            "score": self.score,
            "best_of": self.best_of,
            "first_seed": self.first_seed,
            "tries": self.tries,
        }
        return json.dumps({name: value for name, value in facts.items() if value is not None})

    @classmethod
    def read(cls, text: str) -> SamplingRecord:
        """Read the column `controls`; older rows hold only some of the keys. Raises OutboxError for nonsense."""
        try:
            facts = json.loads(text)
            given = {name: facts[name] for name in ("top_p", "min_p", "max_bytes") if name in facts}
            controls = Controls(prefix=facts.get("prefix", "").encode(errors="surrogateescape"), **given)
            figures = ("bits", "bits_per_byte", "entropy", "score", "best_of", "first_seed", "tries")
            return cls(controls, facts.get("kind"), *(facts.get(name) for name in figures))
        except (ValueError, TypeError, AttributeError, SampleError) as error:
            raise OutboxError(f"the row does not say how its text was drawn: {error}") from None
