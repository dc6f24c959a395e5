"""Refuses other scripts and languages than yours; by default it allows all of them."""

from __future__ import annotations

from dataclasses import dataclass

from biobot import Candidate, hookimpl, language, scripts

SHARE = 0.1
"""So much of the letters may be of other scripts: a name, a word, a flourish."""


@dataclass(frozen=True)
class Language:
    """`[filters.language]`: what may be written.

    scripts: "latin", "han", "hiragana", "katakana", "hangul", "arabic", "cyrillic", "thai" …; none: all;
    languages: codes such as "en"; none: all; a text too short to tell its language passes unless `strict`.
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
    """Refuse a text in a script or a language that was not asked for."""
    if settings.scripts:
        found = scripts(candidate.text)
        others = {name: count for name, count in found.items() if name not in settings.scripts}
        if sum(others.values()) > SHARE * sum(found.values()):
            return f"is written in {max(others, key=lambda name: others[name])}"
    if settings.languages:
        guess = language(candidate.text)
        if guess is None and settings.strict:
            return "is in no language that can be told"
        if guess is not None and guess not in settings.languages:
            return f"seems to be in another language ({guess})"
    return None
