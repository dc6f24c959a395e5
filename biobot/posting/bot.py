"""The bot's life, a step at a time: drafts ahead of their slots, posts at their times, what is unknown settled.

`Bot.step(now)` does what is due and tells when to look again. It reads no clock and never sleeps, so that the
daemon drives it in real time and a rehearsal drives weeks of it in seconds. What fails in one part is said
once and does not keep the other parts from their work.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from biobot.config import Config
from biobot.errors import BiobotError, LockHeld, NetworkError
from biobot.posting import locks, poster, reconcile, schedule
from biobot.posting.budget import BudgetSpent, next_day
from biobot.posting.drafts import Draw, Drawn, drawn, request
from biobot.posting.notices import Notices
from biobot.posting.outbox import Draft, Outbox, Post, State, moment, slot_key, stamp
from biobot.posting.poster import HINDRANCES, LONGEST_WAIT, Hindrance, Poster, hindrance

log = logging.getLogger("biobot")

LEAD = timedelta(seconds=30)
"""Drafts are asked for this long before their slot: a child that samples needs some seconds."""

AHEAD = timedelta(seconds=90)
"""With them come those of all slots until then, so that a fast schedule does not start a child for each."""

AT_ONCE = 20
"""The most drafts that one child is asked for."""

REFILLS = 3
"""So many texts may lose one slot (rejected by a person, refused at the last moment) before it is skipped."""

MISSED = 1000
"""So many missed slots get a row each; of a longer gap, one row tells the rest."""

RETRY = (timedelta(seconds=10), timedelta(minutes=15))
"""The first and the longest wait after a child that failed; it doubles in between."""

WAITING = (State.HELD, State.APPROVED)


@dataclass(slots=True)
class Rest:
    """The pause that a part takes after it failed: longer each time, over at once when it succeeds."""

    failures: int = 0
    until: datetime | None = None

    def failed(self, now: datetime) -> None:
        """Begin a pause."""
        self.until = now + min(RETRY[0] * 2 ** min(self.failures, 16), RETRY[1])
        self.failures += 1

    def over(self) -> None:
        """End it: the part works."""
        self.failures, self.until = 0, None

    def lasts(self, now: datetime) -> bool:
        """Return whether the pause lasts; one that a clock put back would prolong does not (F47)."""
        return self.until is not None and now < self.until <= now + RETRY[1]


class Drafter:
    """Has drafts drawn, in a thread beside the bot's steps, or at once (`threaded=False`: in fast time)."""

    def __init__(self, draw: Draw, woken: Callable[[], None] = lambda: None, *, threaded: bool = True) -> None:
        self.threaded = threaded
        self._draw = draw
        self._woken = woken
        self._found: deque[Drawn] = deque()
        self._ended: BiobotError | bool = False
        self.busy = False
        """Whether drafts are being drawn, or were drawn and not all fetched."""

    def ask(self, requests: Sequence[Mapping[str, Any]], slots: Mapping[str, datetime | None]) -> None:
        """Begin to draw drafts."""
        self.busy = True
        if self.threaded:
            threading.Thread(target=self._run, args=(requests, slots), name="drafts", daemon=True).start()
        else:
            self._run(requests, slots)

    def fetch(self) -> tuple[list[Drawn], BiobotError | bool]:
        """Return what was drawn since the last time, and whether that is all: True, or the error that ended it."""
        ended = self._ended
        found = [self._found.popleft() for _ in range(len(self._found))]
        if ended:
            self.busy, self._ended = False, False
        return found, ended

    def _run(self, requests: Sequence[Mapping[str, Any]], slots: Mapping[str, datetime | None]) -> None:
        ended: BiobotError | bool = True
        answered = 0
        try:
            for each in drawn(requests, self._draw, slots):
                self._found.append(each)
                answered += 1
            if answered < len(requests):
                ended = BiobotError(f"the sampler answered {answered} of {len(requests)} requests")
        except BiobotError as error:
            ended = error
        except Exception as error:  # noqa: BLE001 - drafts may fail in any way; the bot goes on without
            ended = BiobotError(f"drawing drafts failed: {type(error).__name__}: {error}")
        self._ended = ended
        self._woken()


class Bot:
    """One bot on one network, driven by `step`."""

    def __init__(self, config: Config, poster: Poster, drafter: Drafter) -> None:
        self.config = config
        self.poster = poster
        self.outbox: Outbox = poster.outbox
        self.drafter = drafter
        self.notices = Notices(config, self.outbox)
        self._schedule = config.settings.schedule
        self._review = config.settings.post.review == "on"
        self._key = str(config.home.resolve())
        self._because = "the daemon was not running"
        self._failure = ""
        self._drafting = Rest()
        self._posting = Rest()
        self._reading = Rest()
        self._again = False
        self._pruned: datetime | None = None

    def step(self, now: datetime) -> datetime:
        """Do what is due at `now`; give the moment at which there may be more to do."""
        self._again = False
        hindered: Hindrance | None = None
        with self._part("outbox", now):
            self._tidy(now)
        with self._part("drafts", now, self._drafting):
            self._store(now)
        with self._part("timeline", now, self._reading):
            self._reconcile(now)
        with self._part("posting", now, self._posting):
            hindered = self._hindrance(now)
            if hindered is None and not self._posting.lasts(now):
                self._post(now)
        with self._part("asking", now):
            self._ask(now, hindered)
        return now if self._again else self._next(now, hindered)

    @contextmanager
    def _part(self, name: str, now: datetime, rest: Rest | None = None) -> Iterator[None]:
        """Keep a part's failure from the other parts; say it once, and say when it is over."""
        try:
            yield
        except BiobotError as error:
            self._failed(name, error, str(error), now, rest)
        except Exception as error:
            log.exception("%s", name)
            self._failed(name, error, f"{name}: {type(error).__name__}: {error}", now, rest)
        else:
            # a part that failed is not over for having had nothing to do: it says itself when it works again
            if rest is None or not rest.failures:
                self.notices.over(name, now)

    def _failed(self, name: str, error: Exception, text: str, now: datetime, rest: Rest | None) -> None:
        if rest is not None:
            rest.failed(now)
        told = name == "posting" and isinstance(error, NetworkError)  # as what hinders the next post
        if told or isinstance(error, LockHeld | BudgetSpent) or self.outbox.flag("blocked") == text:
            log.info("%s", text)
        else:
            self.notices.say(name, text, now)

    # -- keeping order -------------------------------------------------------------------------------

    def _tidy(self, now: datetime) -> None:
        if self.outbox.posts(State.SENDING):
            with locks.lock(self.config.home, locks.POST, self.poster.who, now, timedelta(0)):
                for row in self.poster.adopt_orphans():
                    log.warning("post %d is unconfirmed: %s", row.id, row.reason)
        self.outbox.take_back_missed(now)
        if self._review:
            for row in self.outbox.posts(State.APPROVED):
                if row.approved_by != "person":
                    self.outbox.hold(row.id, now)
        for row in self.outbox.posts(State.HELD):
            if row.slot is None:
                self._put_off(row, now)  # it waits for a person now, and goes out at a slot
            if now - row.created > self.config.settings.post.review_expiry:
                self.outbox.reject(row.id, now, "nobody approved it in time (`post.review_expiry`)", "policy")
        if self._pruned is None or abs(now - self._pruned) > timedelta(days=1):
            self._pruned = now
            self.outbox.prune(now - self.config.settings.post.history)

    def _reconcile(self, now: datetime) -> None:
        rows = self.outbox.posts(State.UNCONFIRMED)
        due = [row for row in rows if reconcile.due(row, self.config.settings.post) <= now]
        if not due or self._reading.lasts(now):
            return
        for row in self.poster.settle(due):
            if row.state is not State.UNCONFIRMED:
                log.warning("post %d is %s: %s", row.id, row.state, row.reason)
        self._reading.over()

    def _hindrance(self, now: datetime) -> Hindrance | None:
        hindered = hindrance(self.outbox, self.poster.budget, now)
        for kind in HINDRANCES:
            if hindered is not None and hindered.kind == kind:
                self.notices.say(kind, hindered.text, now)
            else:
                self.notices.over(kind, now)
        if hindered is not None:
            self._because = hindered.text
        return hindered

    # -- posting -------------------------------------------------------------------------------------

    def _post(self, now: datetime) -> None:
        row = self._choose(now)
        if row is None:
            return
        row = self.poster.send(row.id)
        self._posting.over()
        self._again = True
        self.say(row)

    @staticmethod
    def say(row: Post) -> None:
        """Write one line about a post into the log."""
        made = f"T={row.temperature:g} seed={row.seed}" if row.temperature is not None else "by hand"
        slot = slot_key(row.slot) if row.slot else "no slot"
        text = json.dumps(row.text, ensure_ascii=False)
        if row.state is State.POSTED:
            log.info("posted %d as %s (%s, %s): %s", row.id, row.remote_id, slot, made, text)
        else:
            level = logging.INFO if row.state is State.APPROVED else logging.WARNING
            log.log(level, "post %d is %s (%s, %s): %s: %s", row.id, row.state, slot, made, row.reason, text)

    def _choose(self, now: datetime) -> Post | None:
        """Return the row to post now; None when nothing is due."""
        newest = self._account(now)
        waiting = [row for row in self.outbox.posts(State.APPROVED) if not _later(row, now)]
        manual = next((row for row in waiting if row.slot is None or row.resends), None)
        if manual is not None:
            return manual
        last = self.outbox.last_posted(now)
        if schedule.is_quiet(self._schedule, now) or (last is not None and now - last < self._schedule.min_gap):
            return None
        tried = next((row for row in waiting if row.attempted), None)
        if tried is not None:
            return tried
        if newest is None or schedule.due(self._schedule, newest, self._key) > now:
            return None
        mine = self.outbox.at(newest)
        if mine is not None and mine.state is State.APPROVED:
            return mine if not _later(mine, now) else None
        # its draft is missing, or waits for a person: one of a later slot that is ready comes forward
        ready = next((row for row in _by_slot(waiting) if row.slot and row.slot > newest), None)
        if ready is not None:
            self.outbox.give(newest, ready.id, now)
        return ready

    def _account(self, now: datetime) -> datetime | None:
        """Account for the slots that went by; give the newest one if it may still be filled."""
        until = self._accounted(now)
        past = schedule.slots_between(self._schedule, until, now, MISSED)
        if not past:
            return None
        if self._open(past[-1], now):
            newest, missed = past[-1], past[:-1]
        else:
            newest, missed = None, past
        if missed:
            waiting = [row for row in self.outbox.posts(*WAITING) if row.slot and not row.attempted]
            for row in _by_slot(waiting):
                if row.slot is not None and row.slot <= missed[-1]:
                    self._put_off(row, now)  # the text keeps, its slot does not
            first = next(schedule.slots(self._schedule, until))
            if first < missed[0]:
                reason = f"missed, with all slots until {slot_key(missed[0])}: {self._because}"
                self.outbox.skip([first], reason, now, missed=True)
            taken = self.outbox.taken(missed[0], missed[-1])
            unfilled = [slot for slot in missed if slot not in taken]
            self.outbox.skip(unfilled, f"missed: {self._because}", now, missed=True)
            self._set_accounted(missed[-1], now)
        self._because = self._failure or "no draft was ready in time"
        return newest

    def _open(self, slot: datetime, now: datetime) -> bool:
        """Return whether a slot that is past, and the newest such, may still be filled."""
        row = self.outbox.at(slot)
        if row is not None and (row.state not in WAITING or row.attempted):
            return False
        if any(row.attempted for row in self.outbox.posts(State.APPROVED)):
            return False  # a post that could not be sent is still to come; two at once would be a burst
        if self._schedule.catch_up == "one":
            return True
        due = schedule.due(self._schedule, slot, self._key)
        return now - due <= min(timedelta(minutes=1), schedule.interval(self._schedule, slot) / 2)

    def _accounted(self, now: datetime) -> datetime:
        """Return up to when all slots are accounted for; a bot's first step, or a new schedule, begins now."""
        name = schedule.fingerprint(self._schedule)
        until, _, known = (self.outbox.flag("_slots") or "").partition(" ")
        if known != name:
            self._set_accounted(now, now)
            for row in _by_slot([row for row in self.outbox.posts(*WAITING) if row.slot and not row.attempted]):
                if known:
                    self._put_off(row, now)
            return now
        if moment(until) > now:  # the clock was put back
            self._set_accounted(now, now)
            return now
        return moment(until)

    def _set_accounted(self, until: datetime, now: datetime) -> None:
        self.outbox.set_flag("_slots", f"{stamp(until)} {schedule.fingerprint(self._schedule)}", now)

    def _put_off(self, row: Post, now: datetime) -> None:
        """Assign a waiting text the next slot that is free."""
        slot = next(self._free(now), None)
        if slot is not None:
            self.outbox.give(slot, row.id, now)

    def _free(self, now: datetime) -> Iterator[datetime]:
        """Yield the slots ahead that belong to no row, in order."""
        ahead = schedule.slots(self._schedule, now)
        while some := list(islice(ahead, 40)):
            taken = self.outbox.taken(some[0], some[-1])
            yield from (slot for slot in some if slot not in taken)

    # -- drafts --------------------------------------------------------------------------------------

    def _store(self, now: datetime) -> None:
        """Store what was drawn: drafts, and slots for which there is none."""
        found, ended = self.drafter.fetch()
        if found:
            poster.mark("drawn")
            state = State.HELD if self._review else State.APPROVED
            self.outbox.add(list(self._placed([each.draft for each in found if each.draft], now)), state, now)
            poster.mark("stored")
            self.outbox.count_refused(sum((Counter(each.refused) for each in found), Counter()), now)
        for each in found:
            if each.draft is None:
                self.outbox.skip([moment(each.request)], each.reason, now)
                log.warning("slot %s is skipped: %s", each.request, each.reason)
        self._failure = str(ended) if isinstance(ended, BiobotError) else self._failure * (not ended)
        if isinstance(ended, BiobotError):
            raise ended
        if ended:
            self._drafting.over()

    def _placed(self, drafts: list[Draft], now: datetime) -> Iterator[Draft]:
        """Yield drafts whose slot went by, or was given away, while they were drawn, the next free ones."""
        free = self._free(now)
        meant = {draft.slot for draft in drafts}
        for draft in drafts:
            taken = draft.slot is None or self.outbox.at(draft.slot) is not None
            yield replace(draft, slot=next((slot for slot in free if slot not in meant), None)) if taken else draft

    def _ask(self, now: datetime, hindered: Hindrance | None) -> None:
        """Ask for the drafts of slots ahead, when it is time to."""
        if self.drafter.busy or self._drafting.lasts(now):
            return
        if hindered is not None and hindered.kind in ("paused", "blocked", "breaker"):
            return
        slots = self._undrafted(now)
        tries = {slot: self.outbox.tries(slot) for slot in slots}
        spent = [slot for slot in slots if tries[slot] >= REFILLS]
        if spent:
            self.outbox.skip(spent, f"{REFILLS} texts lost this slot", now)
        names = {slot_key(slot): slot for slot in slots if slot not in spent}
        if names:
            requests = [request(self.config, name, slot, tries[slot]) for name, slot in names.items()]
            self.drafter.ask(requests, names)
            self._again = self._again or not self.drafter.threaded

    def _undrafted(self, now: datetime) -> list[datetime]:
        """Return the slots to ask drafts for now: at most `AT_ONCE`, none that the budget will not let be filled."""
        post = self.config.settings.post
        wanted: list[datetime] = []
        newest = self._newest_open(now)
        if newest is not None:
            wanted.append(newest)
        if self._review:
            room = post.review_ahead - len(self.outbox.posts(State.HELD))
            horizon, lead = now + post.review_expiry, post.review_expiry
        else:
            room, horizon, lead = AT_ONCE, now + AHEAD, LEAD
        for slot in self._free(now):
            first = not wanted or wanted == [newest]
            if len(wanted) >= min(room, AT_ONCE) or slot > horizon or (first and slot > now + lead):
                break
            wanted.append(slot)
        return self._affordable(wanted[: max(room, 0)], now)

    def _newest_open(self, now: datetime) -> datetime | None:
        """Return the newest slot that is past, if it may still be filled and no draft is there to come forward."""
        if any(not row.attempted for row in self.outbox.posts(State.APPROVED)):
            return None
        past = schedule.slots_between(self._schedule, self._accounted(now), now, 1)
        if past and self._open(past[-1], now) and self.outbox.at(past[-1]) is None:
            return past[-1]
        return None

    def _affordable(self, slots: list[datetime], now: datetime) -> list[datetime]:
        limit = self.config.settings.post.budget.posts_per_day
        left = self.poster.budget.left(now)
        used = Counter(next_day(max(row.slot or now, now)) for row in self.outbox.posts(*WAITING))
        chosen = []
        for slot in slots:
            at = max(slot, now)
            if used[next_day(at)] + self.poster.budget.posts_on(at) < limit and (
                left.until is None or at >= left.until
            ):
                used[next_day(at)] += 1
                chosen.append(slot)
        return chosen

    # -- when to look again --------------------------------------------------------------------------

    def _next(self, now: datetime, hindered: Hindrance | None) -> datetime:
        """Return the earliest moment at which something may be due."""
        moments: list[datetime | None] = [now + timedelta(hours=1)]
        moments += [self._drafting.until, self._posting.until, self._reading.until]
        moments += [row.not_before for row in self.outbox.posts(State.APPROVED)]
        settings = self.config.settings.post
        if not self._reading.lasts(now):
            moments += [reconcile.due(row, settings) for row in self.outbox.posts(State.UNCONFIRMED)]
        if hindered is not None:
            moments.append(hindered.until)
        last = self.outbox.last_posted(now)
        if last is not None:
            moments.append(last + self._schedule.min_gap)
        moments.append(schedule.quiet_until(self._schedule, now))
        past = schedule.slots_between(self._schedule, self._accounted(now), now, 1)
        for slot in past[-1:] + schedule.next_slots(self._schedule, now, 3):
            moments += [slot - LEAD, slot, schedule.due(self._schedule, slot, self._key)]
        return min(each for each in moments if each is not None and each > now)


def _later(row: Post, now: datetime) -> bool:
    """Return whether a row must still wait; a wait of more than a day was set by a clock that ran ahead."""
    return row.not_before is not None and now < row.not_before <= now + LONGEST_WAIT


def _by_slot(rows: list[Post]) -> list[Post]:
    return sorted(rows, key=lambda row: (row.slot is None, row.slot))
