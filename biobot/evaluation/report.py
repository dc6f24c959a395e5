"""A model's report: how often its bios are copies or repeat each other, and how many pass the filters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from biobot.candidate import Candidate
from biobot.dedupe.index import Index
from biobot.sampling.controls import Request
from biobot.sampling.sampler import Sampler

COPIED_RUN = 40
"""Characters of the shortest run that makes a bio a copy, if at most two training bios contain it."""

MIN_BYTES = 40
"""Shorter bios, such as "he/him", are written by many and are nobody's."""


@dataclass(frozen=True, slots=True)
class Row:
    """The bios of one temperature: shares from 0 to 1; `longest_copy` is the longest copied run, in characters."""

    temperature: float
    bios: int
    verbatim: float
    longest_copy: int
    repeated: float
    accepted: float
    examples: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the figures and examples for a model card."""
        return asdict(self)


def verbatim(texts: Iterable[str], seen: Index) -> tuple[float, int]:
    """Return the share of copies among the texts of at least 40 bytes, and the longest copied run in characters.

    A copy equals a training bio after folding, or contains a run of 40 characters that at most two of them contain.
    """
    copies = counted = longest = 0
    for text in texts:
        if len(text.encode()) < MIN_BYTES:
            continue
        counted += 1
        known, run = seen.verbatim(text)
        longest = max(longest, len(text) if known else run)
        copies += known or run >= COPIED_RUN
    return (copies / counted if counted else 0.0), longest


def row(
    engine: Sampler, temperature: float, bios: int, seen: Index, accepts: Callable[[Candidate], bool], examples: int = 5
) -> Row:
    """Return the report on the bios that the seeds 0 to `bios` - 1 give at a temperature."""
    samples = list(engine.draw(Request(seed, temperature) for seed in range(bios)))
    texts = [sample.text for sample in samples]
    copies, longest = verbatim(texts, seen)
    accepted = [accepts(each) for each in samples]
    passed = [text for text, good in zip(texts, accepted, strict=True) if good]
    return Row(
        temperature,
        bios,
        copies,
        longest,
        1 - len(set(texts)) / bios,
        sum(accepted) / bios,
        tuple(passed[:examples]),
    )


def table(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a report, as model cards have it, as lines for a terminal."""
    lines = [f"{'T':>5} {'bios':>6} {'copies':>8} {'longest':>8} {'repeated':>9} {'pass filters':>13}"]
    lines += [
        f"{each['temperature']:>5g} {each['bios']:>6} {each['verbatim']:>8.1%} {each['longest_copy']:>8}"
        f" {each['repeated']:>9.1%} {each['accepted']:>13.1%}"
        for each in rows
    ]
    return lines if len(lines) > 1 else []
