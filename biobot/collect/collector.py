"""The collector: reads sources page by page; each page is one transaction with its people, its token and its price.

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

from biobot.collect.ledger import Ledger, SourceRow
from biobot.collect.sources import ENDPOINTS, Source, price
from biobot.corpus import readers
from biobot.corpus.opt_outs import handle_key, id_key
from biobot.corpus.readers import Bio
from biobot.corpus.store import Store
from biobot.errors import NetworkError
from biobot.networks import rate_limits
from biobot.networks.errors import Kind, Refused
from biobot.networks.x.client import Page, Person, XClient
from biobot.settings import Settings
from biobot.text.humanize import counted, lasting

BACKOFF = tuple(timedelta(seconds=seconds) for seconds in (1, 2, 5, 15, 60))
"""Waits after calls without an answer; then the run ends, and another one goes on."""

MAX_WAIT = timedelta(hours=1)
"""The longest wait for a rate limit; a longer one (a day's limit) ends the run."""

MAX_RESTARTS = 3
"""How often a source is begun again because its token has expired."""

MAX_EMPTY_PAGES = 20
"""How many pages without people in a row end a source: they cost nothing, so the budget would never end it."""

HANDLES_PER_REQUEST = 100

_ABOUT_THE_SOURCE = (Kind.INVALID, Kind.NOT_FOUND, Kind.NOT_PERMITTED)


@dataclass
class Tally:
    """What a run has done so far.

    `usd` is what X charged, as far as it can be known here; `unanswered` counts stored authors about whom X said
    nothing when asked, neither that they are there nor that they are gone.
    """

    requests: int = 0
    people: int = 0
    added: int = 0
    updated: int = 0
    removed: int = 0
    unanswered: int = 0
    usd: float = 0.0
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Step:
    """An event to show: a page of `source` was stored, a source was given up, the run waits, or it ended; and why."""

    event: str
    source: str = ""
    why: str = ""
    wait: timedelta = timedelta(0)


@dataclass
class Collector:
    """One run over some sources.

    `pause` waits for a length of time and returns whether the run is to end (before each call it is asked with
    no time at all); `clock` returns the time; `limit` and `budget` bound the people and the dollars of this run.
    """

    store: Store
    client: XClient
    settings: Settings
    folder: Path
    sources: list[Source]
    clock: Callable[[], datetime]
    pause: Callable[[timedelta], bool]
    limit: int
    budget: float
    tally: Tally = field(default_factory=Tally)

    def run(self) -> Iterator[Step]:
        """Read until everything is read, or a limit, the budget or `pause` ends the run; the last step says why.

        Raises Refused for a refusal that concerns every source (no credits, a cap, a revoked key), NetworkError
        when X does not answer. All that came before is stored.
        """
        self.ledger = Ledger(self.store)
        self._not_before: dict[str, datetime] = {}
        self._id_files: dict[int, Iterator[tuple[int, int]]] = {}
        self._empty_pages = Counter[int]()
        self._tokens: dict[int, set[str | None]] = {}
        self._handles_per_request = HANDLES_PER_REQUEST
        self._given_up = 0
        failures = 0
        self._open_sources()
        while not self.pause(timedelta(0)):
            row, wait = self._choose()
            if row is None and wait is None:
                failed = f", {counted(self._given_up, 'source')} given up" if self._given_up else ""
                yield Step("end", why=f"every source was read{failed}")
                return
            if row is None:
                assert wait is not None
                if wait > MAX_WAIT:
                    yield Step("end", why=f"X asks for a pause of {lasting(wait)}; run this again then")
                    return
                yield Step("wait", why="X's rate limit", wait=wait)
                self.pause(wait)
                continue
            size = self._page_size(row)
            if size < ENDPOINTS[row.kind].min_page:
                spent_up = self.tally.people < self.limit
                yield Step("end", why="the budget is used up" if spent_up else "the limit of people is reached")
                return
            try:
                yield from self._read_page(row, size)
                failures = 0
                yield Step("page", source=row.root)
            except Refused as refusal:
                self._id_files.pop(row.number, None)  # ids that were taken from a file were not looked up
                yield from self._refused(row, refusal)
            except NetworkError as error:
                self._id_files.pop(row.number, None)
                if failures == len(BACKOFF):
                    raise
                delay = BACKOFF[failures]
                failures += 1
                yield Step("wait", why=str(error), wait=delay)
                self.pause(delay)
        yield Step("end", why="stopped; run it again to continue")

    # -- choosing ------------------------------------------------------------------------------------

    def _open_sources(self) -> None:
        """Open sources that are new, due again, or files of ids that have changed; none of who opted out."""
        now = self.clock()
        opted_out = self.store.forgotten().keys
        self.sources = [source for source in self.sources if opted_out.isdisjoint(_keys_of(source))]
        with self.store.transaction():
            for source in self.sources:
                again = timedelta(0) if source.kind == "recheck" else self.settings.collect.again
                self.ledger.open(source, now, again)
                if source.kind == "ids":
                    (row,) = self.ledger.rows(source)
                    file = self.folder / row.target
                    if row.state == "done" and not (row.token or "").endswith(f"@{_file_version(file)}"):
                        self.ledger.reopen(row.number, now)

    def _choose(self) -> tuple[SourceRow | None, timedelta | None]:
        """Return what to read next; else how long until something can be read; (None, None) when all is read."""
        now = self.clock()
        waits = []
        for source in self.sources:
            row = self.ledger.next_open(source)
            if row is None:
                continue
            wait = self._not_before.get(self._route(row), now) - now
            if wait <= timedelta(0):
                return row, None
            waits.append(wait)
        return None, min(waits, default=None)

    def _route(self, row: SourceRow) -> str:
        return "users" if row.needs_account else ENDPOINTS[row.kind].route

    def _page_size(self, row: SourceRow) -> int:
        """Return how many people the next page may hold: X's most, the limit, or what the money is enough for."""
        each = price(row.kind, 1, self.settings.post.prices)
        month = self.settings.collect.usd_per_month - self.ledger.month_spend(self.clock())
        money = min(self.budget - self.tally.usd, month)
        affordable = math.floor(money / each + 1e-9) if each else self.limit
        return min(ENDPOINTS[row.kind].max_page, self.limit - self.tally.people, affordable)

    # -- one page ------------------------------------------------------------------------------------

    def _read_page(self, row: SourceRow, size: int) -> Iterator[Step]:
        """Read one page and store it; yield a step for each source that it shows to be at its end too early."""
        if row.needs_account:
            yield from self._find_accounts(size)
            return
        if row.account is not None and self.store.has_opted_out(row.account):
            with self.store.transaction():
                self.ledger.drop(row.number)  # since the source was opened: nobody may ask about them any more
            return
        token: str | None
        asked: list[int] = []
        self.tally.requests += 1
        if row.kind in ("ids", "recheck"):
            asked, token, done = self._next_ids(row, size)
            page = self.client.users([str(each) for each in asked]) if asked else Page(())
        else:
            page = self._ask(row, size)
            seen = self._tokens.setdefault(row.number, {None})
            token, done = page.next, page.next in seen  # a token that comes again leads round in a circle
            seen.add(page.next)
        self._note_rate_limit(self._route(row), page.headers)
        problem = None if asked else self._problem(row, page)
        with self.store.transaction():
            self._store_page(page, row)
            if row.kind == "recheck":
                self._recheck(asked, page)
            now = self.clock()
            if problem is None:
                self.ledger.advance(row, token, done=done, people=len(page.people), now=now)
        if problem is not None:
            yield self._give_up(row, problem)

    def _problem(self, row: SourceRow, page: Page) -> str | None:
        """Return why a source cannot be read on after this page, or None."""
        if page.people:
            self._empty_pages[row.number] = 0
        elif page.next is None and page.errors and row.token is None:
            # on a first page that holds nothing else the errors are about the source, not about single people
            return str(page.errors[0].get("detail") or page.errors[0].get("title"))
        elif page.next is not None:
            self._empty_pages[row.number] += 1
        if self._empty_pages[row.number] < MAX_EMPTY_PAGES:
            return None
        return f"{MAX_EMPTY_PAGES} pages in a row without people; the next run continues there"

    def _ask(self, row: SourceRow, size: int) -> Page:
        account = str(row.account)
        if row.kind == "followers":
            return self.client.followers(account, row.token, size)
        if row.kind == "lists":
            return self.client.list_members(row.target, row.token, size)
        if row.kind == "search":
            return self.client.search(row.target, row.token, size)
        return self.client.following(account, row.token, size)

    def _find_accounts(self, size: int) -> Iterator[Step]:
        """Look up the ids behind handles, many in one request."""
        wanted = self.ledger.without_account(self.sources, min(size, self._handles_per_request))
        self.tally.requests += 1
        page = self.client.users_named([row.target.removeprefix("@") for row in wanted])
        self._note_rate_limit("users", page.headers)
        ids = {person.handle.lower(): readers.user_id(person.id) for person in page.people}
        with self.store.transaction():
            self._store_page(page, None)
            for row in wanted:
                if account := ids.get(row.target.removeprefix("@").lower()):
                    self.ledger.set_account(row.number, account)
        for row in wanted:
            if not ids.get(row.target.removeprefix("@").lower()):
                yield self._give_up(row, f"there is no {row.target}")

    def _next_ids(self, row: SourceRow, size: int) -> tuple[list[int], str | None, bool]:
        """Return the ids to look up next, the token after them, and whether they are the last."""
        if row.kind == "recheck":
            ids = self.store.authors(int(row.token or 0), size)
            return ids, str(ids[-1]) if ids else None, len(ids) < size
        file = self.folder / row.target
        file_version = _file_version(file)
        position = _position(row.token, file_version)
        if row.number not in self._id_files:
            rest = islice(readers.ids(file), position, None)
            self._id_files[row.number] = enumerate(rest, start=position + 1)
        ids = []
        forgotten = self.store.forgotten().keys
        for position, each in self._id_files[row.number]:  # noqa: B007
            # who is stored is kept fresh by `corpus recheck`; here they would be paid for again
            if not self.store.knows(each) and id_key(each) not in forgotten:
                ids.append(each)
            if len(ids) == size:
                break
        return ids, f"{position}@{file_version}", len(ids) < size

    def _store_page(self, page: Page, row: SourceRow | None) -> None:
        """Store a page's people, and charge for them; those who must not be stored are dropped if they were."""
        now = self.clock()
        prices = self.settings.post.prices
        users = [id for person in page.people if (id := readers.user_id(person.id))]  # noqa: A001
        usd = self.ledger.charge_users(users, prices.read_user, now)
        usd += self.ledger.charge("read_user", len(page.people) - len(users), prices.read_user, now)
        usd += self.ledger.charge("read_post", page.posts, prices.read_post, now)
        source = row.root if row else "accounts"
        forgotten = self.store.forgotten()
        good: list[Bio] = []
        outside: list[int] = []
        follow: list[int] = []
        for person in page.people:
            bio = Bio(person.bio, readers.user_id(person.id), person.handle or None, source)
            why = _unfit(person, bio) or ("forgotten" if forgotten.covers(bio) else None)
            if why is None:
                good.append(bio)
            else:
                self.tally.left_out[why] += 1
            if bio.author is not None and why is not None:
                outside.append(bio.author)
            if bio.author is not None and not (person.protected or person.withheld or forgotten.names(bio)):
                follow.append(bio.author)
        added = self.store.add_batch(good, now)
        self._remove(outside, "no longer to be kept")
        if row is not None and row.kind == "friends" and row.depth + 1 < self.settings.collect.depth:
            self.ledger.add([("friends", str(each), row.root, row.depth + 1, each) for each in follow], now)
        self.tally.people += len(page.people)
        self.tally.added += added.added
        self.tally.updated += added.updated
        self.tally.usd += usd

    def _recheck(self, asked: list[int], page: Page) -> None:
        """Remove those of the authors `asked` about who are gone, and count those about whom X said nothing."""
        gone = _gone(page)
        self._remove([each for each in asked if str(each) in gone], "gone from X")
        named = {str(error.get("resource_id") or error.get("value")) for error in page.errors}
        named |= {person.id for person in page.people}
        self.tally.unanswered += sum(str(each) not in named for each in asked)

    def _remove(self, authors: list[int], why: str) -> None:
        self.tally.removed += self.store.remove(authors, self.clock(), why).authors

    # -- limits and refusals -------------------------------------------------------------------------

    def _note_rate_limit(self, route: str, headers: Mapping[str, str]) -> None:
        """Leave a route alone if the last call that its window allows was just made."""
        if any(headers.get(f"{window}-remaining") == "0" for window in rate_limits.WINDOWS):
            self._not_before[route] = self.clock() + rate_limits.wait(headers)

    def _refused(self, row: SourceRow, refusal: Refused) -> Iterator[Step]:
        """Wait, begin the source again, or give it up, as a refusal asks; raise it when it concerns every source."""
        if refusal.kind in (Kind.RATE_LIMIT, Kind.DAILY_LIMIT):
            self._not_before[self._route(row)] = self.clock() + (refusal.wait or rate_limits.DEFAULT_WAIT)
        elif refusal.kind not in _ABOUT_THE_SOURCE:
            raise refusal
        elif row.needs_account and self._handles_per_request > 1:
            self._handles_per_request = 1  # one handle that X does not take must not spoil the others
        elif refusal.kind is Kind.INVALID and row.token is not None and row.restarts < MAX_RESTARTS:
            self._tokens.pop(row.number, None)
            with self.store.transaction():
                self.ledger.restart(row, self.clock())
            yield Step("source", source=row.root, why="its token has expired; begun again")
        else:
            yield self._give_up(row, str(refusal))

    def _give_up(self, row: SourceRow, why: str) -> Step:
        with self.store.transaction():
            self.ledger.fail(row.number, why, self.clock())
        self._given_up += 1
        return Step("source", source=row.root, why=f"given up: {why}")


def _unfit(person: Person, bio: Bio) -> str | None:
    """Return why this person's bio must not be stored, or None."""
    if person.protected or person.withheld:
        return "protected" if person.protected else "withheld"
    return "no valid id" if bio.author is None else readers.wrong(bio)


def _keys_of(source: Source) -> list[bytes]:
    """Return the keys under which the person whose circle a source reads may have opted out."""
    if source.kind not in ("followers", "following", "friends"):
        return []
    target = source.target
    return [handle_key(target)] if target.startswith("@") else [id_key(int(target))]


def _gone(page: Page) -> set[str]:
    """Return the ids that X says are not there, or no longer to be seen."""
    definite = ("resource-not-found", "not-authorized-for-resource", "user-suspended", "resource-unavailable")
    return {
        str(error.get("resource_id") or error.get("value"))
        for error in page.errors
        if str(error.get("type") or "").rpartition("/")[2] in definite
    }


def _file_version(file: Path) -> str:
    """Return a mark that changes when the file does."""
    try:
        status = file.stat()
    except OSError:
        return "gone"
    return f"{status.st_size}.{status.st_mtime_ns}"


def _position(token: str | None, file_version: str) -> int:
    """Return how many ids of a file were looked up; none if it has changed since."""
    position, _, of = (token or "").partition("@")
    return int(position) if of == file_version else 0
