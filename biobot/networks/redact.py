"""Logging that cannot print a key, a token, a secret or an Authorization header, at any level (F39).

tweepy logs the bearer token, oauthlib and requests_oauthlib the signed headers, as soon as someone turns
DEBUG on. Filters on loggers and handlers miss those that are made later; the factory of all records does not.
"""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

CHATTY = ("tweepy", "oauthlib", "requests_oauthlib")
"""Libraries whose DEBUG messages hold requests, headers and signatures whole: these are not shown."""

HIDDEN = "[not shown]"

_HEADER = re.compile(
    r"""(?i)(authorization["']?\s*[:=]\s*)(b?"[^"]*"|b?'[^']*'|[^\r\n]*)|\b(bearer|oauth)\s+[^\s"']{8,}"""
    r"""|\boauth_\w+="?[^\s",&]+"?"""
)
_secrets: set[str] = set()


def guard(secrets: Iterable[str]) -> None:
    """Hide these values, and what resembles an Authorization header, in every log record from now on."""
    for secret in secrets:
        if len(secret) >= 6:  # anything shorter would hide innocent words
            _secrets.update((secret, quote(secret, safe=""), quote(quote(secret, safe=""), safe="")))
    made = logging.getLogRecordFactory()
    if getattr(made, "guards", False):
        return

    def guarded(*args: Any, **extra: Any) -> logging.LogRecord:
        return _clean(made(*args, **extra))

    guarded.guards = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(guarded)


def hide(text: str) -> str:
    """Replace every guarded value, every Authorization header and every part of one in `text`."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _HEADER.sub(lambda found: f"{found[1] or (f'{found[3]} ' if found[3] else '')}{HIDDEN}", text)


def _clean(record: logging.LogRecord) -> logging.LogRecord:
    if record.levelno <= logging.DEBUG and record.name.partition(".")[0] in CHATTY:
        record.msg, record.args = f"{HIDDEN}: what this library says may hold keys", None
        return record
    try:
        text = record.getMessage()
    except Exception:  # noqa: BLE001 - a bad format string is logging's to report, without its arguments
        text = f"{HIDDEN}: a message that cannot be formatted, {record.msg!r}"
    record.msg, record.args = hide(text), None
    if record.exc_info and isinstance(record.exc_info, tuple) and record.exc_info[0] is not None:
        # the formatter prints `exc_text` as it finds it
        record.exc_text = hide("".join(traceback.format_exception(*record.exc_info)).rstrip("\n"))
    return record
