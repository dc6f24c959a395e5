"""Refuses scripts and languages other than yours; by default it allows all."""

from __future__ import annotations

from dataclasses import dataclass

from biobot import Candidate, foreign, hookimpl, is_likely, letters

SHARE = 0.1
"""The share of a text that may be in another script or language: a name, a word, an ornament."""


@dataclass(frozen=True)
class Language:
    """`[filters.language]`: the allowed scripts and languages; none named: all.

    scripts: "latin", "han", "hiragana", "katakana", "hangul", "arabic", "cyrillic", "thai" …;
    languages: codes such as "en"; nearly all of a text must be in them;
    strict: also refuse a text whose language is not recognised, as that of a very short one.
    """

    scripts: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    strict: bool = False


@hookimpl
def biobot_settings() -> type[Language]:
    """Return the keys of `[filters.language]`."""
    return Language


@hookimpl
def biobot_filter(candidate: Candidate, settings: Language) -> str | None:
    """Refuse a text that is, by more than a tenth, in a script or a language that is not allowed."""
    if settings.scripts:
        found = letters(candidate.text)
        others = {name: count for name, count in found.items() if name not in settings.scripts}
        if sum(others.values()) > SHARE * sum(found.values()):
            return f"is written in {max(others, key=lambda name: others[name])}"
    if settings.languages:
        shares = foreign(candidate.text, settings.languages)
        if sum(shares.values()) > SHARE:
            return f"is in another language ({max(shares, key=lambda name: shares[name])})"
        if settings.strict and not is_likely(candidate.text, settings.languages):
            return "language not recognised"
    return None
