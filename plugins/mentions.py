"""Refuses invented @handles."""

from __future__ import annotations

import re

from biobot import Candidate, hookimpl


@hookimpl
def biobot_filter(candidate: Candidate) -> str | None:
    """Refuse a text that mentions somebody."""
    found = re.search(r"[@＠]\w+", candidate.text)
    return f"mentions {found[0]}" if found else None
