"""The collector: reads sources page by page, each page one transaction with its people, its token and its price.

A kill at any moment loses at most the page that was under way. X charges a person once a UTC day, so reading
that page again costs nothing. Time is an argument, and waiting is the caller's, who can end it at any moment.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Protocol

from biobot.collect.ledger import Ledger, Row, nameless
from biobot.collect.sources import WAYS, Source, price
from biobot.corpus import readers
from biobot.corpus.readers import Bio
from biobot.corpus.store import Store, handle_key, id_key
from biobot.errors import NetworkError
from biobot.networks import rate_limits
from biobot.networks.errors import Kind, Refused
from biobot.networks.x.client import Page, Person
from biobot.settings import Settings

BACK_OFF = tuple(timedelta(seconds=seconds) for seconds in (1, 2, 5, 15, 60))
"""Waits after calls without an answer; then collecting ends, to be taken up another time."""

PATIENCE = timedelta(hours=1)
"""The longest wait that is waited here; a longer one (a day's limit) ends the run."""

RESTARTS = 3
"""How often a source may begin anew because its token had expired."""

_SOURCE_IS_WRONG = (Kind.INVALID, Kind.NOT_FOUND, Kind.NOT_PERMITTED)


class People(Protocol):
    """The collecting calls of `biobot.networks.x.client.XClient`."""

    def users(self, ids: list[str]) -> Page:
        """Look up users by id."""

    def users_named(self, handles: list[str]) -> Page:
        """Look up users by handle."""

    def followers(self, id: str, token: str | None, size: int) -> Page:  # noqa: A002
        """Read a page of a user's followers."""

    def following(self, id: str, token: str | None, size: int) -> Page:  # noqa: A002
        """Read a page of those whom a user follows."""

    def list_members(self, id: str, token: str | None, size: int) -> Page:  # noqa: A002
        """Read a page of a list's members."""

    def search(self, query: str, token: str | None, size: int) -> Page:
        """Read a page of a search, with its authors."""


@dataclass
class Tally:
    """What a run has done so far; `usd` is what X charged for it, as far as it can be known here."""

    requests: int = 0
    people: int = 0
    added: int = 0
    updated: int = 0
    removed: int = 0
    usd: float = 0.0
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Step:
    """Something to show: a page of `source` was stored, or the run waits, or it ended; `why` says more."""

    event: str
    source: str = ""
    why: str = ""
    wait: timedelta = timedelta(0)


@dataclass
class Collector:
    """One run over some sources.

    `pause` waits for a length of time and tells whether the run is to end (asked with nothing, too, before each
    call); `clock` gives the time; `limit` and `budget` bound the people and the dollars of this run.
    """

    store: Store
    client: People
    settings: Settings
    folder: Path
    sources: list[Source]
    clock: Callable[[], datetime]
    pause: Callable[[timedelta], bool]
    limit: int
    budget: float
    tally: Tally = field(default_factory=Tally)

    def run(self) -> Iterator[Step]:
        """Read until everything is read, or a limit, the budget or `pause` says stop; the last step says why.

        Raises Refused when X refuses for good (no credits, a cap, a revoked key), NetworkError when it keeps
        silent. All that came before is stored.
        """
        self.ledger = Ledger(self.store)
        self._until: dict[str, datetime] = {}
        self._files: dict[int, Iterator[tuple[int, int]]] = {}
        failures = 0
        self._begin()
        while not self.pause(timedelta(0)):
            row, rest = self._choose()
            if row is None and rest is None:
                yield Step("end", why="every source was read")
                return
            if row is None:
                assert rest is not None
                if rest > PATIENCE:
                    yield Step("end", why=f"X wants to be left alone for {_spoken(rest)}; run this again then")
                    return
                yield Step("wait", why="X's rate limit", wait=rest)
                self.pause(rest)
                continue
            size = self._size(row)
            if size < WAYS[row.kind].least:
                spent_up = self.tally.people < self.limit
                yield Step("end", why="the budget is used up" if spent_up else "the limit of people is reached")
                return
            try:
                self._page(row, size)
                failures = 0
                yield Step("page", source=row.root)
            except Refused as refusal:
                self._files.pop(row.number, None)  # what was taken from a file was not looked up
                yield from self._refused(row, refusal)
            except NetworkError as error:
                self._files.pop(row.number, None)
                if failures == len(BACK_OFF):
                    raise
                wait = BACK_OFF[failures]
                failures += 1
                yield Step("wait", why=str(error), wait=wait)
                self.pause(wait)
        yield Step("end", why="stopped; run this again to go on")

    # -- choosing ------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Open what is new, what is due again, and files of ids that have changed."""
        now = self.clock()
        with self.store.transaction():
            for source in self.sources:
                self.ledger.begin(
                    source, now, timedelta(0) if source.kind == "recheck" else self.settings.collect.again
                )
                if source.kind == "ids":
                    (row,) = self.ledger.rows(source)
                    if row.state == "done" and not (row.token or "").endswith(f"@{_stamp(self.folder / row.target)}"):
                        self.ledger.reopen(row.number, now)

    def _choose(self) -> tuple[Row | None, timedelta | None]:
        """Return what to read next; else how long until something can be read; (None, None) when all is read."""
        now = self.clock()
        rests = []
        for source in self.sources:
            row = self.ledger.next(source)
            if row is None:
                continue
            rest = self._until.get(self._route(row), now) - now
            if rest <= timedelta(0):
                return row, None
            rests.append(rest)
        return None, min(rests, default=None)

    def _route(self, row: Row) -> str:
        return "users" if nameless(row) else WAYS[row.kind].route

    def _size(self, row: Row) -> int:
        """Return how many people the next page may hold: X's most, the limit, or what the money is enough for."""
        each = price(row.kind, 1, self.settings.post.prices)
        month = self.settings.collect.usd_per_month - self.ledger.month(self.clock())
        money = min(self.budget - self.tally.usd, month)
        affordable = math.floor(money / each + 1e-9) if each else self.limit
        return min(WAYS[row.kind].most, self.limit - self.tally.people, affordable)

    # -- one page ------------------------------------------------------------------------------------

    def _page(self, row: Row, size: int) -> None:
        if nameless(row):
            self._name(size)
            return
        token: str | None
        asked: list[int] = []
        self.tally.requests += 1
        if row.kind in ("ids", "recheck"):
            asked, token, done = self._next_ids(row, size)
            page = self.client.users([str(each) for each in asked]) if asked else Page(())
        else:
            page = self._ask(row, size)
            token, done = page.next, page.next is None
        self._heed(self._route(row), page.headers)
        refused = not page.people and page.errors and not asked
        with self.store.transaction():
            self._keep(page, row)
            if row.kind == "recheck":
                self._drop([each for each in asked if str(each) in _gone(page)], "gone from X")
            now = self.clock()
            if refused:
                self.ledger.fail(row.number, str(page.errors[0].get("detail") or page.errors[0].get("title")), now)
            else:
                self.ledger.advance(row, token, done=done, people=len(page.people), now=now)

    def _ask(self, row: Row, size: int) -> Page:
        account = str(row.account)
        if row.kind == "followers":
            return self.client.followers(account, row.token, size)
        if row.kind == "lists":
            return self.client.list_members(row.target, row.token, size)
        if row.kind == "search":
            return self.client.search(row.target, row.token, size)
        return self.client.following(account, row.token, size)

    def _name(self, size: int) -> None:
        """Look up the ids behind handles: one request for up to 100 of them."""
        wanted = self.ledger.nameless(self.sources, min(size, 100))
        self.tally.requests += 1
        page = self.client.users_named([handle.removeprefix("@") for _, handle in wanted])
        self._heed("users", page.headers)
        ids = {person.handle.lower(): int(person.id) for person in page.people}
        with self.store.transaction():
            self._keep(page, None)
            for number, handle in wanted:
                account = ids.get(handle.removeprefix("@").lower())
                if account is None:
                    self.ledger.fail(number, f"there is no {handle}", self.clock())
                else:
                    self.ledger.found(number, account)

    def _next_ids(self, row: Row, size: int) -> tuple[list[int], str | None, bool]:
        """Return the ids to look up next, the token after them, and whether they are the last."""
        if row.kind == "recheck":
            ids = self.store.authors(int(row.token or 0), size)
            return ids, str(ids[-1]) if ids else None, len(ids) < size
        file = self.folder / row.target
        stamp = _stamp(file)
        if row.number not in self._files:
            start = _place(row.token, stamp)
            self._files[row.number] = enumerate(islice(readers.ids(file), start, None), start=start + 1)
        ids, place = [], _place(row.token, stamp)
        forgotten = self.store.forgotten().keys
        for at, each in self._files[row.number]:
            place = at
            # who is stored is kept fresh by `corpus recheck`; here they would be paid for again
            if not self.store.knows(each) and id_key(each) not in forgotten:
                ids.append(each)
            if len(ids) == size:
                break
        return ids, f"{place}@{stamp}", len(ids) < size

    def _keep(self, page: Page, row: Row | None) -> None:
        """Store a page's people, and pay for them; those who must not be stored are dropped if they were."""
        now = self.clock()
        prices = self.settings.post.prices
        users = [int(person.id) for person in page.people]
        usd = self.ledger.pay_users(users, prices.read_user, now)
        usd += self.ledger.pay("read_post", page.posts, prices.read_post, now)
        source = row.root if row else "accounts"
        forgotten = self.store.forgotten()
        good: list[Bio] = []
        outside: list[int] = []
        for person in page.people:
            bio = Bio(person.bio, int(person.id), person.handle or None, source)
            why = _unfit(person) or ("forgotten" if forgotten.covers(bio) else None)
            if why is None:
                good.append(bio)
            else:
                self.tally.left_out[why] += 1
                outside.append(int(person.id))
        added = self.store.put(good, now)
        self._drop(outside, "no longer to be kept")
        if row is not None and row.kind == "friends" and row.depth + 1 < self.settings.collect.depth:
            follow = [
                person
                for person in page.people
                if not person.protected
                and forgotten.keys.isdisjoint((id_key(int(person.id)), handle_key(person.handle)))
            ]
            self.ledger.add([("friends", person.id, row.root, row.depth + 1, int(person.id)) for person in follow], now)
        self.tally.people += len(users)
        self.tally.added += added.added
        self.tally.updated += added.updated
        self.tally.usd += usd

    def _drop(self, authors: list[int], why: str) -> None:
        self.tally.removed += self.store.remove(authors, self.clock(), why).authors

    # -- limits and refusals -------------------------------------------------------------------------

    def _heed(self, route: str, headers: Mapping[str, str]) -> None:
        """Leave a route alone whose last call of this window was just made."""
        if any(headers.get(f"{window}-remaining") == "0" for window in rate_limits.WINDOWS):
            self._until[route] = self.clock() + rate_limits.wait(headers)

    def _refused(self, row: Row, refusal: Refused) -> Iterator[Step]:
        """Do what a refusal asks for: wait, begin the source anew, give it up; raise it when it concerns everything."""
        if refusal.kind in (Kind.RATE_LIMIT, Kind.DAILY_LIMIT):
            self._until[self._route(row)] = self.clock() + (refusal.wait or rate_limits.UNTOLD)
            return
        if refusal.kind not in _SOURCE_IS_WRONG:
            raise refusal
        with self.store.transaction():
            if refusal.kind is Kind.INVALID and row.token is not None and row.restarts < RESTARTS:
                self.ledger.restart(row, self.clock())
                why = "its token has expired: begun anew"
            else:
                self.ledger.fail(row.number, str(refusal), self.clock())
                why = f"given up: {refusal}"
        yield Step("source", source=row.root, why=why)


def _unfit(person: Person) -> str | None:
    """Say why this person's bio must not be stored, or None."""
    if person.protected:
        return "protected"
    return "withheld" if person.withheld else readers.wrong(person.bio)


def _gone(page: Page) -> set[str]:
    """Return the ids that X says are not there, or no longer to be seen."""
    definite = ("resource-not-found", "not-authorized-for-resource", "user-suspended", "resource-unavailable")
    return {
        str(error.get("resource_id") or error.get("value"))
        for error in page.errors
        if str(error.get("type") or "").rpartition("/")[2] in definite
    }


def _stamp(file: Path) -> str:
    """Distinguish one state of a file from another."""
    try:
        status = file.stat()
    except OSError:
        return "gone"
    return f"{status.st_size}.{status.st_mtime_ns}"


def _place(token: str | None, stamp: str) -> int:
    """Read how many ids of a file were looked up; none, if it is another file by now."""
    place, _, of = (token or "").partition("@")
    return int(place) if of == stamp else 0


def _spoken(wait: timedelta) -> str:
    minutes = math.ceil(wait.total_seconds() / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
