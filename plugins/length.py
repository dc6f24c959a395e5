"""Refuses texts that are too short to be worth posting, or too long for X."""

from __future__ import annotations

from dataclasses import dataclass

from biobot import Candidate, hookimpl, weighted_length


@dataclass(frozen=True)
class Length:
    """`[filters.length]`: bounds of X's weighted length (an emoji or a CJK character counts 2, a link 23)."""

    min: int = 20
    max: int = 280


@hookimpl
def biobot_settings() -> type[Length]:
    """Return the keys of `[filters.length]`."""
    return Length


@hookimpl
def biobot_filter(candidate: Candidate, settings: Length) -> str | None:
    """Refuse a text outside the bounds."""
    weight = weighted_length(candidate.text)
    if weight < settings.min:
        return f"too short ({weight} of at least {settings.min})"
    if weight > settings.max:
        return f"too long ({weight} of at most {settings.max})"
    return None
