"""A Twitter bot whose jokes come from a byte-LSTM trained on real bios."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from biobot.candidate import Candidate, KnownTexts, Match
    from biobot.filters.hookspecs import hookimpl
    from biobot.text.contacts import has_email, has_phone
    from biobot.text.language import language, scripts
    from biobot.text.length import weighted_length
    from biobot.text.links import Span, links
    from biobot.text.normalize import caseless, fold

__version__ = "0.1.0"
__all__ = [
    "Candidate",
    "KnownTexts",
    "Match",
    "Span",
    "caseless",
    "fold",
    "has_email",
    "has_phone",
    "hookimpl",
    "language",
    "links",
    "scripts",
    "weighted_length",
]

_HOMES = {
    "Candidate": "biobot.candidate",
    "Match": "biobot.candidate",
    "KnownTexts": "biobot.candidate",
    "Span": "biobot.text.links",
    "caseless": "biobot.text.normalize",
    "fold": "biobot.text.normalize",
    "has_email": "biobot.text.contacts",
    "has_phone": "biobot.text.contacts",
    "hookimpl": "biobot.filters.hookspecs",
    "language": "biobot.text.language",
    "links": "biobot.text.links",
    "scripts": "biobot.text.language",
    "weighted_length": "biobot.text.length",
}


def __getattr__(name: str) -> Any:
    """Fetch a name that plugins use from its home on first use, so that importing biobot stays cheap."""
    if name not in _HOMES:
        raise AttributeError(f"module 'biobot' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
