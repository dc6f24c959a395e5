"""Numbers and times for people, written the same everywhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 bio", "2,000 bios"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def when(moment: datetime) -> str:
    """Return a time: "2026-11-22 18:00:05 UTC"."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def lasting(time: timedelta) -> str:
    """Return a length of time: "45 s", "12 min", "3 h 20 min"."""
    seconds = round(time.total_seconds())
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h {seconds % 3600 // 60} min"
