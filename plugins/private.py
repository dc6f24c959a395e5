"""Refuses e-mail addresses and phone numbers."""

from __future__ import annotations

import re

from biobot import Candidate, hookimpl


@hookimpl
def biobot_filter(candidate: Candidate) -> str | None:
    """Refuse a text that holds private data."""
    if re.search(r"\S@\S+\.\w", candidate.text):
        return "holds an e-mail address"
    if re.search(r"\+?\d[\d ()./-]{6,}\d", candidate.text):
        return "holds a phone number"
    return None
