"""When posts are due: slots as pure functions of the settings.

A slot is an unjittered moment in UTC. It comes from a wall time in the bot's time zone: from local midnight in
steps of `every`, or from a cron line (APScheduler's trigger, asked in wall time only: in a zone with summer time
it fires twice in autumn). A wall time that occurs twice counts once, the first time; one that falls into the spring
gap counts at the end of the gap; and those that meet there are one slot.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from itertools import islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from biobot.errors import ConfigError
from biobot.settings import ScheduleSettings

_DAY = timedelta(days=1)
_FIRST_MIDNIGHT = datetime(2000, 1, 1)  # noqa: DTZ001 - a wall time: where steps longer than a day are counted from
_FAR = timedelta(days=366 * 8)
"""A cron line that is silent for longer never fires: 29 February may be eight years away."""

_SAVING = timedelta(hours=3)
"""No clock change is longer than this (Troll, Antarctica: two hours)."""


def zone(settings: ScheduleSettings) -> tzinfo:
    """Return the bot's time zone; raise ConfigError where TZ names none and states no offset."""
    if settings.timezone != "local":
        return ZoneInfo(settings.timezone)
    import tzlocal

    try:
        return tzlocal.get_localzone()
    except (ZoneInfoNotFoundError, ValueError, OSError):
        name = os.environ.get("TZ", "")
        offset = re.fullmatch(r":?(?:[A-Za-z]{3,}|<[\w+-]+>)([+-]?)(\d\d?)(?::(\d\d))?(?::(\d\d))?", name)
        if offset is None or int(offset[2]) > 23:
            shown = name if name.isprintable() else repr(name)
            raise ConfigError(
                f'TZ={shown} names no time zone: set `schedule.timezone` in biobot.toml, such as "Europe/Berlin"'
            ) from None
        sign, hours, minutes, seconds = offset.groups("0")
        west = timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds))  # POSIX counts to the west
        return timezone(west if sign == "-" else -west)


def slots(settings: ScheduleSettings, after: datetime) -> Iterator[datetime]:
    """Yield the slots after `after`, in order, without end (none, for a cron line that never fires)."""
    local = zone(settings)
    last = after
    # a few hours back: where clocks change, an earlier wall time can be a later moment
    walls = _walls(settings, _wall(after, local) - _around(after, local))
    while (wall := next(walls, None)) is not None:
        slot = _moment(wall, local)
        if slot - last > _FAR:
            return
        if slot <= last:
            continue
        if is_quiet(settings, slot):
            end = quiet_until(settings, slot)
            walls = _walls(settings, _wall(end, local) - timedelta(seconds=1))
            if is_quiet(settings, end):
                return  # all day, every day
            continue
        last = slot
        yield slot


def next_slots(settings: ScheduleSettings, after: datetime, count: int) -> list[datetime]:
    """Return the next `count` slots later than `after`."""
    return list(islice(slots(settings, after), count))


def slots_between(settings: ScheduleSettings, after: datetime, until: datetime, limit: int) -> list[datetime]:
    """Return the newest slots after `after` and up to `until`: about `limit` of them at most."""
    begin = max(after, until - limit * interval(settings, until))
    found: list[datetime] = []
    for slot in slots(settings, begin):
        if slot > until:
            break
        found.append(slot)
        if len(found) > 2 * limit:  # an uneven cron line: keep the newest
            del found[:limit]
    return found


def interval(settings: ScheduleSettings, at: datetime) -> timedelta:
    """Return the time between the next two slots; a day if there are no two."""
    pair = next_slots(settings, at, 2)
    return pair[1] - pair[0] if len(pair) == 2 else _DAY


def due(settings: ScheduleSettings, slot: datetime, key: str) -> datetime:
    """Return the moment at which a slot is to be posted: up to `jitter` later, and always the same.

    `key` makes each bot's jitter its own. The jitter is at most a tenth of the way to the next slot, and never
    leads into quiet hours.
    """
    following = next(slots(settings, slot), slot + _DAY)
    most = min(settings.jitter, (following - slot) / 10)
    later = slot + most * hash_to_unit(key, "jitter", slot)
    return slot if is_quiet(settings, later) else later


def is_quiet(settings: ScheduleSettings, at: datetime) -> bool:
    """Return whether `at` lies in quiet hours."""
    wall = _wall(at, zone(settings)).time() if settings.quiet else time()
    return any(_within(wall, _span(text)) for text in settings.quiet)


def quiet_until(settings: ScheduleSettings, at: datetime) -> datetime:
    """Return the end of the quiet hours that `at` lies in; outside them, `at` itself."""
    local = zone(settings)
    for _ in range(len(settings.quiet) + 1):  # one span may end in the next
        for begin, end in map(_span, settings.quiet):
            wall = _wall(at, local)
            if _within(wall.time(), (begin, end)):
                today = datetime.combine(wall.date(), end)
                at = _moment(today if today > wall else today + _DAY, local)
    return at


def hash_to_unit(*parts: object) -> float:
    """Return a number from 0 to 1 that looks random, always the same for the same parts."""
    text = "\0".join(part.isoformat() if isinstance(part, datetime) else str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def fingerprint(settings: ScheduleSettings) -> str:
    """Return a string of what the slots depend on: when it changes, earlier gaps in the slots mean nothing."""
    return f"{settings.every} {settings.cron} {settings.quiet} {settings.timezone}"


# -- wall times --------------------------------------------------------------------------------------


def _walls(settings: ScheduleSettings, after: datetime) -> Iterator[datetime]:
    """Yield the wall times of the schedule later than the wall time `after`, summer time or not."""
    if settings.cron is not None:
        following, wall = cron(settings.cron), after
        while (found := following(wall)) is not None:
            yield found
            wall = found
        return
    every = settings.every
    assert every is not None
    if every >= _DAY:
        wall = _FIRST_MIDNIGHT + every * ((after - _FIRST_MIDNIGHT) // every + 1)
        while True:
            yield wall
            wall += every
    midnight = datetime.combine(after.date(), time())
    wall = midnight + every * ((after - midnight) // every + 1)
    while True:
        if wall >= midnight + _DAY:
            midnight += _DAY
            wall = midnight
        yield wall
        wall += every


def _wall(at: datetime, local: tzinfo) -> datetime:
    return at.astimezone(local).replace(tzinfo=None, fold=0)


def _around(at: datetime, local: tzinfo) -> timedelta:
    near = {(at + step).astimezone(local).utcoffset() for step in (-_SAVING, timedelta(0), _SAVING)}
    return timedelta(0) if len(near) == 1 else _SAVING


def _moment(wall: datetime, local: tzinfo) -> datetime:
    """Return the moment in UTC at which the clocks on the wall show `wall` for the first time."""
    first = wall.replace(tzinfo=local, fold=0).astimezone(UTC)
    if _wall(first, local) == wall:
        return first
    # the gap in spring: no clock shows it. Find the jump, which lies between the two readings of `wall`.
    before, after = wall.replace(tzinfo=local, fold=1).astimezone(UTC), first
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        before, after = (before, middle) if _wall(middle, local) >= wall else (middle, after)
    return after.replace(microsecond=0)


def _span(text: str) -> tuple[time, time]:
    begin, end = text.split("-")
    return time.fromisoformat(begin), time.fromisoformat(end)


def _within(wall: time, span: tuple[time, time]) -> bool:
    begin, end = span
    return begin <= wall < end if begin <= end else wall >= begin or wall < end


# -- cron --------------------------------------------------------------------------------------------

_WEEK = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def cron(line: str) -> Callable[[datetime], datetime | None]:
    """Return the function from a wall time to the next one that a cron line names (None: never).

    As in cron, Sunday is 0 or 7, and if days of the month and of the week are given, either is enough.
    APScheduler counts from Monday and requires both, so it is given names, and asked twice.

    Raises ConfigError for a line that is not one.
    """
    from apscheduler.triggers.cron import CronTrigger

    fields = line.split()
    try:
        if len(fields) != 5:
            raise ValueError("it needs five fields: minute, hour, day, month, weekday")
        minute, hour, day, month, weekday = fields
        names = _weekdays(weekday)
        days = [(day, names)] if "*" in (day[0], weekday[0]) else [(day, "*"), ("*", names)]
        triggers = [
            CronTrigger(minute=minute, hour=hour, day=a, month=month, day_of_week=b, timezone=UTC) for a, b in days
        ]
    except ValueError as error:
        raise ConfigError(f"schedule.cron: {line!r} is not a cron line like '0 9,13,18 * * *': {error}") from None

    def following(wall: datetime) -> datetime | None:
        now = (wall + timedelta(seconds=1)).replace(tzinfo=UTC)
        found = [trigger.get_next_fire_time(None, now) for trigger in triggers]
        times = [each.replace(tzinfo=None) for each in found if each is not None and each - now < _FAR]
        return min(times, default=None)

    return following


def _weekdays(field: str) -> str:
    """Return a weekday field with names: "1-5" and "*/2" become "mon,tue,wed,thu,fri" and "sun,tue,thu,sat"."""
    chosen: list[str] = []
    for part in field.lower().split(","):
        match = re.fullmatch(r"(\*|[0-7]|[a-z]{3})(?:-([0-7]|[a-z]{3}))?(?:/(\d+))?", part)
        if match is None or match[3] == "0" or (match[1] == "*" and match[2]):
            raise ValueError(f"{part!r} is not a weekday or a range of weekdays")
        if match[1] == "*":
            first, last = 0, 6
        else:
            first = _weekday(match[1])
            last = _weekday(match[2]) if match[2] else (6 if match[3] else first)
        last += 7 if last < first else 0  # fri-mon goes over Sunday
        chosen += [_WEEK[number % 7] for number in range(first, last + 1, int(match[3] or 1))]
    return "*" if len(set(chosen)) == 7 else ",".join(dict.fromkeys(chosen))


def _weekday(text: str) -> int:
    if text.isdigit():
        return int(text)
    if text not in _WEEK:
        raise ValueError(f"{text!r} is not a weekday")
    return _WEEK.index(text)
