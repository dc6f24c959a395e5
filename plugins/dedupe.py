"""Refuses copies and near copies of known texts, and texts that contain a long run of a single real bio."""

from __future__ import annotations

from dataclasses import dataclass

from biobot import Candidate, KnownTexts, Match, fold, hookimpl

WHERE = {
    "learnt": "a training bio",
    "posted": "an earlier post",
    "queued": "a text in the queue",
    "forgotten": "a bio whose author opted out",
}
TINY, NEAR_TINY = 20, 0.8
"""Below TINY characters people write the same by chance, so the `near` threshold is at least NEAR_TINY."""
SHORT, LONG, LEEWAY = 40, 70, 0.655
"""The `near` threshold scales from LEEWAY at SHORT characters to 1 at LONG: a few edits change more of a short text."""


@dataclass(frozen=True)
class Dedupe:
    """`[filters.dedupe]`: how much resemblance is too much.

    near: the share of equal 3-grams; below 40 characters two thirds of it are enough (3 edits in 20, 6 in 40);
    copied: the length of a copied run of characters that at most three real bios contain;
    share: the share of the text that a shorter copied run, half of a short bio, makes up.
    """

    near: float = 0.55
    copied: int = 32
    share: float = 0.47


@hookimpl
def biobot_settings() -> type[Dedupe]:
    """Return the keys of `[filters.dedupe]`."""
    return Dedupe


@hookimpl
def biobot_filter(candidate: Candidate, settings: Dedupe, seen: KnownTexts) -> str | None:
    """Refuse what resembles a known text; say in which way and how closely, but not which text."""
    length = len(fold(candidate.text))
    for match in seen.matches(candidate.text):
        if reason := _resemblance(match, length, settings):
            return f"{reason} {WHERE[match.source]}"
    return None


def _resemblance(match: Match, length: int, settings: Dedupe) -> str | None:
    if match.layer == "exact":
        return "exact: the same text as"
    if match.layer == "near":
        return f"near: {match.amount:.0%} like" if match.amount >= _near(length, settings.near) else None
    # a bot may use a phrase twice: of its own texts, only a large part counts as copied
    own = match.source in ("posted", "queued")
    if match.amount >= settings.share * length or (match.amount >= settings.copied and not own):
        return f"copied: {match.amount:.0f} characters in a row from"
    return None


def _near(length: int, near: float) -> float:
    if length < TINY:
        return max(near, NEAR_TINY)
    part = min(max((length - SHORT) / (LONG - SHORT), 0), 1)
    return near * (LEEWAY + (1 - LEEWAY) * part)
