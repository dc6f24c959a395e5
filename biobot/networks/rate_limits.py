"""How long to wait after a 429: read from headers that may be missing, past, or nonsense (F1).

Waits are durations, never points in time: X's clock may differ from ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

MIN_WAIT = timedelta(minutes=1)
"""The least wait: a reset that lies in the past must not become a busy loop."""

DEFAULT_WAIT = timedelta(minutes=15)
"""The wait when no header says anything: one window of X's."""

MAX_WAIT = timedelta(hours=25)
"""The longest wait that a header is believed: a whole day's window, and some."""

WINDOWS = ("x-rate-limit", "x-app-limit-24hour", "x-user-limit-24hour")
"""The windows that X has been seen to count in; each has -limit, -remaining and -reset."""


def wait(headers: Mapping[str, str], windows: Sequence[str] = WINDOWS) -> timedelta:
    """Return how long a 429 with these headers asks for: the later of the exhausted windows, within bounds.

    A window is exhausted when nothing remains of it. When none admits to that, the first counts.
    Names are looked up in lower case.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    now = date(lower)
    exhausted = [window for window in windows if _number(lower.get(f"{window}-remaining")) == 0]
    resets = [_number(lower.get(f"{window}-reset")) for window in exhausted or windows[:1]]
    waits = [reset - now.timestamp() for reset in resets if reset is not None] if now else []
    if not waits:
        after = _number(lower.get("retry-after"))
        return DEFAULT_WAIT if after is None else min(max(timedelta(seconds=after), MIN_WAIT), MAX_WAIT)
    return min(max(timedelta(seconds=min(max(waits), MAX_WAIT.total_seconds())), MIN_WAIT), MAX_WAIT)


def daily(headers: Mapping[str, str]) -> bool:
    """Return whether a window of 24 hours is exhausted."""
    lower = {name.lower(): value for name, value in headers.items()}
    return any(_number(lower.get(f"{window}-remaining")) == 0 for window in WINDOWS[1:])


def date(headers: Mapping[str, str]) -> datetime | None:
    """Read the Date header: the server's own clock; None when it is missing or no date."""
    value = next((value for name, value in headers.items() if name.lower() == "date"), None)
    if value is None:
        return None
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _number(text: str | None) -> int | None:
    """Read a header's whole number; anything else is None."""
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else None
