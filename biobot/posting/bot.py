"""The bot, one step at a time: drafts ahead of their slots, posts at their times, unknown fates settled.

`Bot.step(now)` does what is due and returns when to look again. It reads no clock and never sleeps, so that the
daemon drives it in real time and a rehearsal drives weeks of it in seconds. A failure in one part is reported
once and does not keep the other parts from their work.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice

from biobot.candidate import DraftRequest, DraftResult
from biobot.config import Config
from biobot.errors import BiobotError, LockHeld, NetworkError, OutboxError, Stale, say
from biobot.networks.network import FOR_EVER
from biobot.posting import bot_state, engagement, locks, poster, reconcile, schedule, transitions
from biobot.posting.blocks import PROBLEMS, PostingBlock, is_ahead, may_send, posting_block
from biobot.posting.budget import BudgetSpent, next_day
from biobot.posting.drafts import Draw, request, to_draft
from biobot.posting.notices import REVIEW, Notices
from biobot.posting.outbox import Outbox, Replaced, WrongAccount
from biobot.posting.post import PENDING, Draft, Post, State, moment, slot_key
from biobot.posting.poster import Poster
from biobot.text.humanize import counted, when

log = logging.getLogger("biobot")

LEAD = timedelta(seconds=30)
"""Drafts are asked for this long before their slot: a child that samples needs some seconds."""

AHEAD = timedelta(seconds=90)
"""With them come those of all slots until then, so that a fast schedule does not start a child for each."""

MAX_DRAFTS = 20
"""The most drafts that one child is asked for."""

MAX_TEXTS = 3
"""How many texts may lose one slot (rejected by a person, refused at the last moment) before it is skipped."""

MAX_MISSED = 1000
"""How many missed slots get a row each; of a longer gap, one row stands for the rest."""

RETRY = timedelta(seconds=5)
"""When to look again at an outbox that cannot be read."""

HELD_UP = timedelta(minutes=10)
"""So long a call whose connection is gone may still be on its way: then what was deleted is deleted once more."""

STALL = timedelta(minutes=1)
"""A step that comes later than this finds slots that nobody could fill."""

MIN_BACKOFF, MAX_BACKOFF = timedelta(seconds=10), timedelta(minutes=15)


@dataclass(slots=True)
class Backoff:
    """The pause that a part takes after it failed: doubled each time, over at once when it succeeds."""

    failures: int = 0
    until: datetime | None = None

    def fail(self, now: datetime) -> None:
        """Begin a pause."""
        self.until = now + min(MIN_BACKOFF * 2 ** min(self.failures, 16), MAX_BACKOFF)
        self.failures += 1

    def succeed(self) -> None:
        """End it: the part works."""
        self.failures, self.until = 0, None

    def lasts(self, now: datetime) -> bool:
        """Return whether the pause lasts; one that a clock put back would prolong does not (F47)."""
        return self.until is not None and now < self.until <= now + MAX_BACKOFF


class Drafter:
    """Has drafts drawn in a thread beside the bot's steps, or at once (`threaded=False`: in fast time)."""

    def __init__(self, draw: Draw, woken: Callable[[], None] = lambda: None, *, threaded: bool = True) -> None:
        self.threaded = threaded
        self._draw = draw
        self._woken = woken
        self._found: deque[DraftResult] = deque()
        self._ended: BiobotError | bool = False
        self._stale = False
        self.asked_by: str | None = None
        """The network whose bot asked for drafts, and is to fetch them; None: any."""
        self.busy = False
        """Whether drafts are being drawn, or were drawn and not all fetched."""
        self.lock = threading.RLock()
        """Held by the bot that asks for drafts, or fetches them; those of several networks may step at once."""

    def restart(self, draw: Draw) -> None:
        """Draw with `draw` from now on; the drafts that are being drawn are dropped when they come."""
        self._draw, self._stale, self.asked_by = draw, self.busy, None

    def ask(self, requests: Sequence[DraftRequest], network: str) -> None:
        """Begin to draw drafts for the bot of a network."""
        self.busy, self.asked_by = True, network
        if self.threaded:
            threading.Thread(target=self._run, args=[requests], name="drafts", daemon=True).start()
        else:
            self._run(requests)

    def hand_over(self, network: str) -> None:
        """Let any bot fetch what this network's asked for: it is held up."""
        with self.lock:
            self.asked_by = None if self.asked_by == network else self.asked_by

    def fetch(self) -> tuple[list[DraftResult], BiobotError | bool]:
        """Return what was drawn since the last time, and whether that is all: True, or the error that ended it."""
        ended = self._ended
        found = [self._found.popleft() for _ in range(len(self._found))]
        stale = self._stale
        if ended:
            self.busy, self._ended, self._stale = False, False, False
        return ([], bool(ended)) if stale else (found, ended)

    def _run(self, requests: Sequence[DraftRequest]) -> None:
        ended: BiobotError | bool = True
        answered = 0
        try:
            for each in self._draw(requests):
                self._found.append(each)
                answered += 1
            if answered < len(requests):
                ended = BiobotError(f"the sampler answered {answered} of {len(requests)} requests")
        except BiobotError as error:
            ended = error
        except Exception as error:  # noqa: BLE001 - drafts may fail in any way; the bot goes on without
            ended = BiobotError(f"drawing drafts failed: {say(error)}")
        self._ended = ended
        self._woken()


class Bot:
    """One bot on one network, driven by `step`; where there are several networks, `biobot.posting.bots` joins them."""

    def __init__(self, config: Config, poster: Poster, drafter: Drafter, before: Bot | None = None) -> None:
        """Make a bot; `before` is the one with other settings whose place it takes."""
        self.config = config
        self.poster = poster
        self.outbox: Outbox = poster.outbox
        self.drafter = drafter
        self._first = self.outbox.network == config.settings.post.first
        self.notices = Notices(config, self.outbox, "" if self._first else f"{self.outbox.network}: ")
        self._schedule = config.settings.schedule
        self._review = config.settings.post.review == "on"
        self._key = str(config.home.resolve())
        self._because: str = before._because if before else "the daemon was not running"
        self._heard: int = before._heard if before else self.outbox.last_audit()
        self._following: datetime | None = before._following if before else None
        self._failure = ""
        self._trouble = ""
        self._drafting = Backoff()
        self._posting = Backoff()
        self._reading = Backoff()
        self._again = False
        self._known = Counter[datetime]()
        """How many texts were drawn for a slot that the outbox already had."""
        self._pruned: datetime | None = None
        self._engaged: datetime | None = None
        self._deleted_again: set[int] = set()

    def step(self, now: datetime) -> datetime:
        """Do what is due at `now`; return the moment at which there may be more to do.

        Raises Replaced when the outbox is no longer the file that was opened: nothing it does would last.
        """
        self._again = False
        block: PostingBlock | None = None
        self.outbox.check_file()
        try:
            self.outbox.counts()
        except OutboxError as error:  # another program holds it, or the disk fails: nothing can be done meanwhile
            self._failed("outbox", error, str(error), now, None)
            return now + RETRY
        if self._following is not None and now - self._following > STALL:
            self._because = f"the machine slept, or the daemon was held up, from {when(self._following)} on"
        with self._part("outbox", now):
            if self._first:
                self._listen()
            self._keep_house(now)
        with self._part("drafts", now, self._drafting), self.drafter.lock:
            self._store(now)
        with self._part("timeline", now, self._reading):
            self._reconcile(now)
        with self._part("posting", now, self._posting):
            newest = self._account(now)
            block = self._blocked(now)
            if block is None and not self._posting.lasts(now):
                self._post(newest, now)
        with self._part("asking", now), self.drafter.lock:
            self._ask(now, block)
        with self._part("engagement", now):
            if block is None:
                self._read_engagement(now)
            self._because = self._reason(block, now)
        self._following = now if self._again else self._next(now, block)
        return self._following

    @contextmanager
    def _part(self, name: str, now: datetime, backoff: Backoff | None = None) -> Iterator[None]:
        """Keep a part's failure from the other parts; report it once, and when it is over."""
        try:
            yield
        except Replaced:
            raise
        except BiobotError as error:
            self._failed(name, error, str(error), now, backoff)
        except Exception as error:
            log.exception("%s", name)
            self._failed(name, error, f"{name}: {say(error)}", now, backoff)
        else:
            # idle is not recovery: a failed part clears its own problem
            if backoff is None or not backoff.failures:
                self.notices.over(name)

    def _failed(self, name: str, error: Exception, text: str, now: datetime, backoff: Backoff | None) -> None:
        if backoff is not None:
            backoff.fail(now)
        if backoff is self._posting:
            self._trouble = text
        # what the network says on the way to a post is reported as what blocks the next one
        reported = isinstance(error, NetworkError | WrongAccount) and name == "posting"
        if reported or isinstance(error, LockHeld | BudgetSpent):
            log.info("%s", text)
        else:
            self.notices.say(name, text, now)

    # -- housekeeping --------------------------------------------------------------------------------

    def _keep_house(self, now: datetime) -> None:
        if self.outbox.posts(State.SENDING):
            name = locks.post(self.outbox.network)
            with locks.lock(self.config.home, name, self.poster.who, now, timedelta(0)):
                for row in self.poster.adopt_orphans():
                    log.warning("post %d is unconfirmed: %s", row.id, row.reason)
        self.outbox.release_missed(now)
        transitions.unexpire(self.outbox, now)
        for row in self.outbox.posts(State.APPROVED):
            if self._review and row.approved_by != "person":
                transitions.hold(self.outbox, row.id, now)
            elif row.slot is None and self.outbox.audit(row.id)[-1].was == State.HELD:
                self._postpone(row, now)  # a person approved it: it goes out at a slot
        held = self.outbox.posts(State.HELD)
        for row in held:
            if self._review and row.slot is None:
                self._postpone(row, now)
            elif not self._review and row.slot is not None:
                self.outbox.assign_slot(None, row.id, now)  # it may wait for long: others get the slot
            if now - row.created > self.config.settings.post.review_expiry:
                transitions.expire(self.outbox, row.id, now)
        if held:
            waiting = f"{counted(len(held), 'draft')} waiting for approval"
            self.notices.remind(REVIEW, f"{waiting}: `biobot queue list --state held`, or the console", now)
        else:
            self.notices.over(REVIEW)
        if self._pruned is None or abs(now - self._pruned) > timedelta(days=1):
            self._pruned = now
            self.outbox.prune(now - self.config.settings.post.history)

    def _listen(self) -> None:
        """Log what people have done, by whichever command."""
        for number, each in self.outbox.audit_after(self._heard):
            self._heard = number
            if each.by == "person":
                what = "the bot" if each.post is None else f"post {each.post}"
                done = "changed" if each.was == each.state else each.state
                log.info("%s was %s by a person%s", what, done, f": {each.reason}" if each.reason else "")

    def _reconcile(self, now: datetime) -> None:
        settings, rows = self.config.settings.post, self.outbox.posts(State.UNCONFIRMED)
        undone, deleted = self.outbox.undone(), self._deleted(now)
        if not (rows or undone or deleted) or self._reading.lasts(now):
            return
        if again := [row for row in deleted if row.undone is not None and row.undone + HELD_UP <= now]:
            self.poster.delete_again(again)
            self._deleted_again |= {row.id for row in again}
        network, sends = self.poster.network, may_send(self.outbox, now)
        due = [
            row
            for row in rows
            if (at := reconcile.due(network, row, settings)) is not None
            and at <= now
            and (sends or not reconcile.is_settled_by_repeating(network, row))
        ]
        if not (due or undone):
            return
        for row in (self.poster.finish_undos() if undone else []) + (self.poster.settle(due) if due else []):
            if row.state is not State.UNCONFIRMED:
                log.warning("post %d is %s: %s", row.id, row.state, row.reason)
        self._reading.succeed()

    def _deleted(self, now: datetime) -> list[Post]:
        """Return the posts that are to be deleted once more: where a key lasts for ever, a late call is valid too."""
        rows = self.outbox.deleted_since(now - 6 * HELD_UP)
        rows = [row for row in rows if row.key and row.id not in self._deleted_again]
        return rows if rows and self.poster.network.key_lasts == FOR_EVER else []

    def _read_engagement(self, now: datetime) -> None:
        """Once a day, read what people did with the posts, and look for those that a server made twice."""
        last = self._engaged or engagement.last_read(self.outbox)
        if (last is not None and abs(now - last) < engagement.EVERY) or not engagement.recent(self.outbox, now):
            return
        self._engaged = now
        network = self.poster.network
        try:
            self.poster.identify()
            engagement.read(network, self.outbox, self.poster.budget, now)
            doubled = engagement.doubled(network, self.outbox, now)
        except NetworkError as error:  # tomorrow will do
            log.info("what people did with the posts could not be read: %s", error)
            return
        if doubled:
            found = "; ".join(f"post {row.id} as {row.remote_id} and as {other}" for row, other in doubled)
            self.notices.say("doubled", f"{network.title} made posts twice, delete one of each there: {found}", now)
        else:
            self.notices.over("doubled")

    def _blocked(self, now: datetime) -> PostingBlock | None:
        block = posting_block(self.outbox, self.poster.budget, now)
        for kind in PROBLEMS:
            if block is not None and block.kind == kind:
                self.notices.say(kind, block.text, now)
            else:
                self.notices.over(kind)
        return block

    def _reason(self, block: PostingBlock | None, now: datetime) -> str:
        """Return why a slot that is open now may stay empty."""
        if block is not None:
            return block.text
        if self._posting.lasts(now):
            return self._trouble
        late = next((row for row in self.outbox.posts(State.APPROVED) if row.attempted), None)
        if late is not None:
            return f"post {late.id} was still to be sent: {late.reason}"
        if self._review and self.outbox.posts(State.HELD):
            return "nobody approved a draft in time"
        last = self.outbox.last_attempt(now)
        if last is not None and now - last < self._schedule.min_gap:
            return "the last post was less than `schedule.min_gap` ago"
        return self._failure or "no draft was ready in time"

    # -- posting -------------------------------------------------------------------------------------

    def _post(self, newest: datetime | None, now: datetime) -> None:
        row = self._choose(newest, now)
        if row is None:
            return
        try:
            row = self.poster.send(row.id)
        except Stale as error:  # `biobot post`, or a person, was faster
            log.info("%s", error)
            self._again = True
            return
        self._posting.succeed()
        self._again = True
        self.say(row)

    @staticmethod
    def say(row: Post) -> None:
        """Write one line about a post into the log."""
        made = f"T={row.temperature:g} seed={row.seed}" if row.temperature is not None else "by hand"
        slot = when(row.slot) if row.slot else "no slot"
        text = json.dumps(row.text, ensure_ascii=False)
        if row.state is State.POSTED:
            log.info("posted %d as %s (%s, %s): %s", row.id, row.remote_id, slot, made, text)
        else:
            level = logging.INFO if row.state is State.APPROVED else logging.WARNING
            log.log(level, "post %d is %s (%s, %s): %s: %s", row.id, row.state, slot, made, row.reason, text)

    def _choose(self, newest: datetime | None, now: datetime) -> Post | None:
        """Return the row to post now; None when nothing is due. `newest` is the newest slot, if it may be filled."""
        waiting = [row for row in self.outbox.posts(State.APPROVED) if not _later(row, now)]
        manual = next((row for row in waiting if row.slot is None or row.in_doubt), None)
        if manual is not None:
            return manual
        last = self.outbox.last_attempt(now)
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
            self.outbox.assign_slot(newest, ready.id, now)
        return ready

    def _account(self, now: datetime) -> datetime | None:
        """Account for the slots that went by; return the newest one if it may still be filled."""
        until = self._accounted(now)
        past = schedule.slots_between(self._schedule, until, now, MAX_MISSED)
        if not past:
            return None
        if self._open(past[-1], now):
            newest, missed = past[-1], past[:-1]
        else:
            newest, missed = None, past
        if missed:
            waiting = [row for row in self.outbox.posts(*PENDING) if row.slot and not row.attempted]
            for row in _by_slot(waiting):
                if row.slot is not None and row.slot <= missed[-1]:
                    self._postpone(row, now)  # the text keeps, its slot does not
            first = next(schedule.slots(self._schedule, until))
            if first < missed[0]:
                reason = f"missed, with all slots until {slot_key(missed[0])}: {self._because}"
                self.outbox.skip([first], reason, now, missed=True)
            taken = self.outbox.taken(missed[0], missed[-1])
            unfilled = [slot for slot in missed if slot not in taken]
            self.outbox.skip(unfilled, f"missed: {self._because}", now, missed=True)
            self._set_accounted(missed[-1], now)
            if unfilled:
                several = f" (and {counted(len(unfilled) - 1, 'slot')} before it)" if len(unfilled) > 1 else ""
                log.warning("slot %s%s missed: %s", when(unfilled[-1]), several, self._because)
        return newest

    def _open(self, slot: datetime, now: datetime) -> bool:
        """Return whether a slot that is past, and the newest such, may still be filled."""
        row = self.outbox.at(slot)
        if row is not None and (row.state not in PENDING or row.attempted):
            return False
        if any(row.attempted for row in self.outbox.posts(State.APPROVED)):
            return False  # a post that could not be sent is still to come; two at once would be a burst
        if self._schedule.catch_up == "one":
            return True
        due = schedule.due(self._schedule, slot, self._key)
        return now - due <= min(timedelta(minutes=1), schedule.interval(self._schedule, slot) / 2)

    def _accounted(self, now: datetime) -> datetime:
        """Return up to when all slots are accounted for; a bot's first step, or a new schedule, begins now."""
        state = bot_state.read(self.outbox)
        known, until = state.schedule, state.accounted
        if until is None or known != schedule.fingerprint(self._schedule):
            self._set_accounted(now, now)
            for row in _by_slot([row for row in self.outbox.posts(*PENDING) if row.slot and not row.attempted]):
                if known:
                    self._postpone(row, now)
            return now
        if until > now:  # the clock was put back
            self._set_accounted(now, now)
            return now
        return until

    def _set_accounted(self, until: datetime, now: datetime) -> None:
        bot_state.account_for(self.outbox, until, schedule.fingerprint(self._schedule), now)

    def _postpone(self, row: Post, now: datetime) -> None:
        """Assign a waiting text the next slot that is free."""
        slot = next(self._free(now), None)
        if slot is not None:
            self.outbox.assign_slot(slot, row.id, now)

    def _free(self, now: datetime) -> Iterator[datetime]:
        """Yield the slots ahead that belong to no row, in order."""
        ahead = schedule.slots(self._schedule, now)
        while some := list(islice(ahead, 40)):
            taken = self.outbox.taken(some[0], some[-1])
            yield from (slot for slot in some if slot not in taken)

    # -- drafts --------------------------------------------------------------------------------------

    def _store(self, now: datetime) -> None:
        """Store what was drawn: drafts, and skipped slots for requests without one."""
        if self.drafter.asked_by not in (None, self.outbox.network):
            return
        found, ended = self.drafter.fetch()
        if found:
            poster.failpoint("drawn")
            state = State.HELD if self._review else State.APPROVED
            drafts = [to_draft(each.verdict, moment(each.request), drawn=each) for each in found if each.verdict]
            placed = list(self._placed(drafts, now))
            added = self.outbox.add(placed, state, now)
            self._known.update(each.slot for each, row in zip(placed, added, strict=True) if each.slot and not row)
            if self._review and any(added):
                held = len(self.outbox.posts(State.HELD))
                log.info("%s made, %d waiting for approval", counted(len(drafts), "draft"), held)
            poster.failpoint("stored")
            self.outbox.count_refused(sum((Counter(each.refused) for each in found), Counter()))
        for each in found:
            if each.verdict is None:
                self.outbox.skip([moment(each.request)], each.reason, now)
                log.warning("slot %s is skipped: %s", when(moment(each.request)), each.reason)
        self._failure = str(ended) if isinstance(ended, BiobotError) else self._failure * (not ended)
        if isinstance(ended, BiobotError):
            raise ended
        if ended:
            self._drafting.succeed()

    def _placed(self, drafts: list[Draft], now: datetime) -> Iterator[Draft]:
        """Yield drafts whose slot went by, or was given away, while they were drawn, the next free ones."""
        free = self._free(now)
        meant = {draft.slot for draft in drafts}
        for draft in drafts:
            taken = draft.slot is None or self.outbox.at(draft.slot) is not None
            yield replace(draft, slot=next((slot for slot in free if slot not in meant), None)) if taken else draft

    def _ask(self, now: datetime, block: PostingBlock | None) -> None:
        """Ask for the drafts of slots ahead, when it is time to."""
        busy, alone = self.drafter.busy or self._drafting.lasts(now), len(self.config.settings.post.all) == 1
        if (block is not None and block.until is None) or (busy and alone):
            return
        slots = [slot for slot in self._undrafted(now) if not self._shared(slot, now)]
        if busy:
            return
        tries = {slot: self.outbox.tries(slot) + self._known[slot] for slot in slots}
        spent = [slot for slot in slots if tries[slot] >= MAX_TEXTS]
        if spent:
            self.outbox.skip(spent, f"{MAX_TEXTS} texts lost this slot", now)
            log.warning("slot %s is skipped: %d texts lost it", when(spent[-1]), MAX_TEXTS)
        names = {slot_key(slot): slot for slot in slots if slot not in spent}
        if names:
            wanted = [request(self.config, name, slot, tries[slot]) for name, slot in names.items()]
            self.drafter.ask(wanted, self.outbox.network)
            self._again = self._again or not self.drafter.threaded

    def _shared(self, slot: datetime, now: datetime) -> bool:
        """Return whether a slot has its text, or will have it, from another network: what one posts, all post."""
        rows = self.outbox.elsewhere(slot, self.config.settings.post.all)
        row = next((row for row in rows if row.text is not None), None)
        if row is None:
            empty = next((row for row in rows if not row.missed), None)
            if empty is not None:
                self.outbox.skip([slot], empty.reason or "", now)
            return empty is not None
        if row.state is State.HELD or slot > now + AHEAD:
            return True  # until then a person may still change it
        how = (row.temperature, row.seed, row.model, row.controls, row.origin or row.id)
        by = row.approved_by or "policy"
        (added,) = self.outbox.add([Draft(row.text or "", slot, *how)], State.APPROVED, now, by)
        self._again = self._again or added is not None
        return added is not None

    def _undrafted(self, now: datetime) -> list[datetime]:
        """Return the slots to ask drafts for now: at most `MAX_DRAFTS`, none that the budget will not let be filled."""
        post = self.config.settings.post
        wanted: list[datetime] = []
        newest = self._newest_open(now)
        if newest is not None:
            wanted.append(newest)
        if self._review:
            room = post.review_ahead - len(self.outbox.posts(State.HELD))
            horizon, lead = now + post.review_expiry, post.review_expiry
        else:
            room, horizon, lead = MAX_DRAFTS, now + AHEAD, LEAD
        for slot in self._free(now):
            first = not wanted or wanted == [newest]
            if len(wanted) >= min(room, MAX_DRAFTS) or slot > horizon or (first and slot > now + lead):
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
        used = Counter(next_day(max(row.slot or now, now)) for row in self.outbox.posts(*PENDING))
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

    def _next(self, now: datetime, block: PostingBlock | None) -> datetime:
        """Return the earliest moment at which something may be due."""
        moments: list[datetime | None] = [now + timedelta(hours=1)]
        moments += [self._drafting.until, self._posting.until, self._reading.until]
        moments += [row.not_before for row in self.outbox.posts(State.APPROVED)]
        if not self._reading.lasts(now):
            settings = self.config.settings.post
            rows = self.outbox.posts(State.UNCONFIRMED)
            moments += [reconcile.due(self.poster.network, row, settings) for row in rows]
            moments += [row.undone + HELD_UP for row in self._deleted(now) if row.undone]
        if block is not None:
            moments.append(block.until)
        last = self.outbox.last_attempt(now)
        if last is not None:
            moments.append(last + self._schedule.min_gap)
        moments.append(schedule.quiet_until(self._schedule, now))
        past = schedule.slots_between(self._schedule, self._accounted(now), now, 1)
        for slot in past[-1:] + schedule.next_slots(self._schedule, now, 3):
            moments += [slot - LEAD, slot, schedule.due(self._schedule, slot, self._key)]
        return min(each for each in moments if each is not None and each > now)


def _later(row: Post, now: datetime) -> bool:
    return row.not_before is not None and is_ahead(row.not_before, now)


def _by_slot(rows: list[Post]) -> list[Post]:
    return sorted(rows, key=lambda row: (row.slot is None, row.slot))
