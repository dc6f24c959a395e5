"""Refuses what looks like private data: e-mail addresses, phone numbers, street addresses."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from biobot import Candidate, hookimpl

EMAIL = re.compile(
    r"(?i)[^\s@＠]+\s?[@＠]\s?[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}\b|"
    r"\S+\s?(?:\(at\)|\[at\]|\sat\s|[@＠])\s?[\w-]+\s?(?:\(dot\)|\[dot\]|\sdot\s|\.(?=\S))\s?[a-z]{2,}\b"
)
NUMBER = re.compile(r"(?<![\w.,/])\+?\(?\d(?:[\s().\-/–·]{0,2}\d){6,15}(?!\w)")
YEARS = re.compile(
    r"(?<!\S)\d\.\d+(?!\S)|(?:1[89]|20)\d\d(?:\s?[-–/.,]\s?(?:1[89]|20)\d\d)+|\d{1,2}[./-]\d{1,2}[./-](?:\d{4}|\d{2})"
)
STREET = re.compile(
    r"(?i)\b\d{1,5}[a-z]?,?\s(?:[^\W\d]+\s){1,3}(?:street|st|avenue|ave|road|rd|boulevard|blvd|lane|ln|drive|dr|"
    r"court|ct|place|pl|square|sq|terrace|way)\b\.?|\b[^\W\d]+(?:stra(?:ß|ss)e|straat|gasse|weg)\s\d{1,4}\b|"
    r"\b(?:rue|calle|via|avenida|rua)\s(?:[^\W\d]+\s){1,3}\d{1,5}\b"
)
CHAT = re.compile(
    r"(?i)\b(?:whats\s?app|wa|telegram|tel|phone|call|sms|line|kik|snap(?:chat)?|pin|bb)\b\W{0,3}\+?\d{5,}"
)


@dataclass(frozen=True)
class Private:
    """`[filters.private]`: addresses and numbers that may be named, as they are written."""

    allow: tuple[str, ...] = ()


@hookimpl
def biobot_settings() -> type[Private]:
    """Return the keys of `[filters.private]`."""
    return Private


@hookimpl
def biobot_filter(candidate: Candidate, settings: Private) -> str | None:
    """Refuse a text that holds what may be somebody's address or number; the objection does not repeat it."""
    text = unicodedata.normalize("NFKC", candidate.text)
    for allowed in settings.allow:
        text = text.replace(allowed, " ")
    if EMAIL.search(text):
        return "holds an e-mail address"
    if NUMBER.search(YEARS.sub(" ; ", text)) or CHAT.search(text):
        return "holds a phone number"
    return "holds a street address" if STREET.search(text) else None
