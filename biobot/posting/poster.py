"""One post, from a draft to its proof: the later of the ten steps of docs/architecture.md.

Used by whoever posts (the daemon, `biobot post`, the console). `mark` names every place where a crash could
strike; the crash tests kill the process at each of them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from biobot.config import Config
from biobot.errors import NetworkError, OutboxError, SecretsError
from biobot.networks.errors import Refused, Unknown, Unsent
from biobot.networks.network import Network
from biobot.posting import locks, policy, reconcile
from biobot.posting.budget import Budget, Kind
from biobot.posting.outbox import Outbox, Post, State, moment, stamp
from biobot.text.humanize import counted, when
from biobot.text.links import links

T = TypeVar("T")

Clock = Callable[[], datetime]
Judge = Callable[[Post], list[str]]
"""What judges a row once more: its objections, none when it may be posted."""

log = logging.getLogger("biobot")

BREAKER = 3
"""So many posts of unknown fate in a row, and no more are made until the timeline or a person has spoken."""

LONGEST_WAIT = timedelta(hours=26)
"""No wait is longer (`biobot.posting.policy`): one that is was set while the clock ran years ahead (F47)."""

GRACE = timedelta(seconds=8)
"""How long SIGTERM waits for the answer of a post that is under way."""

SLOWEST = timedelta(seconds=15)
"""How much longer than `x.timeout` a call may take in all, however slowly the answer drips."""


def mark(point: str) -> None:
    """Mark a place where a crash must do no harm; the crash tests replace this by a kill."""


HINDRANCES = ("blocked", "breaker", "wait", "budget")
"""What may hinder a post without a person's wish: the names of problems."""


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Why nothing is posted now; `until` is when that ends by itself (None: not by itself)."""

    kind: str
    text: str
    until: datetime | None = None


def hindrance(outbox: Outbox, budget: Budget, now: datetime) -> Hindrance | None:
    """Return why nothing may be posted now; None when something may."""
    if outbox.flag("paused") is not None:
        return Hindrance("paused", "paused; `biobot resume` goes on")
    blocked = outbox.flag("blocked")
    if blocked is not None:
        return Hindrance("blocked", blocked)
    if outbox.unconfirmed_run(now) >= BREAKER:
        return Hindrance(
            "breaker",
            f"{BREAKER} posts of unknown fate in a row: nothing is posted until the timeline tells, "
            "or until `biobot resume`",
        )
    wait = outbox.flag("wait")
    if wait is not None:
        until, _, why = wait.partition(" ")
        if now < moment(until) <= now + LONGEST_WAIT:
            return Hindrance("wait", f"waiting until {when(moment(until))}: {why}", moment(until))
    left = budget.left(now)
    if left.until is not None:
        what = (
            f"the day's budget of {counted(left.posts_per_day, 'post')}"
            if left.posts == 0
            else f"the month's budget of ${left.usd_per_month:.2f} (${left.usd_month:.2f} spent)"
        )
        return Hindrance("budget", f"{what} is used up; next at {when(left.until)}", left.until)
    return None


class Poster:
    """Posts rows of the outbox, one at a time, at most once each.

    `open_network` is called when the network is first needed. `stop` is set when the process shall end: a call
    under way then gets `GRACE`, and becomes unconfirmed.
    """

    def __init__(
        self,
        config: Config,
        outbox: Outbox,
        open_network: Callable[[], Network],
        judge: Judge,
        clock: Clock,
        *,
        who: str,
        stop: threading.Event | None = None,
    ) -> None:
        self.config = config
        self.outbox = outbox
        self.budget = Budget(outbox, config.settings.post)
        self.clock = clock
        self.who = who
        self.stop = stop or threading.Event()
        self._open_network = open_network
        self._network: Network | None = None
        self._judge = judge
        self._known = False

    @property
    def network(self) -> Network:
        """The network, opened on first use."""
        if self._network is None:
            self._network = self._open_network()
        return self._network

    def close(self) -> None:
        """Let go of the network."""
        if self._network is not None:
            self._network.close()

    def send(self, post: int) -> Post:
        """Judge a row once more, and post it: steps 7 to 10. Give the row as it is then.

        Raises LockHeld when somebody else is posting, BudgetSpent, and OutboxError for a row that may not be
        posted; the row is then as it was. A network's error is not raised: the row says what came of it.
        """
        row = self.outbox.get(post)
        objections = self._judge(row)
        if objections:
            return self.outbox.reject(
                post, self.clock(), f"refused at the last moment: {'; '.join(objections)}", "policy"
            )
        mark("judged")
        with locks.lock(self.config.home, locks.POST, self.who, self.clock(), timedelta(seconds=2)):
            self.adopt_orphans()
            self.identify()
            mark("locked")
            if self.stop.is_set():
                return row
            now = self.clock()
            charge = self.budget.charge(post, _kind(row.text or ""), now)
            review = self.config.settings.post.review == "on"
            row = self.outbox.claim(post, now, review=review, charge=charge, rev=row.rev)
            mark("claimed")
            return self._post(row)

    def _post(self, row: Post) -> Post:
        """Make the one call, and write down what came of it: steps 9 and 10."""
        text = row.text or ""
        try:
            remote_id = self._call(lambda: self.network.post(text), GRACE)
            mark("answered")
        except NetworkError as error:
            return self._note(row, error)
        except SecretsError as error:  # a key is missing: no call was made
            self.outbox.set_flag("blocked", f"{error}; then `biobot resume`", self.clock())
            return self.outbox.defer(row.id, None, self.clock(), str(error))
        except BaseException as error:
            # anything else, Ctrl-C included, may have come after the post was accepted
            self.outbox.unconfirmed(row.id, self.clock(), f"{type(error).__name__} while posting: {error}")
            raise
        settled = self.outbox.posted(row.id, remote_id, self.clock())
        mark("settled")
        self.outbox.set_flag("_strikes", None, self.clock())
        return settled

    def _note(self, row: Post, error: NetworkError) -> Post:
        decision = self._react(error, resent=row.resends > 0)
        now, reason = self.clock(), f"{error}: {decision.mend}"
        match decision.row:
            case "approved":
                return self.outbox.defer(row.id, decision.until, now, reason)
            case "failed":
                return self.outbox.refuse(row.id, now, reason)
            case _:
                return self.outbox.unconfirmed(row.id, now, reason)

    def _react(self, error: NetworkError, *, resent: bool = False) -> policy.Decision:
        """Do for the whole bot what the table of errors says."""
        now, kind = self.clock(), policy.name(error)
        last, _, count = (self.outbox.flag("_strikes") or "").partition(" ")
        before = int(count) if last == kind else 0
        decision = policy.decide(error, now, before=before, resent=resent)
        self.outbox.set_flag("_strikes", f"{kind} {before + 1}", now)
        if decision.then is policy.Then.WAIT and decision.until is not None:
            self.outbox.set_flag("wait", f"{stamp(decision.until)} {error}", now)
        elif decision.then is policy.Then.BLOCK:
            self.outbox.set_flag("blocked", f"{error}: {decision.mend}", now)
        return decision

    def adopt_orphans(self) -> list[Post]:
        """Make `unconfirmed` what a process that died left `sending`; only for a holder of `post.lock`."""
        reason = "the process ended during the call"
        return [self.outbox.unconfirmed(row.id, self.clock(), reason) for row in self.outbox.posts(State.SENDING)]

    def identify(self) -> None:
        """Make sure, once, that the keys belong to the outbox's account (F44)."""
        if self._known:
            return
        try:
            account = self._call(lambda: self.network.me(), timedelta(0))
        except NetworkError as error:
            unsent = Unsent(str(error)) if isinstance(error, Unknown) else error
            self._react(unsent)
            raise unsent from error
        self.budget.record("read_own", 1, self.clock())
        try:
            self.outbox.claim_account(account.id, self.clock())
        except OutboxError as error:
            self.outbox.set_flag("blocked", f"{error}; then `biobot resume`", self.clock())
            raise
        self._known = True

    def settle(self, rows: list[Post], *, early: bool = False) -> list[Post]:
        """Look for unconfirmed rows on the timeline; raises NetworkError when it cannot be read."""
        self.identify()

        def timeline(since: datetime, limit: int) -> list[Any]:
            return self._call(lambda: self.network.timeline(since, limit), timedelta(0))

        return reconcile.settle(self.outbox, self.budget, timeline, rows, self.clock(), early=early)

    def undo(self, post: int) -> Post:
        """Delete a post from the network; only one that this outbox posted (F20)."""
        row = self.outbox.get(post)
        if row.state is not State.POSTED or row.remote_id is None:
            raise OutboxError(f"post {post} is {row.state}: only what is posted can be deleted")
        remote_id = row.remote_id
        with locks.lock(self.config.home, locks.POST, self.who, self.clock(), timedelta(seconds=2)):
            self.identify()
            try:
                self._call(lambda: self.network.delete(remote_id), timedelta(0))
            except Refused as error:
                if error.status != 404:
                    raise
            self.budget.record("delete", 1, self.clock())
            return self.outbox.deleted(post, self.clock())

    def _call(self, act: Callable[[], T], grace: timedelta) -> T:
        """Make a call, but not for longer than the timeout, nor `grace` longer than the wish to stop."""
        limit = self.config.settings.x.timeout + SLOWEST
        return call(act, limit, self.stop, grace)


def call(act: Callable[[], T], limit: timedelta, stop: threading.Event, grace: timedelta) -> T:
    """Run `act` in a thread and wait for it: at most `limit`, and at most `grace` from when `stop` is set.

    Raises what it raises, and Unknown when its end is not waited for: it then goes on until the process ends.
    """
    result: list[Any] = []
    done = threading.Event()

    def run() -> None:
        try:
            result[:] = [act(), None]
        except BaseException as error:  # noqa: BLE001 - raised again by the one who waits
            result[:] = [None, error]
        done.set()

    threading.Thread(target=run, name="call", daemon=True).start()
    begun, stopped = time.monotonic(), None
    while not done.wait(0.05):
        now = time.monotonic()
        if stopped is None and stop.is_set():
            stopped = now
        if now - begun > limit.total_seconds():
            raise Unknown(f"no answer within {limit.total_seconds():.0f} seconds; the request may have been done")
        if stopped is not None and now - stopped >= grace.total_seconds():
            raise Unknown("told to stop before the answer came; the request may have been done")
    value, error = result
    if error is not None:
        raise error
    return value  # type: ignore[no-any-return]


def _kind(text: str) -> Kind:
    return "post_with_url" if links(text) else "post"
