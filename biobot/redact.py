"""No key, token, secret or Authorization header is printed, stored or logged, at any level (F39).

All words go through `hide` where they become words: `biobot.errors` asks it for the texts of exceptions, the program's
output streams (`biobot.text.terminal.Harmless`) for whatever is printed, tracebacks among it, and the factory of all
log records for messages. tweepy logs the bearer token, oauthlib and requests_oauthlib the signed headers, as soon as
someone turns DEBUG on; filters on loggers and handlers miss those that are made later, the factory does not.
"""

from __future__ import annotations

import logging
import re
import traceback
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

CHATTY = ("tweepy", "oauthlib", "requests_oauthlib")
"""Libraries whose DEBUG messages hold requests, headers and signatures whole: these are not shown."""

HIDDEN = "[not shown]"

_HEADER = re.compile(
    r"""(?i)(authorization["']?\s*[:=]\s*)(b?"[^"]*"|b?'[^']*'|[^\r\n]*)|\b(bearer|oauth)\s+[^\s"']{8,}"""
    r"""|\boauth_\w+="?[^\s",&]+"?"""
)
known: set[str] = set()
"""Every form of every value that is hidden."""


def guard(secrets: Iterable[str]) -> None:
    """Hide these values from now on, and in log records also what resembles an Authorization header."""
    for secret in secrets:
        if len(secret) >= 6:  # anything shorter would hide innocent words
            known.update(_forms(secret))
    made = logging.getLogRecordFactory()
    if getattr(made, "guards", False):
        return

    def guarded(*args: Any, **extra: Any) -> logging.LogRecord:
        return _clean(made(*args, **extra))

    guarded.guards = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(guarded)


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret as it is, as it stands in a URL, and what base64 makes of it wherever in a longer text it is."""
    yield from (secret, quote(secret, safe=""), quote(quote(secret, safe=""), safe=""), repr(secret)[1:-1])
    data = secret.encode("utf-8", "surrogateescape")
    if len(data) >= 9:
        for before, mixed in ((0, 0), (1, 2), (2, 3)):  # bytes before it, and the characters that they share with it
            whole = (before + len(data)) * 4 // 3
            yield b64encode(b"-" * before + data).decode()[mixed:whole]


def mask(text: str) -> str:
    """Replace every guarded value in `text`."""
    for secret in sorted(known, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def hide(text: str) -> str:
    """Replace every guarded value, every Authorization header and every part of one in `text`."""
    text = mask(text)
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
