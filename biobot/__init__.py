"""A Twitter bot whose jokes come from a byte-LSTM trained on real bios."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# numpy's own threads wait by spinning: beside one busy process, learning a taste took 14 s with two and 1.7 s with one
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

if TYPE_CHECKING:
    from biobot.candidate import Candidate, KnownTexts, Match, Seen
    from biobot.filters.hookspecs import hookimpl
    from biobot.networks.errors import Kind, Refused, Unknown, Unsent
    from biobot.networks.network import FOR_EVER, Account, Engagement, Network, Opening, Timeline, Tweet
    from biobot.networks.session import Session
    from biobot.text.contacts import has_email, has_phone
    from biobot.text.language import foreign, is_likely, language, letters, scripts
    from biobot.text.length import weighted_length
    from biobot.text.links import Span, links
    from biobot.text.normalize import caseless, fold

__version__ = "1.0.0"
__all__ = ["Candidate", "KnownTexts", "Match", "Seen", "Span", "caseless", "fold", "has_email", "has_phone", "hookimpl"]
__all__ += ["foreign", "is_likely", "language", "letters", "links", "scripts", "weighted_length"]
__all__ += [
    "FOR_EVER",
    "Account",
    "Engagement",
    "Kind",
    "Network",
    "Opening",
    "Refused",
    "Session",
    "Timeline",
    "Tweet",
    "Unknown",
    "Unsent",
]

_HOMES = {
    "biobot.candidate": ("Candidate", "KnownTexts", "Match", "Seen"),
    "biobot.filters.hookspecs": ("hookimpl",),
    "biobot.networks.errors": ("Kind", "Refused", "Unknown", "Unsent"),
    "biobot.networks.session": ("Session",),
    "biobot.networks.network": ("FOR_EVER", "Account", "Engagement", "Network", "Opening", "Timeline", "Tweet"),
    "biobot.text.contacts": ("has_email", "has_phone"),
    "biobot.text.language": ("foreign", "is_likely", "language", "letters", "scripts"),
    "biobot.text.length": ("weighted_length",),
    "biobot.text.links": ("Span", "links"),
    "biobot.text.normalize": ("caseless", "fold"),
}


def __getattr__(name: str) -> Any:
    """Fetch a name that plugins use from its home on first use, so that importing biobot stays cheap."""
    from importlib import import_module

    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'biobot' has no attribute {name!r}")
