"""Refuses scripts and languages other than yours; by default it allows all."""

from __future__ import annotations

from dataclasses import dataclass

from biobot import Candidate, hookimpl, language, scripts

SHARE = 0.1
"""The share of letters that may be in other scripts: a name, a word, an ornament."""


@dataclass(frozen=True)
class Language:
    """`[filters.language]`: the allowed scripts and languages; none named: all.

    scripts: "latin", "han", "hiragana", "katakana", "hangul", "arabic", "cyrillic", "thai" …;
    languages: codes such as "en";
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
    """Refuse a text in a script or a language that is not allowed."""
    if settings.scripts:
        found = scripts(candidate.text)
        others = {name: count for name, count in found.items() if name not in settings.scripts}
        if sum(others.values()) > SHARE * sum(found.values()):
            return f"is written in {max(others, key=lambda name: others[name])}"
    if settings.languages:
        guess = language(candidate.text)
        if guess is None and settings.strict:
            return "language not recognised"
        if guess is not None and guess not in settings.languages:
            return f"seems to be in another language ({guess})"
    return None
