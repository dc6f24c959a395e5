"""Numbers and times are said to people in one way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from biobot.text.humanize import counted, lasting, when


def test_one_of_a_thing_is_one() -> None:
    assert [counted(number, "bio") for number in (0, 1, 2, 2000)] == ["0 bios", "1 bio", "2 bios", "2,000 bios"]


def test_a_time_is_said_in_utc_without_fractions() -> None:
    moment = datetime(2026, 11, 22, 19, 30, 5, 999_000, tzinfo=timezone(timedelta(hours=1)))
    assert when(moment) == when(moment.astimezone(UTC)) == "2026-11-22 18:30:05 UTC"


def test_a_length_of_time_is_told_in_units_that_fit_it() -> None:
    lengths = (0, 45.4, 119, 120, 3601, 7199, 7200, 90_000)
    told = ["0 s", "45 s", "119 s", "2 min", "60 min", "119 min", "2 h 0 min", "25 h 0 min"]
    assert [lasting(timedelta(seconds=each)) for each in lengths] == told
