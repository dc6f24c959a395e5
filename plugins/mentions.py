"""Refuses invented @handles and cashtags, and too many hashtags."""

from __future__ import annotations

import re
from dataclasses import dataclass

from biobot import Candidate, hookimpl

HANDLE = re.compile(r"[@＠](\w+)")
CASHTAG = re.compile(r"(?<!\S)[$＄]([A-Za-z]{1,6}(?:[._][A-Za-z]{1,2})?)(?!\w)")
HASHTAG = re.compile(r"(?<![\w&])[#＃](\w*[^\W\d]\w*)")


@dataclass(frozen=True)
class Mentions:
    """`[filters.mentions]`: allowed handles and cashtags (with or without the sign), and how many hashtags."""

    allow: tuple[str, ...] = ()
    hashtags: int = 3


@hookimpl
def biobot_settings() -> type[Mentions]:
    """Return the keys of `[filters.mentions]`."""
    return Mentions


@hookimpl
def biobot_filter(candidate: Candidate, settings: Mentions) -> str | None:
    """Refuse a text that mentions somebody: the model invented the handle, but it may belong to a real person."""
    allowed = {name.lstrip("@$").lower() for name in settings.allow}
    for kind, pattern in (("somebody", HANDLE), ("a cashtag", CASHTAG)):
        if any(name.lower() not in allowed for name in pattern.findall(candidate.text)):
            return f"mentions {kind}"
    count = len(HASHTAG.findall(candidate.text))
    return f"has {count} hashtags (at most {settings.hashtags})" if count > settings.hashtags else None
