"""One post, from an approved draft to its proof.

Used by whoever posts (the daemon, the commands, the console). `failpoint` names every place where a crash could
strike; the crash tests kill the process at each of them.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TypeVar

from biobot import redact
from biobot.config import Config
from biobot.errors import BiobotError, NetworkError, OutboxError, SecretsError, say
from biobot.networks.errors import Kind, Refused, Unknown, Unsent
from biobot.networks.network import FOR_EVER, Network
from biobot.posting import bot_state, locks, policy, reconcile, transitions
from biobot.posting.budget import Budget
from biobot.posting.outbox import Outbox, WrongAccount
from biobot.posting.post import Post, State
from biobot.text.humanize import when
from biobot.text.links import links

log = logging.getLogger("biobot")

T = TypeVar("T")

REPEATED = "the same call, made again under the post's key, will settle it"

LOCK_TIMEOUT = timedelta(seconds=2)
"""How long to wait for whoever else is posting."""

Clock = Callable[[], datetime]
Judge = Callable[[Post], list[str]]
"""What judges a row once more: its objections, none when it may be posted."""


def failpoint(name: str) -> None:
    """Mark a place where a crash must do no harm; the crash tests replace this by a kill."""


class Poster:
    """Posts rows of the outbox, one at a time, at most once each.

    `open_network` is called when the network is first needed. Once `stop` is set nothing more is claimed; what
    becomes of a call that is under way then is said in `biobot.networks.network.Network`.
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
        self._began = clock()
        self._identified = False
        self._compared: list[datetime | None] = []

    @property
    def network(self) -> Network:
        """The network, opened on first use."""
        if self._network is None:
            self._network = self._open_network()
        return self._network

    def close(self) -> None:
        """Close the network."""
        if self._network is not None:
            self._network.close()

    # -- one post ------------------------------------------------------------------------------------

    def send(self, post: int, *, resend: bool = False) -> Post:
        """Judge a row once more, and post it; return the row as it is then.

        `resend` is a person's word to send a text again whose fate is unknown. A row in doubt is looked for first:
        look and claim are one step, under the post lock and for the revision that was read here. Raises LockHeld when
        somebody else is posting, BudgetSpent, and OutboxError for a row that may not be posted; the row is then as
        it was. A network's error after the claim is not raised: the row says what came of it.
        """
        row = self.outbox.get(post)
        if resend and row.state is State.SENDING:
            with self._alone():  # the process that sent it is gone
                row = self.outbox.get(post)
        if resend and not row.in_doubt:
            raise OutboxError(f"post {post} is {row.state}: only a text whose fate is unknown is sent again")
        if resend and reconcile.is_settled_by_repeating(self.network, row):
            return self.reconcile(post)[0]
        if not row.in_doubt and (objection := self.network.objection(row.text or "")):
            if row.slot is not None and len(self.config.settings.post.all) > 1:
                return transitions.skip(self.outbox, post, self.clock(), objection)
            return transitions.reject(self.outbox, post, self.clock(), row.rev, reason=objection, by="policy")
        if objections := self._judge(row):
            reason = f"refused at the last moment: {'; '.join(objections)}"
            if resend:
                raise OutboxError(f"post {post} is not sent again: {reason}")
            return transitions.reject(self.outbox, post, self.clock(), row.rev, reason=reason, by="policy")
        failpoint("judged")
        with self._alone():
            self.identify()
            failpoint("locked")
            if row.in_doubt or self._may_predate_restore(row):
                row, is_absent = self._look_first(row, resend)
                if not is_absent:
                    return row
            if self.stop.is_set():
                return row
            now = self.clock()
            row = transitions.claim(
                self.outbox,
                post,
                now,
                review=self.config.settings.post.review == "on",
                charge=self.budget.charge(post, "post_with_url" if links(row.text or "") else "post", now),
                network_time=now + (self.network.clock_offset or timedelta(0)),
                fixed=self._fixed(row, now) if row.key is None else None,
                rev=row.rev,
                not_found_at=row.rev if row.in_doubt else None,
                resend=resend,
            )
            failpoint("claimed")
            return self._post(row)

    def _look_first(self, row: Post, resend: bool) -> tuple[Post, bool]:
        """Look for a row right before it is sent; return it, and whether it is certainly not there."""
        seen = self._read(lambda: reconcile.look(self.network, self.outbox, self.budget, [row], self.clock()))
        if row.id in seen.found:
            settle = transitions.find if row.in_doubt else transitions.adopt
            return settle(self.outbox, row.id, seen.found[row.id].id, self.clock(), row.rev), False
        if row.id in seen.absent:
            if not row.in_doubt:
                state = bot_state.read(self.outbox)
                self._outlast_lag(max(filter(None, (state.restored, state.copied)), default=None))
                return row, True
            until = reconcile.lags_until(row, seen.at)
            if until is None or reconcile.may_repeat(self.network, row, self.clock()):
                return row, True
            now, wait = self.clock(), until - seen.at
            row = transitions.record_look(self.outbox, row, seen.at, now + wait, now)
            if resend:
                raise OutboxError(
                    f"post {row.id} is not sent again yet: it is not on the timeline, which may lag: try again in "
                    f"{math.ceil(wait.total_seconds())} s"
                )
            return row, False
        if resend:
            raise OutboxError(f"post {row.id} is not sent again: {reconcile.INCONCLUSIVE}")
        row = transitions.reject(self.outbox, row.id, self.clock(), row.rev, reason=reconcile.INCONCLUSIVE, by="policy")
        return row, False

    def _may_predate_restore(self, row: Post) -> bool:
        """Return whether a row may have been posted already, from an outbox that a backup has replaced since."""
        earliest, copied = reconcile.earliest(row), bot_state.read(self.outbox).copied
        if earliest >= max(self._began, copied or self._began):
            return False
        if self._compared != [copied]:
            if self._read(self._is_restored):
                log.warning("the account has posts that this outbox does not know: older drafts are looked for first")
                bot_state.note_restored(self.outbox, self.clock())
            else:
                self._outlast_lag(copied)
            self._compared = [copied]
        restored = bot_state.read(self.outbox).restored
        return restored is not None and earliest <= restored

    def _outlast_lag(self, restored: datetime | None) -> None:
        """Wait until the timeline shows what was posted before the outbox was restored; raise Unsent until then.

        Where keys last for ever nothing depends on it: the same post is there once.
        """
        now = self.clock()
        lasts = restored is not None and -reconcile.MARGIN < now - restored < reconcile.MAX_LAG
        if restored is None or not lasts or self.network.key_lasts == FOR_EVER:
            return
        reason = "outbox.db was put back from a copy: the timeline may not show yet what was posted since it was made"
        bot_state.wait(self.outbox, min(restored, now) + reconcile.MAX_LAG, reason, now)
        raise Unsent(reason)

    def _is_restored(self) -> bool:
        try:
            return reconcile.is_restored(self.network, self.outbox, self.budget, self.clock())
        except Refused as error:
            if error.kind in (Kind.RATE_LIMIT, Kind.DAILY_LIMIT):
                raise
            return False  # keys that may not read can still post

    def _fixed(self, row: Post, now: datetime) -> tuple[str, str]:
        """Return the key and the request that every attempt to post a row shares."""
        text, has_keys = row.text or "", self.network.key_lasts is not None
        key = self.network.make_key(text, row.id, row.slot or row.created, now) if has_keys else ""
        return key, self.network.compose(text, now)

    def _call(self, row: Post) -> str:
        """Make the call that posts a row; repeat it at once where that settles an unknown outcome."""
        unknown: Unknown | None = None
        while True:
            try:
                return self._put(row)
            except NetworkError as error:
                if unknown is not None or not isinstance(error, Unknown):
                    raise unknown or error from error
                if self.stop.is_set() or not reconcile.is_settled_by_repeating(self.network, row):
                    raise
                unknown = error
                failpoint("unanswered")

    def _put(self, row: Post) -> str:
        return _sorted(lambda: self.network.post(row.request or row.text or "", row.key or ""))

    def _post(self, row: Post) -> Post:
        """Make the call, and record its outcome."""
        try:
            remote_id = self._call(row)
            failpoint("answered")
        except NetworkError as error:
            decision = self._react(error)
            following = self._following(row) if isinstance(error, Unknown) else ""
            now, reason = self.clock(), f"{error}: {following or decision.remedy}"
            if decision.state is State.APPROVED:
                return transitions.defer(self.outbox, row.id, decision.until, now, reason)
            settle = transitions.refuse if decision.state is State.FAILED else transitions.lose_track
            return settle(self.outbox, row.id, now, reason)
        except SecretsError as error:  # a key is missing: no call was made
            bot_state.block(self.outbox, f"{error}; then `biobot resume`", self.clock())
            return transitions.defer(self.outbox, row.id, None, self.clock(), str(error))
        except BaseException as error:
            # anything else, Ctrl-C included, may have come after the post was accepted
            reason = redact.hide(f"{type(error).__name__} while posting: {error}")
            transitions.lose_track(self.outbox, row.id, self.clock(), reason)
            raise
        row = transitions.confirm(self.outbox, row.id, remote_id, self.clock())
        failpoint("settled")
        bot_state.clear_strikes(self.outbox, self.clock())
        return row

    def _following(self, row: Post) -> str:
        """Return how the key of a row will settle what became of it; "" where it cannot."""
        lasts, first = self.network.key_lasts, row.look_from
        if reconcile.is_settled_by_repeating(self.network, row):
            return REPEATED
        if not row.key or lasts is None or first is None:
            return ""
        until = first + lasts - (self.network.clock_offset or timedelta(0))
        again = f"is sent again under its key until {when(until)}"
        return f"the post is looked for, and where it is not there it {again}; do not post it by hand before"

    # -- settling and undoing ------------------------------------------------------------------------

    def settle(self, rows: list[Post]) -> list[Post]:
        """Settle unconfirmed rows whose time has come; raises NetworkError when the network does not let it.

        Those that the same call settles are told by it; the others are looked for, and sent again where that is safe.
        """
        self.identify()
        repeated = [row for row in rows if reconcile.is_settled_by_repeating(self.network, row)]
        settled = self._repeated(repeated) if repeated else []
        if not (rest := [row for row in rows if row not in repeated]):
            return settled
        seen = reconcile.look(self.network, self.outbox, self.budget, rest, self.clock())
        again = [row for row in rest if row.id in seen.absent and reconcile.may_repeat(self.network, row, self.clock())]
        settled += self._repeated(again) if again else []
        post = self.config.settings.post
        return settled + [
            reconcile.settle(self.outbox, seen, row, post, self.clock())
            for row in rest
            if self.outbox.get(row.id).rev == row.rev  # nobody has sent it again, or found it, since the look
        ]

    def _repeated(self, rows: list[Post]) -> list[Post]:
        """Make the calls of rows in doubt again, under their keys."""
        with self._alone():
            found = [self.outbox.get(row.id) for row in rows]  # before the lock, another process may have been here
            return [self._repeat(row) if row.in_doubt else row for row in found]

    def _repeat(self, row: Post) -> Post:
        """Make the call of a row in doubt again; only for a holder of the post lock."""
        if self.stop.is_set():
            return row
        try:
            remote_id = self._put(row)
        except Refused as error:
            decision = self._react(error)
            if decision.state is not State.FAILED or row.state is not State.UNCONFIRMED:
                raise
            return transitions.give_up(self.outbox, row, self.clock(), f"{error}: {decision.remedy}")
        except Unknown:
            if reconcile.is_settled_by_repeating(self.network, row):
                raise
            return row
        failpoint("repeated")
        how = "sent again under its key, so it is there once"
        return transitions.find(self.outbox, row.id, remote_id, self.clock(), row.rev, how)

    def reconcile(self, post: int | None = None) -> list[Post]:
        """Look for unconfirmed posts before it is time; what is not found stays as it is."""
        with self._alone():
            rows = self.outbox.posts(State.UNCONFIRMED) if post is None else [self.outbox.get(post)]
            for row in rows:
                if not row.in_doubt:
                    raise OutboxError(f"post {row.id} is {row.state}: there is nothing to settle")
            return self._found(rows) if rows else []

    def undo(self, post: int) -> Post:
        """Delete a post from the network; only one that this outbox posted (F20)."""
        with self._alone():
            row = self.outbox.get(post)
            if row.in_doubt:
                (row,) = self._found([row])
                if row.in_doubt:
                    raise OutboxError(
                        f"post {post} is not on the timeline, which may lag: `biobot undo {post}` looks again"
                    )
            if row.state is not State.POSTED or row.remote_id is None:
                raise OutboxError(f"post {post} is {row.state}: only what is posted can be deleted")
            self.identify()
            if row.undone is None:
                row = transitions.undo(self.outbox, post, self.clock())
                failpoint("undone")
            return self._delete(row)

    def finish_undos(self) -> list[Post]:
        """Delete what a person wanted deleted when the process ended or the network failed."""
        with self._alone():
            self.identify()
            return [self._delete(row) for row in self.outbox.undone()]

    def delete_again(self, rows: list[Post]) -> None:
        """Delete once more what was deleted: a call that was held up on its way may have brought it back."""
        with self._alone():
            self.identify()
            for row in rows:
                self._take_off(row)

    def _take_off(self, row: Post) -> None:
        """Make the call that deletes a post; one that is gone already is not an error."""
        try:
            _sorted(lambda: self.network.delete(row.remote_id or ""))
        except Refused as error:
            if error.kind is not Kind.NOT_FOUND:
                raise

    def _delete(self, row: Post) -> Post:
        self._take_off(row)
        failpoint("deleted")
        self.budget.record("delete", 1, self.clock())
        return transitions.delete(self.outbox, row.id, self.clock())

    def _found(self, rows: list[Post]) -> list[Post]:
        """Settle rows in doubt, under the post lock; return all of them as they are then."""
        self.identify()
        done = {row.id: self._repeat(row) for row in rows if reconcile.is_settled_by_repeating(self.network, row)}
        if rest := [row for row in rows if row.id not in done]:
            seen = reconcile.look(self.network, self.outbox, self.budget, rest, self.clock())
            for row in rest:
                there = seen.found.get(row.id)
                if there:
                    row = transitions.find(self.outbox, row.id, there.id, self.clock())
                elif row.id in seen.absent and row.looked is None:
                    row = transitions.record_look(self.outbox, row, seen.at, self.clock(), self.clock())
                done[row.id] = row
        return [done[row.id] for row in rows]

    # -- what all of these need ----------------------------------------------------------------------

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the network's post lock, and settle first what a process left that died with it."""
        name = locks.post(self.outbox.network)
        with locks.lock(self.config.home, name, self.who, self.clock(), LOCK_TIMEOUT):
            self.adopt_orphans()
            yield

    def adopt_orphans(self) -> list[Post]:
        """Make `unconfirmed` what a process that died left `sending`; only for a holder of the post lock."""
        reason = "the process ended during the call"
        orphans = self.outbox.posts(State.SENDING)
        return [transitions.lose_track(self.outbox, row.id, self.clock(), reason) for row in orphans]

    def identify(self) -> None:
        """Make sure, once, that the keys belong to the outbox's account (F44)."""
        if self._identified:
            return
        account = self._read(lambda: self.network.me())
        self.budget.record("read_own", 1, self.clock())
        try:
            self.outbox.claim_account(account.id, self.clock())
        except WrongAccount as error:
            bot_state.block(self.outbox, f"{error}; then `biobot resume`", self.clock())
            raise
        self._identified = True

    def _read(self, call: Callable[[], T]) -> T:
        """Make a call that changes nothing on the network, on the way to a post: its errors make the bot wait."""
        try:
            return _sorted(call)
        except NetworkError as error:
            harmless = Unsent(str(error)) if isinstance(error, Unknown) else error
            if not self.stop.is_set():
                self._react(harmless)
            raise harmless from error

    def _react(self, error: NetworkError) -> policy.Decision:
        """Do for the whole bot what the table of errors says."""
        now = self.clock()
        decision = policy.decide(error, now, before=bot_state.count_strike(self.outbox, policy.name(error), now))
        if decision.then is policy.Then.WAIT and decision.until is not None:
            bot_state.wait(self.outbox, decision.until, str(error), now)
        elif decision.then is policy.Then.BLOCK:
            bot_state.block(self.outbox, f"{error}: {decision.remedy}", now)
        return decision


def _sorted(call: Callable[[], T]) -> T:
    """Make a call; a plugin's own mistake counts as Unknown, since it may have come after the call was done."""
    try:
        return call()
    except BiobotError:
        raise
    except Exception as error:
        raise Unknown(say(error)) from error
