"""The fake X's people: users with bios who follow each other, are in lists and post, and what reading them costs.

The routes are those that collecting uses, with X's page sizes, page tokens, error bodies and prices. `World` is
the judge: it counts who was paid for, and who was paid for twice on one day.
"""

from __future__ import annotations

import random
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from biobot.rehearsal.faults import Answer, problem
from biobot.rehearsal.server import Request, Route

USER_USD, POST_USD = 0.010, 0.005
"""Dollars for reading somebody else or their post, as of 2026-08; charged once per UTC day."""

LIKES = ("tea", "maps", "rain", "vinyl", "bread", "oceans", "chess", "bees", "novels", "trains", "clouds", "drums")


@dataclass
class User:
    """A person; suspended and deleted ones are no longer shown to anyone."""

    id: int
    handle: str
    bio: str
    protected: bool = False
    withheld: bool = False
    suspended: bool = False
    deleted: bool = False


@dataclass
class World:
    """Users by id, their relations and lists, and the ledger of what was charged."""

    users: dict[int, User] = field(default_factory=dict)
    followers: dict[int, list[int]] = field(default_factory=dict)
    following: dict[int, list[int]] = field(default_factory=dict)
    lists: dict[int, list[int]] = field(default_factory=dict)
    posts: list[tuple[int, int, str]] = field(default_factory=list)
    """(id, author, text), newest first: everything that a search can find."""
    paid: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    """How often each (UTC day, "user" or "post", id) was in an answer; X charges for the first time."""
    epoch: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def invent(cls, people: int, seed: int = 0) -> World:
        """Return a world of made-up users, some protected, withheld or without a bio, and no relations or lists."""
        draw = random.Random(seed)
        world = cls()
        while len(world.users) < people:
            number = draw.randrange(10**9, 10**18)
            likes = ", ".join(draw.sample(LIKES, 4))
            bio = "" if draw.random() < 0.05 else f"{likes} & so on, no. {len(world.users)}"
            world.users[number] = User(
                number,
                f"person{len(world.users)}",
                bio,
                protected=draw.random() < 0.05,
                withheld=draw.random() < 0.01,
            )
        return world

    def expire(self) -> None:
        """Invalidate all page tokens handed out so far."""
        self.epoch += 1

    @property
    def usd(self) -> float:
        """Return what reading has cost: each user and post is charged once per UTC day."""
        return sum(USER_USD if kind == "user" else POST_USD for _, kind, _ in self.paid)

    def routes(self, limits: Mapping[str, int] | None = None) -> tuple[Route, ...]:
        """Return the routes for collecting from this world; `limits` overrides X's rate limits by route name."""
        here = r"/2/users/(?P<id>\d+)"
        table: tuple[tuple[str, str, Callable[[Request], Answer], int], ...] = (
            ("users", r"/2/users", self._by_id, 300),
            ("users-by", r"/2/users/by", self._by_handle, 300),
            ("followers", f"{here}/followers", lambda request: self._circle(request, self.followers), 300),
            ("following", f"{here}/following", lambda request: self._circle(request, self.following), 300),
            ("lists", r"/2/lists/(?P<id>\d+)/members", self._members, 900),
            ("search", r"/2/tweets/search/recent", self._search, 450),
        )
        return tuple(
            Route(name, "GET", path, self._one_by_one(answer), ("user", "app"), (limits or {}).get(name, limit))
            for name, path, answer, limit in table
        )

    # -- the routes ----------------------------------------------------------------------------------

    def _one_by_one(self, answer: Callable[[Request], Answer]) -> Callable[[Request], Answer]:
        def locked(request: Request) -> Answer:
            with self.lock:
                return answer(request)

        return locked

    def _by_id(self, request: Request) -> Answer:
        asked = request.params.get("ids", "").split(",")
        if not 1 <= len(asked) <= 100 or not all(each.isdecimal() for each in asked):
            return _invalid("ids", "must name 1 to 100 users")
        return self._looked_up(request, "ids", asked, [self.users.get(int(each)) for each in asked])

    def _by_handle(self, request: Request) -> Answer:
        asked = request.params.get("usernames", "").split(",")
        if not 1 <= len(asked) <= 100:
            return _invalid("usernames", "must name 1 to 100 users")
        named = {user.handle.lower(): user for user in self.users.values()}
        return self._looked_up(request, "usernames", asked, [named.get(each.lower()) for each in asked])

    def _looked_up(
        self, request: Request, parameter: str, asked: Sequence[str], found: Sequence[User | None]
    ) -> Answer:
        shown, errors = [], []
        for value, user in zip(asked, found, strict=True):
            if user is not None and not user.deleted and not user.suspended:
                shown.append(user)
                continue
            suspended = user is not None and user.suspended
            errors.append(
                {
                    "value": value,
                    "detail": f"User has been suspended: [{value}]."
                    if suspended
                    else f"Could not find user with {parameter}: [{value}].",
                    "title": "Forbidden" if suspended else "Not Found Error",
                    "resource_type": "user",
                    "parameter": parameter,
                    "resource_id": value,
                    "type": "https://api.twitter.com/2/problems/resource-not-found",
                }
            )
        document: dict[str, Any] = {"data": self._show(request, shown)} if shown else {}
        return Answer(200, {**document, **({"errors": errors} if errors else {})})

    def _circle(self, request: Request, circle: Mapping[int, Sequence[int]]) -> Answer:
        number = int(request.parts["id"])
        user = self.users.get(number)
        if user is None or user.deleted or user.suspended:
            return _error(number, "Not Found Error", f"Could not find user with id: [{number}].", "resource-not-found")
        if user.protected:
            words = f"Sorry, you are not authorized to see the user with id: [{number}]."
            return _error(number, "Authorization Error", words, "not-authorized-for-resource")
        return self._page(request, circle.get(number, ()), 1000)

    def _members(self, request: Request) -> Answer:
        number = int(request.parts["id"])
        if number not in self.lists:
            return _error(number, "Not Found Error", f"Could not find list with id: [{number}].", "resource-not-found")
        return self._page(request, self.lists[number], 100)

    def _page(self, request: Request, members: Sequence[int], most: int) -> Answer:
        cut = self._cut(request, "pagination_token", len(members), 1, most, 100)
        if isinstance(cut, Answer):
            return cut
        part, meta = cut
        people = [user for number in members[part] if not ((user := self.users[number]).deleted or user.suspended)]
        data = {"data": self._show(request, people)} if people else {}
        return Answer(200, {**data, "meta": {"result_count": len(people), **meta}})

    def _search(self, request: Request) -> Answer:
        query = request.params.get("query", "")
        if not 1 <= len(query) <= 512:
            return _invalid("query", "must have 1 to 512 characters")
        found = [post for post in self.posts if query.lower() in post[2].lower()]
        cut = self._cut(request, "next_token", len(found), 10, 100, 10)
        if isinstance(cut, Answer):
            return cut
        part, meta = cut
        posts = found[part]
        if not posts:
            return Answer(200, {"meta": {"result_count": 0}})
        self._charge(request, "post", [number for number, _, _ in posts])
        data = [{"id": str(number), "author_id": str(author), "text": text} for number, author, text in posts]
        meta["result_count"] = len(posts)
        if "author_id" not in request.params.get("expansions", ""):
            return Answer(200, {"data": data, "meta": meta})
        authors = [self.users[number] for number in dict.fromkeys(author for _, author, _ in posts)]
        return Answer(200, {"data": data, "includes": {"users": self._show(request, authors)}, "meta": meta})

    # -- pages, people and prices --------------------------------------------------------------------

    def _cut(
        self, request: Request, parameter: str, length: int, least: int, most: int, usual: int
    ) -> tuple[slice, dict[str, Any]] | Answer:
        """Return a page of a sequence with its meta, or a 400 for a wrong size or token."""
        size = request.params.get("max_results", str(usual))
        if not (size.isdecimal() and least <= int(size) <= most):
            return _invalid("max_results", f"[{size}] is not between {least} and {most}")
        path = f"{self.epoch}:{sorted(request.parts.items())}:{request.params.get('query')}"
        start = 0
        if token := request.params.get(parameter):
            place, _, check = token.partition("z")
            if not place.isdecimal() or check != f"{zlib.crc32(f'{place}:{path}'.encode()):x}":
                return _invalid(parameter, "is not one of ours, or has expired")
            start = int(place)
        end = start + int(size)
        meta = {"next_token": f"{end}z{zlib.crc32(f'{end}:{path}'.encode()):x}"} if end < length else {}
        return slice(start, end), meta

    def _show(self, request: Request, people: Sequence[User]) -> list[dict[str, Any]]:
        """Return users with the fields that were asked for, and charge for them."""
        self._charge(request, "user", [user.id for user in people])
        fields = request.params.get("user.fields", "").split(",")
        shown = []
        for user in people:
            each: dict[str, Any] = {"id": str(user.id), "name": user.handle, "username": user.handle}
            if "description" in fields:
                each["description"] = user.bio.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            if "protected" in fields:
                each["protected"] = user.protected
            if "withheld" in fields and user.withheld:
                each["withheld"] = {"country_codes": ["XX"], "scope": "user"}
            shown.append(each)
        return shown

    def _charge(self, request: Request, kind: str, numbers: Sequence[int]) -> None:
        day = f"{request.now:%Y-%m-%d}"
        for number in numbers:
            self.paid[day, kind, number] += 1
            if self.paid[day, kind, number] == 1:
                request.state.count("usd", USER_USD if kind == "user" else POST_USD)


def _error(number: int, title: str, detail: str, kind: str) -> Answer:
    """Return X's 200 without data for somebody who does not exist or may not be seen."""
    error = {
        "resource_id": str(number),
        "parameter": "id",
        "title": title,
        "detail": detail,
        "type": f"https://api.twitter.com/2/problems/{kind}",
    }
    return Answer(200, {"errors": [error]})


def _invalid(name: str, words: str) -> Answer:
    answer = problem(400, "Invalid Request", "One or more parameters to your request was invalid.", "invalid-request")
    return Answer(
        400, {"errors": [{"message": f"The `{name}` parameter {words}", "parameters": {name: []}}], **answer.document}
    )
