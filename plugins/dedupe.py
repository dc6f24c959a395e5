"""Refuses what was seen before: copies, near copies, and texts that hold a long piece of one real bio."""

from __future__ import annotations

from dataclasses import dataclass

from biobot import Candidate, KnownTexts, Match, fold, hookimpl

WHERE = {
    "learnt": "a bio that the model learnt from",
    "posted": "an earlier post",
    "queued": "a text in the queue",
    "forgotten": "a bio whose author opted out",
}
TINY, NEAR_TINY = 20, 0.8
"""Below so many characters two people write the same by chance: there only a nearly equal text is near."""
SHORT, LONG, LEEWAY = 40, 70, 0.655
"""Below the first the same few edits leave less of a text, so `near` is times the third; from the second on whole."""


@dataclass(frozen=True)
class Dedupe:
    """`[filters.dedupe]`: how much of a resemblance is too much.

    near: from this share of equal 3-grams on; two thirds of it below 40 characters (3 edits in 20, 6 in 40);
    copied: from a run of so many characters on that at most three real bios hold;
    share: from a shorter run on, half of a short bio, that is so much of the text.
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
    """Refuse what resembles something seen; say in which way and how closely, never what it was."""
    length = len(fold(candidate.text))
    for match in seen.matches(candidate.text):
        if reason := _theft(match, length, settings):
            return f"{reason} {WHERE[match.source]}"
    return None


def _theft(match: Match, length: int, settings: Dedupe) -> str | None:
    if match.layer == "exact":
        return "exact: the same text as"
    if match.layer == "near":
        return f"near: {match.amount:.0%} like" if match.amount >= _near(length, settings.near) else None
    # a bot may use a phrase twice: of its own texts only a large part is a copy
    own = match.source in ("posted", "queued")
    if match.amount >= settings.share * length or (match.amount >= settings.copied and not own):
        return f"copied: {match.amount:.0f} characters in a row from"
    return None


def _near(length: int, near: float) -> float:
    if length < TINY:
        return max(near, NEAR_TINY)
    part = min(max((length - SHORT) / (LONG - SHORT), 0), 1)
    return near * (LEEWAY + (1 - LEEWAY) * part)
