"""Slots: pure, in order, once each, and never when nobody wants them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest
import tzlocal
from hypothesis import given
from hypothesis import strategies as st

from biobot.errors import ConfigError
from biobot.posting import schedule
from biobot.settings import ScheduleSettings

HOUR = timedelta(hours=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def upcoming(settings: ScheduleSettings, after: str, count: int) -> list[str]:
    return [f"{slot:%d %H:%M}" for slot in schedule.next_slots(settings, at(after), count)]


def test_every_counts_from_local_midnight() -> None:
    tokyo = ScheduleSettings(every=7 * HOUR, timezone="Asia/Tokyo")
    assert upcoming(tokyo, "2026-05-01 14:00", 5) == ["01 15:00", "01 22:00", "02 05:00", "02 12:00", "02 15:00"]


def test_steps_longer_than_a_day_are_the_same_whenever_asked() -> None:
    days = ScheduleSettings(every=72 * HOUR, timezone="UTC")
    first = schedule.next_slots(days, at("2026-05-01"), 3)
    assert [b - a for a, b in pairwise(first)] == [72 * HOUR] * 2
    assert schedule.next_slots(days, first[0] + HOUR, 2) == first[1:]


def test_f14_a_wall_time_that_occurs_twice_is_taken_once() -> None:
    hourly = ScheduleSettings(every=HOUR, timezone="Europe/Berlin")
    assert upcoming(hourly, "2026-10-24 22:30", 4) == ["24 23:00", "25 00:00", "25 02:00", "25 03:00"]
    nightly = ScheduleSettings(cron="30 1 * * *", timezone="America/New_York")
    assert upcoming(nightly, "2026-10-31 06:00", 2) == ["01 05:30", "02 06:30"]


def test_f14_a_wall_time_in_the_spring_gap_is_taken_once_at_its_end() -> None:
    nightly = ScheduleSettings(cron="30 2 * * *", timezone="Europe/Berlin")
    assert upcoming(nightly, "2026-03-28 00:00", 3) == ["28 01:30", "29 01:00", "30 00:30"]
    odd = ScheduleSettings(every=timedelta(minutes=45), timezone="Europe/Berlin")
    assert upcoming(odd, "2026-03-28 23:50", 4) == ["29 00:30", "29 01:00", "29 01:45", "29 02:30"]


@given(
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "UTC"]),
    st.sampled_from([timedelta(minutes=7), timedelta(minutes=45), HOUR, 5 * HOUR, 24 * HOUR, 50 * HOUR]),
    st.integers(0, 365 * 24 * 60),
)
def test_slots_depend_on_nothing_but_the_settings(zone: str, every: timedelta, minute: int) -> None:
    settings = ScheduleSettings(every=every, timezone=zone)
    begin = at("2026-01-01") + timedelta(minutes=minute)
    found = schedule.next_slots(settings, begin, 12)
    assert all(a < b for a, b in pairwise([begin, *found]))
    for index, slot in enumerate(found[:-1]):
        assert next(schedule.slots(settings, slot)) == found[index + 1]
        assert next(schedule.slots(settings, slot - timedelta(seconds=1))) == slot


def test_quiet_hours_go_over_midnight_and_hold_back_jitter() -> None:
    quiet = ScheduleSettings(every=HOUR, quiet=("23:00-07:00",), timezone="UTC", jitter=HOUR)
    assert upcoming(quiet, "2026-05-01 21:30", 3) == ["01 22:00", "02 07:00", "02 08:00"]
    soon = ScheduleSettings(every=HOUR, quiet=("22:30-07:00",), timezone="UTC", jitter=HOUR)
    found = [schedule.due(soon, at("2026-05-01 22:00"), str(key)) for key in range(50)]
    assert not any(schedule.is_quiet(soon, due) for due in found)
    assert len(set(found)) > 10  # those that do not lead into the quiet hours are late as ever
    assert schedule.quiet_until(quiet, at("2026-05-01 23:30")) == at("2026-05-02 07:00")
    always = ScheduleSettings(every=HOUR, quiet=("00:00-12:00", "12:00-00:00"), timezone="UTC")
    assert schedule.next_slots(always, at("2026-05-01"), 3) == []


def test_jitter_is_a_tenth_at_most_and_the_same_after_a_restart() -> None:
    fast = ScheduleSettings(every=timedelta(seconds=20), timezone="UTC")
    late = [schedule.due(fast, slot, "home") - slot for slot in islice(schedule.slots(fast, at("2026-05-01")), 200)]
    assert max(late) <= timedelta(seconds=2)
    assert max(late) > timedelta(seconds=1)
    assert len(set(late)) > 150
    slot = at("2026-05-01 00:00:20")
    assert schedule.due(fast, slot, "home") == schedule.due(fast, slot, "home")
    assert schedule.due(fast, slot, "home") != schedule.due(fast, slot, "another home")


@pytest.mark.parametrize(
    ("line", "slots"),
    [
        ("0 9,13 * * *", ["01 09:00", "01 13:00", "02 09:00"]),
        ("0 9 * * 1", ["04 09:00", "11 09:00", "18 09:00"]),  # Mondays, as cron counts them
        ("0 9 * * 7", ["03 09:00", "10 09:00", "17 09:00"]),
        ("0 9 * * mon-wed", ["04 09:00", "05 09:00", "06 09:00"]),
        ("0 9 5 * 5", ["01 09:00", "05 09:00", "08 09:00"]),  # the 5th, or a Friday
        ("0 0 * * */3", ["02 00:00", "03 00:00", "06 00:00"]),
    ],
)
def test_cron_lines_mean_what_cron_means(line: str, slots: list[str]) -> None:
    assert upcoming(ScheduleSettings(cron=line, timezone="UTC"), "2026-05-01 00:00", 3) == slots


@pytest.mark.parametrize("line", ["0 9 * *", "61 9 * * *", "0 9 * * 8", "0 9 * * mox", "hello", "0 9 * * */0"])
def test_a_line_that_is_no_cron_line_is_named(line: str) -> None:
    with pytest.raises(ConfigError, match=r"schedule\.cron.*is not a cron line"):
        schedule.next_slots(ScheduleSettings(cron=line, timezone="UTC"), at("2026-05-01"), 1)


def test_a_line_that_never_fires_has_no_slots() -> None:
    assert schedule.next_slots(ScheduleSettings(cron="0 0 30 2 *", timezone="UTC"), at("2026-05-01"), 1) == []
    leap = ScheduleSettings(cron="0 0 29 2 *", timezone="UTC")
    assert schedule.next_slots(leap, at("2026-05-01"), 1) == [at("2028-02-29")]


def test_a_long_gap_gives_its_newest_slots_only() -> None:
    fast = ScheduleSettings(every=timedelta(seconds=2), timezone="UTC")
    found = schedule.slots_between(fast, at("2021-05-01"), at("2026-05-01 00:00:01"), 100)
    assert 90 <= len(found) <= 200
    assert found[-1] == at("2026-05-01")


@pytest.mark.parametrize(
    ("value", "hours"),
    [("UTC0", 0), ("GMT+12", -12), ("<+03>-3", 3), (":EST5", -5), ("<+0530>-5:30", 5.5), ("XYZ-14:00:00", 14)],
)
def test_a_fixed_offset_in_tz_is_taken_as_posix_counts_it(
    monkeypatch: pytest.MonkeyPatch, value: str, hours: float
) -> None:
    monkeypatch.setenv("TZ", value)
    monkeypatch.setattr(tzlocal, "get_localzone", tzlocal.reload_localzone)  # the other one remembers
    found = schedule.zone(ScheduleSettings(timezone="local"))
    assert found.utcoffset(datetime(2026, 7, 1)) == timedelta(hours=hours)  # noqa: DTZ001 - of a fixed offset


@pytest.mark.parametrize("value", ["CET-1CEST,M3.5.0,M10.5.0/3", "PST8PDT,M3.2.0,M11.1.0", "Europe/Nowhere", "UTC99"])
def test_a_tz_without_a_name_or_an_offset_is_one_line_that_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("TZ", value)
    monkeypatch.setattr(tzlocal, "get_localzone", tzlocal.reload_localzone)
    with pytest.raises(ConfigError, match=r"names no time zone: set `schedule\.timezone` in biobot\.toml"):
        schedule.zone(ScheduleSettings(timezone="local"))
