"""What a temperature does to a model's bios: how many pass, how new they are, how much they vary, what they cost."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from biobot.bio import Candidate, Seen, Verdict
from biobot.sample.controls import Request
from biobot.sample.engine import Engine
from biobot.text.weight import weighted_length

TEMPERATURES = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)
"""What is swept unless somebody asks for others."""

GOOD_ENOUGH = 0.9
"""A temperature is recommended whose worth reaches this share of the best one's."""


@dataclass(frozen=True, slots=True)
class Row:
    """The bios of one temperature.

    `accepted` is the share that every filter lets pass, `objections` the share that each filter refuses.
    `novelty` is one minus the mean share of 3-grams that a bio has in common with the training bio most like
    it; `distinct` the share of pairs of neighbouring words that occur once only. `length` is the mean
    X-weighted length, `masked` the mean probability that masking took. `tries` and `seconds` are what one
    accepted bio costs (None: none was accepted).
    """

    temperature: float
    bios: int
    accepted: float
    objections: dict[str, float]
    novelty: float
    distinct: float
    length: float
    bits_per_byte: float
    masked: float
    tries: float | None
    seconds: float | None

    @property
    def worth(self) -> float:
        """Rate the temperature: the share accepted times how new and how varied the bios are."""
        return self.accepted * self.novelty * self.distinct

    def as_dict(self) -> dict[str, Any]:
        """Give the object that `biobot tune --json` prints."""
        return asdict(self)


def row(engine: Engine, temperature: float, bios: int, seen: Seen, judge: Callable[[Candidate], Verdict]) -> Row:
    """Draw the bios of the seeds from 0 on at a temperature, judge and measure them."""
    start = time.perf_counter()
    samples = list(engine.draw(Request(seed, temperature) for seed in range(bios)))
    verdicts = [judge(Candidate(each.text, temperature, each.seed, each.bits, each.entropy)) for each in samples]
    seconds = time.perf_counter() - start
    accepted = sum(each.accepted for each in verdicts)
    objections = Counter(name for each in verdicts for name in {one.filter for one in each.objections})
    pairs = Counter(pair for each in samples for pair in _pairs(each.text))
    return Row(
        temperature=temperature,
        bios=bios,
        accepted=accepted / bios,
        objections={name: count / bios for name, count in objections.most_common()},
        novelty=1 - sum(_likeness(seen, each.text) for each in samples) / bios,
        distinct=len(pairs) / max(pairs.total(), 1),
        length=sum(weighted_length(each.text) for each in samples) / bios,
        bits_per_byte=sum(each.bits for each in samples) / sum(len(each.probabilities) + 1 for each in samples),
        masked=sum(each.lost for each in samples) / bios,
        tries=bios / accepted if accepted else None,
        seconds=seconds / accepted if accepted else None,
    )


def recommend(rows: Sequence[Row]) -> list[float]:
    """Choose up to three temperatures, ascending, that are worth nearly as much as the best; none if nothing passes."""
    best = sorted((each for each in rows if each.worth > 0), key=lambda each: -each.worth)
    return sorted(each.temperature for each in best[:3] if each.worth >= GOOD_ENOUGH * best[0].worth)


def lines(rows: Sequence[Row]) -> list[str]:
    """Write the rows as a table for a terminal, with a bar for the share accepted."""
    table = [f"{'T':>5} {'accepted':>9} {'':20} {'novel':>6} {'distinct':>9} {'length':>7} {'tries':>6}  fell by"]
    for each in rows:
        bar = "█" * round(20 * each.accepted)
        fell = ", ".join(f"{name} {share:.0%}" for name, share in list(each.objections.items())[:3])
        tries = f"{each.tries:.1f}" if each.tries else "-"
        table.append(
            f"{each.temperature:>5g} {each.accepted:>9.1%} {bar:20} {each.novelty:>6.2f} {each.distinct:>9.2f} "
            f"{each.length:>7.0f} {tries:>6}  {fell}"
        )
    return table


def _likeness(seen: Seen, text: str) -> float:
    found = (match for match in seen.matches(text) if match.source == "learnt" and match.layer != "copied")
    return max((1.0 if match.layer == "exact" else match.amount for match in found), default=0.0)


def _pairs(text: str) -> list[tuple[str, str]]:
    words = text.lower().split()
    return list(itertools.pairwise(words))
