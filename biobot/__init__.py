"""A Twitter bot whose jokes come from a byte-LSTM trained on real bios."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from biobot.bio import Candidate, Match, Seen
    from biobot.filters.hookspecs import hookimpl
    from biobot.text.fold import fold
    from biobot.text.language import language, scripts
    from biobot.text.links import Span, links
    from biobot.text.weight import weighted_length

__version__ = "0.1.0"
__all__ = ["Candidate", "Match", "Seen", "Span", "fold", "hookimpl", "language", "links", "scripts", "weighted_length"]

_HOMES = {
    "Candidate": "biobot.bio",
    "Match": "biobot.bio",
    "Seen": "biobot.bio",
    "Span": "biobot.text.links",
    "fold": "biobot.text.fold",
    "hookimpl": "biobot.filters.hookspecs",
    "language": "biobot.text.language",
    "links": "biobot.text.links",
    "scripts": "biobot.text.language",
    "weighted_length": "biobot.text.weight",
}


def __getattr__(name: str) -> Any:
    """Fetch a name that plugins use from its home on first use, so that importing biobot stays cheap."""
    if name not in _HOMES:
        raise AttributeError(f"module 'biobot' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
