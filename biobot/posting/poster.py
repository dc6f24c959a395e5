"""One post, from a draft to its proof: the later of the ten steps of docs/architecture.md.

Used by whoever posts (the daemon, `biobot post`, the console). `mark` names every place where a crash could
strike; the crash tests kill the process at each of them.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any, TypeVar

from biobot.config import Config
from biobot.errors import BiobotError, NetworkError, OutboxError, PluginError, SampleError, SecretsError
from biobot.networks.errors import Refused, Unknown, Unsent
from biobot.networks.network import Network, open_network
from biobot.networks.secrets import POSTING, load
from biobot.posting import locks, policy, reconcile, schedule
from biobot.posting.budget import Budget, Kind
from biobot.posting.outbox import Draft, Outbox, Post, State, moment, stamp
from biobot.text.humanize import counted, when
from biobot.text.links import links
from biobot.worker import client, server

T = TypeVar("T")

Clock = Callable[[], datetime]
Draw = Callable[[Sequence[Mapping[str, Any]]], Iterable[Mapping[str, Any]]]
"""What samples and judges: requests to candidates, as `biobot.worker.server.spawn` does in a child process."""
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


# -- drafts ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Drawn:
    """What came of one request: a draft; or, with `draft` None, why there is none.

    `refused` counts, by filter, the candidates that came before it and were refused.
    """

    request: str
    draft: Draft | None
    reason: str = ""
    refused: Mapping[str, int] = field(default_factory=dict)


def request(config: Config, name: str, slot: datetime | None, *salt: object) -> dict[str, Any]:
    """Make the request for one draft: temperature and seed are a hash of the home and the slot.

    A run that is repeated after a crash asks for the same draft. `salt` tells the drafts of one slot apart.
    """
    weights = config.settings.sample.temperatures
    where = (str(config.home.resolve()), slot or name, *salt)
    totals = list(accumulate(weights.values()))
    drawn = bisect(totals, schedule.chance(*where, "temperature") * totals[-1])
    return {
        "id": name,
        "temperature": list(weights)[min(drawn, len(totals) - 1)],
        "seed": int(schedule.chance(*where, "seed") * 2**48),
        "n": config.settings.sample.max_tries,
    }


def drawn(requests: Sequence[Mapping[str, Any]], draw: Draw, slots: Mapping[str, datetime | None]) -> Iterator[Drawn]:
    """Have drafts drawn; give each request's first accepted one as it comes, or why there is none.

    A request that the sampler did not get to the end of is not given: it may be asked again.
    """
    tries = Counter[str]()
    objected: dict[str, Counter[str]] = {each["id"]: Counter() for each in requests}
    limits = {each["id"]: each["n"] for each in requests}
    done: set[str] = set()
    for found in draw(requests):
        name = found["request"]
        if name in done:
            continue
        tries[name] += 1
        if found["accepted"]:
            done.add(name)
            text, temperature, seed, model = (found[key] for key in ("text", "temperature", "seed", "model"))
            noted = {key: found[key] for key in ("bits", "bits_per_byte", "entropy") if key in found}
            controls = json.dumps({**found.get("controls", {}), **noted})
            draft = Draft(text, slots[name], temperature, seed, model, controls)
            yield Drawn(name, draft, refused=objected[name])
            continue
        objected[name].update({each["filter"] for each in found["objections"]})
        if tries[name] >= limits[name]:
            done.add(name)
            why = ", ".join(f"{by} {count}" for by, count in objected[name].most_common())
            yield Drawn(name, None, f"all {tries[name]} drafts were refused: {why}", objected[name])


# -- posting -----------------------------------------------------------------------------------------


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


# -- putting it together -----------------------------------------------------------------------------


def open_poster(config: Config, clock: Clock, *, who: str, stop: threading.Event | None = None) -> Poster:
    """Open the outbox and what posts from it, as the config says."""
    outbox = Outbox(config.home / "outbox.db", config.settings.post.network)
    return Poster(
        config, outbox, lambda: open_network(config), lambda row: judge(config, row), clock, who=who, stop=stop
    )


def judge(config: Config, row: Post) -> list[str]:
    """Judge a row's text in a child process, against everything but the row itself; give the objections."""
    return objections(config, row.text or "", row.id)


def objections(config: Config, text: str, post: int | None = None) -> list[str]:
    """Judge a text in a child process; `post` is the row that it is the text of, or shall be."""
    given = {"text": text} if post is None else {"text": text, "id": str(post)}
    command = [*(["--config", str(config.file)] if config.file else []), "--home", str(config.home)]
    command += ["check", "--json", "-"]
    try:
        lines = list(client.run(command, f"{json.dumps(given)}\n", config.settings.sample.deadline, "judging the text"))
        (found,) = map(json.loads, lines)
    except (SampleError, ValueError) as error:
        raise PluginError(f"{error}; what was not judged is not posted") from error
    if found["accepted"]:
        return []
    return [f"{each['filter']}: {each['reason']}" for each in found["objections"]] or ["refused"]


def spawn(config: Config) -> Draw:
    """Return what draws drafts in a child process."""
    return lambda requests: server.spawn(config, requests, config.settings.sample.deadline)


def one(config: Config, poster: Poster, draw: Draw, text: str | None, slot: datetime | None = None) -> Post:
    """Make one post now, whatever the schedule says: `text`, else the draft that waits longest, else a new one.

    `slot` is the slot that it fills; None leaves all of them to others. With review on, a text that no person
    has seen is only held. Raises OutboxError when there is no text that may be posted, or posting is hindered.
    """
    outbox, now = poster.outbox, poster.clock()
    hindered = hindrance(outbox, poster.budget, now)
    if hindered is not None:
        raise OutboxError(f"nothing is posted: {hindered.text}")
    if config.settings.post.network == "x":
        load(config).require(*POSTING)  # before a row is made that would wait for them
    review = config.settings.post.review == "on"
    if text is not None:
        said = objections(config, text)
        if said:
            raise OutboxError(f"the text is refused: {'; '.join(said)}")
        row = outbox.add([Draft(text, slot)], State.APPROVED, now, "person")[0]
    else:
        ready = (row for row in outbox.posts(State.APPROVED) if not review or row.approved_by == "person")
        row = next((row for row in ready if not row.attempted), None)
        if row is not None:
            outbox.give(slot, row.id, now)
        if row is None:
            name = f"manual {stamp(now)}"
            (found,) = list(drawn([request(config, name, slot)], draw, {name: slot})) or [
                Drawn(name, None, "none came")
            ]
            outbox.count_refused(found.refused, now)
            if found.draft is None:
                raise OutboxError(f"there is nothing to post: {found.reason}")
            row = outbox.add([found.draft], State.HELD if review else State.APPROVED, now)[0]
    if row is None:
        raise OutboxError("the outbox already has a text like that; nothing is posted twice")
    if row.state is State.HELD:
        return row
    try:
        return poster.send(row.id)
    except BiobotError as error:
        if outbox.get(row.id).state is not State.APPROVED:
            raise
        raise OutboxError(
            f"{error}; post {row.id} waits: `biobot run` or `biobot post` sends it, `biobot reject {row.id}` drops it"
        ) from error


def reconcile_now(poster: Poster, post: int | None = None) -> list[Post]:
    """Look for unconfirmed posts on the timeline before it is time; what is not found stays as it is."""
    with locks.lock(poster.config.home, locks.POST, poster.who, poster.clock(), timedelta(seconds=2)):
        poster.adopt_orphans()
        rows = poster.outbox.posts(State.UNCONFIRMED) if post is None else [poster.outbox.get(post)]
        for row in rows:
            if row.state not in (State.UNCONFIRMED, State.FAILED):
                raise OutboxError(f"post {row.id} is {row.state}: there is nothing to settle")
        return poster.settle(rows, early=True)


def resend(poster: Poster, post: int) -> Post:
    """Send a text again on a person's word, unless the timeline shows that it is there."""
    row = reconcile_now(poster, post)[0]
    if row.state is State.POSTED:
        return row
    poster.outbox.resend(post, poster.clock())
    return poster.send(post)
