"""The daemon: drives `Bot.step` in real time until it is told to stop.

APScheduler only wakes the loop at the moment that the last step returned; the step decides what is due. The loop
also wakes every few seconds by itself, since another process may have changed the outbox, and the clock may have been
set. This loop also notifies systemd that it is ready and alive: if it hangs, systemd restarts the daemon.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from types import FrameType
from typing import Literal

from apscheduler.schedulers.background import BackgroundScheduler

from biobot.app import running
from biobot.app.networks import require
from biobot.app.posting import open_poster, post_everywhere
from biobot.config import Config, reread
from biobot.errors import BiobotError, ConfigError
from biobot.posting import locks, schedule
from biobot.posting.bot import Drafter
from biobot.posting.bots import Bots
from biobot.posting.outbox import Outbox
from biobot.posting.post import PENDING, Post, State
from biobot.posting.poster import Poster
from biobot.text.humanize import show_times_in, when
from biobot.worker.client import Worker

log = logging.getLogger("biobot")

CONFIG = "config"
"""The problem of a biobot.toml that changed and cannot be used."""

AGAIN = timedelta(minutes=1)
"""Settings that could not be used are tried again after this time."""

HEARTBEAT = timedelta(seconds=5)
"""The longest that the loop sleeps."""


def clock() -> datetime:
    """Return the current time."""
    return datetime.now(UTC)


def run(
    config: Config,
    *,
    opened: Callable[..., Poster] = open_poster,
    worker: Callable[[Config], Worker] = Worker,
    clock: Callable[[], datetime] = clock,
) -> None:
    """Run the daemon of this home until SIGTERM or SIGINT; raise LockHeld if there already is one.

    Tests replace `opened`, `worker` and `clock`.
    """
    stop, wake, again = threading.Event(), threading.Event(), threading.Event()
    with locks.lock(config.home, locks.DAEMON, "the daemon", clock()), _signals(stop, wake, again):
        reader = _Reader(config, worker, again)
        check(config, worker(config), clock())
        drafter = Drafter(worker(config).draw, wake.set)
        following: Config | None = config
        bot: Bots | None = None
        try:
            while following is not None:
                config = following
                show_times_in(partial(schedule.zone, config.settings.schedule))
                running.note(config)
                _, *others = config.settings.post.all
                posters = [opened(config, clock, who="the daemon", stop=stop)]
                posters += [opened(config, clock, who="the daemon", stop=stop, network=name) for name in others]
                try:
                    bot = Bots(config, posters, drafter, bot, alive=lambda: tell("WATCHDOG=1"), woken=wake.set)
                    bot.notices.over(CONFIG)
                    _greet(config, bot, clock())
                    try:
                        following = serve(bot, stop, wake, clock, reader)
                    finally:
                        bot.close()
                finally:
                    for poster in posters:
                        poster.close()
                        poster.outbox.close()
                if following is not None:
                    drafter.restart(worker(following).draw)
                    log.info("%s was read again", config.file)
        finally:
            tell("STOPPING=1")
    log.info("stopped")


class _Reader:
    """Reads biobot.toml again when it has changed, or at SIGHUP."""

    def __init__(self, config: Config, worker: Callable[[Config], Worker], asked: threading.Event) -> None:
        self._config = config
        self._worker = worker
        self._asked = asked
        self._watch = running.Watch(config)
        self._again: datetime | None = None

    def look(self, bot: Bots, now: datetime) -> Config | Literal["old", "unsettled"]:
        """Return the new config; "old" goes on, and until an "unsettled" change is over nothing is to be done.

        A file that cannot be used is reported, and changes nothing.
        """
        asked = self._asked.is_set() or (self._again is not None and now >= self._again)
        if not (self._watch.changed(now) or asked):
            return "old"
        if not (self._watch.settled(now) or asked):
            return "unsettled"
        self._asked.clear()
        self._again = None
        self._watch.note_read()
        try:
            found = reread(self._config)
            check(found, self._worker(found), now)
        except BiobotError as error:
            bot.notices.say(CONFIG, running.broken(error), now, every=True)
            self._again = now + AGAIN  # a plugin may be fixed, or memory free, by then
            return "old"
        if found.text == bot.config.text and not asked:
            bot.notices.over(CONFIG)
            return "old"
        return found


def once(config: Config, *, clock: Callable[[], datetime] = clock) -> list[Post]:
    """Fill the most recent slot now, on each network where it is still open; else make a post without a slot."""

    def slot(outbox: Outbox) -> datetime | None:
        now, settings = clock(), config.settings.schedule
        last = schedule.slots_between(settings, now - 2 * schedule.interval(settings, now), now, 1)[-1:]
        row = outbox.at(last[0]) if last else None
        return last[0] if last and (row is None or (row.state in PENDING and not row.attempted)) else None

    with locks.lock(config.home, locks.DAEMON, "`biobot run --once`", clock()):
        check(config, Worker(config), clock())
        return post_everywhere(config, clock, "`biobot run --once`", None, slot)


def check(config: Config, worker: Worker, now: datetime) -> None:
    """Raise BiobotError if the bot could never post: a schedule without slots, missing filters or keys."""
    worker.check_plugins()
    if next(schedule.slots(config.settings.schedule, now), None) is None:
        raise ConfigError("schedule: no slot ever comes; look at `schedule.cron` and `schedule.quiet`")
    for name in config.settings.post.all:
        require(config, name)


def serve(
    bot: Bots, stop: threading.Event, wake: threading.Event, clock: Callable[[], datetime], reader: _Reader
) -> Config | None:
    """Step, sleep, and step again until `stop` is set or there is a new config, which is returned."""
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    alarm = BackgroundScheduler(timezone=UTC)
    alarm.start()
    try:
        tell("READY=1")
        while not stop.is_set():
            wake.clear()
            now = clock()
            found = reader.look(bot, now)
            if isinstance(found, Config):
                return found
            if found == "old":
                following = bot.step(now)
            else:
                following = now + running.SETTLING
                tell("WATCHDOG=1")
            if following > now:
                alarm.add_job(
                    wake.set, "date", run_date=following, id="wake", replace_existing=True, misfire_grace_time=None
                )
                wake.wait(HEARTBEAT.total_seconds())
        return None
    finally:
        alarm.remove_all_jobs()  # or its thread might find itself shut down in the middle of one
        alarm.shutdown(wait=False)


def tell(state: str) -> None:
    """Notify systemd of the state (sd_notify), if it asks for that."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        try:
            channel.sendto(state.encode(), f"\0{address[1:]}" if address.startswith("@") else address)
        except OSError as error:
            log.debug("systemd was not told: %s", error)


@contextmanager
def _signals(stop: threading.Event, wake: threading.Event, again: threading.Event) -> Iterator[None]:
    attached = _has_terminal() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN

    def asked(number: int, _: FrameType | None) -> None:
        if number == signal.SIGHUP and not (attached and not _has_terminal()):
            again.set()
        else:
            log.info("%s: stopping", signal.Signals(number).name)
            stop.set()
        wake.set()

    before = {number: signal.signal(number, asked) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _has_terminal() -> bool:
    """Return whether there is a controlling terminal: one that was closed sends SIGHUP, too."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _greet(config: Config, bot: Bots, now: datetime) -> None:
    if config.settings.post.first == "rehearsal":
        log.info(
            "rehearsing: posts go to the built-in fake X, kept in %s; to go live, put a network's keys into %s, "
            'set post.network = "bluesky", "mastodon" or "x" in biobot.toml, and ask `biobot doctor --online`',
            config.home / "rehearsal.db",
            config.keys,
        )
    first, counts = next(schedule.slots(config.settings.schedule, now)), bot.outbox.counts()
    waiting = ", ".join(f"{counts[state]} {state}" for state in (*PENDING, State.UNCONFIRMED))
    log.info("the next slot is %s; %s", when(first), waiting)
