"""Refuses what looks like private data: e-mail addresses, phone numbers, street addresses."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from biobot import Candidate, has_email, has_phone, hookimpl

HIDDEN = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064]")
"""Invisible characters, which can split an address."""
AT = re.compile(r"(?i)\s?(?:\(at\)|\[at\]|\sat\s|@)\s?")
DOT = re.compile(r"(?i)\s?(?:\(dot\)|\[dot\]|\sdot\s)\s?")
"""Ways to disguise the @ and the dots of an e-mail address."""
DATES = re.compile(
    r"(?<!\S)\d\.\d+(?!\S)|(?:1[89]|20)\d\d(?:\s?[-–/.,]\s?(?:1[89]|20)\d\d)+|\d{1,2}[./-]\d{1,2}[./-](?:\d{4}|\d{2})"
)
"""Digits that are not a phone number: a decimal number, years, a date."""
NUMBER = re.compile(
    r"(?i)\b(?:whats\s?app|wa|telegram|tel|phone|call|sms|line|kik|snap(?:chat)?|pin|bb)\b\W{0,3}\+?\d{5,}|\b\d{16}\b"
)
"""A number after the name of a messenger, or of a payment card."""
STREET = re.compile(
    r"(?i)\b\d{1,5}[a-z]?,?\s(?:[^\W\d]+\s){1,3}(?:street|st|avenue|ave|road|rd|boulevard|blvd|lane|ln|drive|dr|"
    r"court|ct|place|pl|square|sq|terrace|way)\b\.?|\b[^\W\d]+(?:stra(?:ß|ss)e|straat|gasse|weg)\s\d{1,4}\b|"
    r"\b(?:rue|calle|via|avenida|rua)\s(?:[^\W\d]+\s){1,3}\d{1,5}\b"
)
SEPARATORS = str.maketrans("–·\n\t", "-   ")
"""Separators of digits, mapped to those that `has_phone` knows."""


@dataclass(frozen=True)
class Private:
    """`[filters.private]`: allowed addresses and numbers, exactly as they are written."""

    allow: tuple[str, ...] = ()


@hookimpl
def biobot_settings() -> type[Private]:
    """Return the keys of `[filters.private]`."""
    return Private


@hookimpl
def biobot_filter(candidate: Candidate, settings: Private) -> str | None:
    """Refuse a text that may contain somebody's address or number; the reason does not repeat it."""
    text = HIDDEN.sub("", unicodedata.normalize("NFKC", candidate.text))
    for allowed in settings.allow:
        text = text.replace(allowed, " ")
    if has_email(DOT.sub(".", AT.sub("@", text))):
        return "contains an e-mail address"
    if NUMBER.search(text) or has_phone(DATES.sub(" ; ", text).translate(SEPARATORS), least=7):
        return "contains a phone number"
    return "contains a street address" if STREET.search(text) else None
