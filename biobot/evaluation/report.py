"""What a model's bios are like: how often it copies, how far, how often it repeats itself, what passes the filters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from biobot.candidate import Candidate
from biobot.dedupe.index import Index
from biobot.sampling.controls import Request
from biobot.sampling.sampler import Engine

COPIED = 40
"""Characters: a run of so many that at most two bios hold is a copy."""

LONG_ENOUGH = 40
"""Bytes: shorter bios, such as "he/him", are said by many and belong to nobody."""


@dataclass(frozen=True, slots=True)
class Row:
    """The bios of one temperature: shares from 0 to 1, and the longest copied run in characters."""

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
    """Return the share of copies among the texts of 40 bytes and more, and the longest copied run.

    A copy equals a training bio after folding, or holds a run of 40 characters that at most two of them hold.
    """
    copies = counted = longest = 0
    for text in texts:
        if len(text.encode()) < LONG_ENOUGH:
            continue
        counted += 1
        known, run = seen.verbatim(text)
        longest = max(longest, len(text) if known else run)
        copies += known or run >= COPIED
    return (copies / counted if counted else 0.0), longest


def row(
    engine: Engine, temperature: float, bios: int, seen: Index, accepts: Callable[[Candidate], bool], examples: int = 5
) -> Row:
    """Draw `bios` bios at a temperature, always those of the seeds from 0, and measure them."""
    samples = list(engine.draw(Request(seed, temperature) for seed in range(bios)))
    texts = [sample.text for sample in samples]
    copies, longest = verbatim(texts, seen)
    accepted = [accepts(Candidate(each.text, temperature, each.seed, each.bits, each.entropy)) for each in samples]
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
