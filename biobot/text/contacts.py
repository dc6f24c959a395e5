"""E-mail addresses and phone numbers, which are left out of training and kept out of posts."""

from __future__ import annotations

import re
from functools import cache

# patterns that begin with a set of characters are found many times faster than those that look back first
_EMAIL = re.compile(
    r"[\w.+-](?<![\w.+-][\w.+-])[\w.+-]*+(?:@| @ )[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}",
    re.IGNORECASE,
)


def has_email(text: str) -> bool:
    """Return whether `text` holds an e-mail address, its @ with or without spaces around it."""
    return "@" in text and _EMAIL.search(text) is not None


def without_emails(text: str) -> str:
    """Return `text` with a space in place of every e-mail address."""
    return _EMAIL.sub(" ", text)


def has_phone(text: str, least: int = 9) -> bool:
    """Return whether `text` holds a phone number: at least `least` digits, or 7 after a plus sign, and at most 15."""
    return _phone(least).search(text) is not None


@cache
def _phone(least: int) -> re.Pattern[str]:
    digit = r"(?:[ ().\-/]{0,2}\d)"
    after_plus, after_bracket = rf"(?<=\+){digit}{{7,15}}", rf"(?<=\(){digit}{{{least},15}}"
    after_digit = rf"(?<=\d){digit}{{{least - 1},14}}"
    return re.compile(rf"[+(0-9](?<![\w.][+(0-9])(?:{after_plus}|{after_bracket}|{after_digit})(?!\w)")
