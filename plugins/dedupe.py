"""Refuses what was seen before: copies, near copies, and texts that hold a long piece of one real bio."""

from __future__ import annotations

from dataclasses import dataclass

from biobot import Candidate, Seen, hookimpl

WHERE = {
    "learnt": "a bio that the model learnt from",
    "posted": "an earlier post",
    "queued": "a text in the queue",
    "forgotten": "a bio whose author opted out",
}


@dataclass(frozen=True)
class Dedupe:
    """`[filters.dedupe]`: from when on a resemblance is too close."""

    near: float = 0.5625
    copied: int = 28


@hookimpl
def biobot_settings() -> type[Dedupe]:
    """Give the keys of `[filters.dedupe]`."""
    return Dedupe


@hookimpl
def biobot_filter(candidate: Candidate, settings: Dedupe, seen: Seen) -> str | None:
    """Refuse what resembles something seen; say how closely, and never what it was."""
    for match in seen.matches(candidate.text):
        where = WHERE[match.source]
        if match.layer == "exact":
            return f"exact: the same text as {where}"
        if match.layer == "near" and match.amount >= settings.near:
            return f"near: {match.amount:.0%} like {where}"
        if match.layer == "copied" and match.amount >= settings.copied:
            return f"copied: {match.amount:.0f} characters in a row from {where}"
    return None
