"""Refuses links, bare domains included: the model invents them, and X makes them clickable and charges more."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from biobot import Candidate, hookimpl, links

SCHEME = re.compile(r"(?i)[a-z0-9+.-]://|\bwww\.|\bt\.co\b")
HOST = re.compile(r"(?i)^(?:https?://)?(?:www\.)?([^/:?#]+)")


@dataclass(frozen=True)
class Links:
    """`[filters.links]`: domains that may be linked, such as "example.org" (with its subdomains)."""

    allow: tuple[str, ...] = ()


@hookimpl
def biobot_settings() -> type[Links]:
    """Return the keys of `[filters.links]`."""
    return Links


@hookimpl
def biobot_filter(candidate: Candidate, settings: Links) -> str | None:
    """Refuse a text with what X would turn into a link, or with the beginning of a link."""
    text = unicodedata.normalize("NFC", candidate.text)
    end, rest = 0, ""
    for link in links(text):
        if not _allowed(link.text, settings.allow):
            return "contains a link"
        rest, end = rest + text[end : link.start] + " ", link.end
    return "contains the beginning of a link" if SCHEME.search(rest + text[end:]) else None


def _allowed(link: str, domains: tuple[str, ...]) -> bool:
    host = HOST.match(link)
    name = host[1].lower() if host else ""
    return any(name == domain.lower() or name.endswith("." + domain.lower()) for domain in domains)
