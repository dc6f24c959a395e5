"""Numbers and times for people, written the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo

_zone: Callable[[], tzinfo] = lambda: UTC  # noqa: E731


def show_times_in(zone: Callable[[], tzinfo]) -> None:
    """Have `when` write times in a zone, which is asked for when the first one is written: once in a process."""
    global _zone
    _zone = zone


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 bio", "2,000 bios"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def one_line(text: str) -> str:
    """Return a text with its line ends shown as ⏎."""
    return " ⏎ ".join(text.splitlines())


def when(moment: datetime) -> str:
    """Return a time in the bot's zone: "2026-11-22 18:00:05 UTC"."""
    return f"{moment.astimezone(_zone()):%Y-%m-%d %H:%M:%S %Z}"


def relative(moment: datetime, now: datetime) -> str:
    """Return how far a time is from now: "in 27 min", "2 h 5 min ago"."""
    away = moment - now
    return f"in {lasting(away)}" if away >= timedelta(0) else f"{lasting(-away)} ago"


def lasting(time: timedelta) -> str:
    """Return a length of time: "45 s", "12 min", "3 h 20 min", "4 d 2 h"."""
    seconds = round(time.total_seconds())
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7200:
        return f"{seconds // 60} min"
    if seconds < 2 * 86400:
        return f"{seconds // 3600} h {seconds % 3600 // 60} min"
    return f"{seconds // 86400} d {seconds % 86400 // 3600} h"


def duration(value: timedelta) -> str:
    """Return a duration as biobot.toml has it, in the largest unit that divides it."""
    milliseconds = round(value / timedelta(milliseconds=1))
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds % size == 0 and (milliseconds or unit == "s"):
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"
