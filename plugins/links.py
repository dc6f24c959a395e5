"""Refuses links."""

from __future__ import annotations

import re

from biobot import Candidate, hookimpl


@hookimpl
def biobot_filter(candidate: Candidate) -> str | None:
    """Refuse a text that holds a link."""
    found = re.search(r"(?i)https?:|www\.|\b[a-z0-9-]+\.[a-z]{2,}\b", candidate.text)
    return f"holds the link {found[0]}" if found else None
