"""A temperature sweep: how many bios pass the filters, how original and varied they are, and what one costs."""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from biobot.candidate import Candidate, KnownTexts, Verdict
from biobot.evaluation import words
from biobot.sampling.controls import Request
from biobot.sampling.sampler import Sampler
from biobot.text.length import weighted_length

RECOMMENDED_SHARE = 0.9
"""A temperature is recommended if its worth is at least this share of the best one's."""


@dataclass(frozen=True, slots=True)
class Row:
    """The bios of one temperature.

    `accepted` is the share that passes every filter, `objections` the share that each filter refuses (several may
    refuse the same bio). `novelty` is one minus the mean share of 3-grams that a bio has in common with the
    training bio most like it; `distinct` the number of different pairs of neighbouring words over that of all
    pairs (distinct-2, Li et al. 2016); `real_words` the share of real words (None: there were no words). `length` is
    the mean weighted length, `masked` the mean probability mass that masking removed. `tries` and `seconds` are the
    cost of one accepted bio (None: none was accepted). `best_score` is the mean score of the best of as many accepted
    ones as a draft is chosen from (None: nothing scores).
    """

    temperature: float
    bios: int
    accepted: float
    objections: dict[str, float]
    novelty: float
    distinct: float
    real_words: float | None
    length: float
    bits_per_byte: float
    masked: float
    tries: float | None
    seconds: float | None
    best_score: float | None = None

    @property
    def worth(self) -> float:
        """Return the best score, or where nothing scores the product of the shares that matter."""
        if self.best_score is not None:
            return self.best_score if self.accepted else 0.0
        real = 1.0 if self.real_words is None else self.real_words
        return self.accepted * self.novelty * self.distinct * real

    def as_dict(self) -> dict[str, Any]:
        """Return the object that `biobot tune --json` prints."""
        return asdict(self)


def row(
    engine: Sampler,
    temperature: float,
    bios: int,
    seen: KnownTexts,
    judge: Callable[[Candidate], Verdict],
    tick: Callable[[float], object],
    best_of: int = 1,
    max_tries: int = 1,
) -> Row:
    """Return the figures of the bios that the seeds 0 to `bios` - 1 give; `tick(temperature)` is called for each.

    A draft is the best of `best_of` accepted bios, or of those among `max_tries`.
    """
    start = time.perf_counter()
    samples, verdicts = [], []
    for each in engine.draw(Request(seed, temperature) for seed in range(bios)):
        samples.append(each)
        verdicts.append(judge(each))
        tick(temperature)
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
        real_words=words.share(each.text for each in samples),
        length=sum(weighted_length(each.text) for each in samples) / bios,
        bits_per_byte=sum(each.bits or 0.0 for each in samples) / sum(len(each.probabilities) + 1 for each in samples),
        masked=sum(each.masked or 0.0 for each in samples) / bios,
        tries=bios / accepted if accepted else None,
        seconds=seconds / accepted if accepted else None,
        best_score=expected_best(
            [each.score for each in verdicts if each.score is not None],
            min(best_of, round(accepted / bios * max_tries)),
        ),
    )


def expected_best(scores: Sequence[float], among: int) -> float | None:
    """Return the mean of the greatest of `among` scores, over all ways to draw them; None if there are no scores."""
    among = min(max(among, 1), len(scores))
    ways = math.comb(len(scores), among)
    terms = (score * math.comb(rank, among - 1) / ways for rank, score in enumerate(sorted(scores)))
    return sum(terms) if scores else None


def recommend(rows: Sequence[Row]) -> list[float]:
    """Return up to three temperatures, ascending, whose worth is close to the best; none if nothing was accepted."""
    best = sorted((each for each in rows if each.worth > 0), key=lambda each: -each.worth)
    return sorted(each.temperature for each in best[:3] if each.worth >= RECOMMENDED_SHARE * best[0].worth)


def refusers(rows: Sequence[Row]) -> list[str]:
    """Return the names of the filters that refused anything, the strictest first."""
    names = sorted({name for each in rows for name in each.objections})
    return sorted(names, key=lambda name: -sum(each.objections.get(name, 0) for each in rows))


def lines(rows: Sequence[Row]) -> list[str]:
    """Return two tables for a terminal: the figures, with the recommended temperatures marked, and the refusals."""
    chosen = recommend(rows)
    table = ["     T  accepted            novelty  distinct  real words  length  tries  seconds  best score"]
    table += [
        f"{'▸' if each.temperature in chosen else ' '} {each.temperature:>4g}  {each.accepted:>8.1%} "
        f"{'█' * round(10 * each.accepted):10} {each.novelty:>7.0%} {each.distinct:>9.0%} "
        f"{_figure(each.real_words, '.0%'):>11} {each.length:>7.0f} {_figure(each.tries, '.1f'):>6} "
        f"{_figure(each.seconds, '.2f'):>8} {_figure(each.best_score, '.2f'):>11}"
        for each in rows
    ]
    if names := refusers(rows):
        table += ["", "refused by" + "".join(f"  {name:>6}" for name in names)]
        for each in rows:
            shares = (f"  {each.objections.get(name, 0):>{max(len(name), 6)}.1%}" for name in names)
            table.append(f"{each.temperature:>10g}" + "".join(shares))
    return table


def _figure(number: float | None, form: str) -> str:
    return "-" if number is None else format(number, form)


def _likeness(seen: KnownTexts, text: str) -> float:
    found = (match for match in seen.matches(text) if match.source == "learnt" and match.layer != "copied")
    return max((1.0 if match.layer == "exact" else match.amount for match in found), default=0.0)


def _pairs(text: str) -> list[tuple[str, str]]:
    words = text.lower().split()
    return list(itertools.pairwise(words))
