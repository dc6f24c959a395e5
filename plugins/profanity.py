"""Refuses profanity."""

from __future__ import annotations

import re

from biobot import Candidate, hookimpl

WORDS = re.compile(r"(?i)\b(fuck\w*|shit\w*|cunt\w*|nigg\w+|fag(got)?s?|bitch\w*)\b")


@hookimpl
def biobot_filter(candidate: Candidate) -> str | None:
    """Refuse a text that holds a listed word."""
    return "holds a listed word" if WORDS.search(candidate.text) else None
