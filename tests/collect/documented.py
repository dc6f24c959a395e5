"""A second fake X, written from X's public documentation alone, to keep the first one's author honest.

It shares people with the first (`World`), and nothing else: tokens are opaque and go both ways, pages hold fewer people
than asked for and sometimes none, people come in another order, whoever starts to follow meanwhile moves all pages, and
answers are chunked and gzipped. Refusals are problems with a status of their own (403, 404, 429), where the first fake
answers 200 with `errors`.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.collect.people import POST_USD, USER_USD, User, World

PROBLEMS = "https://api.x.com/2/problems"
USER_FIELDS = {"created_at", "description", "entities", "location", "protected", "public_metrics", "url", "withheld"}
LIMITS = {"users": 300, "users/by": 300, "followers": 300, "following": 300, "members": 900, "search": 450}


@dataclass
class Problem(Exception):
    """An answer that is not 2xx, as RFC 9457 and X's documentation have it."""

    status: int
    title: str
    detail: str
    kind: str = ""
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def document(self) -> dict[str, Any]:
        address = f"{PROBLEMS}/{self.kind}" if self.kind else "about:blank"
        return {**self.more, "title": self.title, "detail": self.detail, "type": address, "status": self.status}


@dataclass
class DocumentedX:
    """The server; `trouble` is the share of requests that end in a 503, a reset or half an answer."""

    world: World
    clock: Callable[[], datetime]
    token: str
    limits: Mapping[str, int] = field(default_factory=lambda: LIMITS)
    trouble: float = 0.0
    arrivals: dict[int, list[int]] = field(default_factory=dict)
    """Who starts to follow an account while its pages are read."""
    calls: Counter[str] = field(default_factory=Counter)
    crashes: list[BaseException] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.draw = random.Random(11)
        self.lock = threading.Lock()
        self.windows: dict[str, tuple[int, int]] = {}
        self.tokens: dict[str, tuple[str, int]] = {}
        self.usd = 0.0
        self.server = _Server(("127.0.0.1", 0), _Handler)
        self.server.x = self
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    # -- one request ---------------------------------------------------------------------------------

    def answer(self, target: str, authorization: str) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Return status, document and headers."""
        url = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        headers: dict[str, str] = {"x-transaction-id": f"{self.draw.randrange(16**16):016x}", "api-version": "2.167"}
        try:
            if authorization != f"Bearer {self.token}":
                raise Problem(401, "Unauthorized", "Unauthorized")
            for pattern, route, allowed, do in self._routes():
                if found := re.fullmatch(pattern, url.path):
                    headers |= self._admit(route)
                    if unknown := query.keys() - allowed:
                        raise self._invalid(unknown.pop(), f"is not one of [{','.join(sorted(allowed))}]")
                    self.calls[route] += 1
                    return 200, do(query, *found.groups()), headers
            raise Problem(404, "Not Found", "Not Found")
        except Problem as problem:
            headers |= problem.more.pop("headers", {})
            return problem.status, problem.document, headers

    def _routes(self) -> Sequence[tuple[str, str, set[str], Callable[..., dict[str, Any]]]]:
        page = {"max_results", "pagination_token", "user.fields", "expansions", "tweet.fields"}
        return (
            (r"/2/users", "users", {"ids", "user.fields"}, self._users),
            (r"/2/users/by", "users/by", {"usernames", "user.fields"}, self._by_name),
            (r"/2/users/(\d+)/followers", "followers", page, lambda query, of: self._circle(query, of, "followers")),
            (r"/2/users/(\d+)/following", "following", page, lambda query, of: self._circle(query, of, "following")),
            (r"/2/lists/(\d+)/members", "members", page, self._members),
            (r"/2/tweets/search/recent", "search", {"query", "next_token", *page}, self._search),
        )

    def _admit(self, route: str) -> dict[str, str]:
        now, limit = int(self.clock().timestamp()), self.limits[route]
        reset, used = self.windows.get(route, (0, 0))
        if now >= reset:
            reset, used = now + 900, 0
        self.windows[route] = reset, used + 1
        left = {"x-rate-limit-limit": str(limit), "x-rate-limit-remaining": str(max(limit - used - 1, 0))}
        left["x-rate-limit-reset"] = str(reset)
        if used >= limit:
            raise Problem(429, "Too Many Requests", "Too Many Requests", more={"headers": left})
        return left

    @staticmethod
    def _invalid(name: str, words: str) -> Problem:
        listed = [{"parameters": {name: []}, "message": f"The `{name}` query parameter value {words}"}]
        detail = "One or more parameters to your request was invalid."
        return Problem(400, "Invalid Request", detail, "invalid-request", {"errors": listed})

    # -- routes --------------------------------------------------------------------------------------

    def _users(self, query: dict[str, str]) -> dict[str, Any]:
        wanted = query.get("ids", "").split(",")
        if not 1 <= len(wanted) <= 100 or not all(re.fullmatch(r"[0-9]{1,19}", each) for each in wanted):
            raise self._invalid("ids", "does not match ^[0-9]{1,19}$")
        return self._some(
            query, "ids", wanted, {str(user.id): user for user in map(self.world.users.get, map(int, wanted)) if user}
        )

    def _by_name(self, query: dict[str, str]) -> dict[str, Any]:
        wanted = query.get("usernames", "").split(",")
        if not 1 <= len(wanted) <= 100 or not all(re.fullmatch(r"[A-Za-z0-9_]{1,15}", each) for each in wanted):
            raise self._invalid("usernames", "does not match ^[A-Za-z0-9_]{1,15}$")
        called = {user.handle.lower(): user for user in self.world.users.values()}
        return self._some(
            query, "usernames", wanted, {each: called[each.lower()] for each in wanted if each.lower() in called}
        )

    def _some(self, query: dict[str, str], name: str, wanted: list[str], found: dict[str, User]) -> dict[str, Any]:
        """Return those who are there, in no order, and a partial error for each of the others."""
        there = {each: user for each, user in found.items() if not user.deleted and not user.suspended}
        errors = [
            {
                "resource_type": "user",
                "resource_id": each,
                "value": each,
                "parameter": name,
                "title": "Forbidden" if each in found and found[each].suspended else "Not Found Error",
                "detail": f"User has been suspended: [{each}]."
                if each in found and found[each].suspended
                else f"Could not find user with {name}: [{each}].",
                "type": f"{PROBLEMS}/resource-not-found",
            }
            for each in wanted
            if each not in there
        ]
        people = list(there.values())
        self.draw.shuffle(people)
        return {"errors": errors, "data": self._shown(query, people)} if people else {"errors": errors}

    def _circle(self, query: dict[str, str], of: str, kind: str) -> dict[str, Any]:
        owner = self.world.users.get(int(of))
        if owner is None or owner.deleted:
            raise Problem(404, "Not Found Error", f"Could not find user with id: [{of}].", "resource-not-found")
        if owner.protected:
            words = f"Sorry, you are not authorized to see the user with id: [{of}]."
            raise Problem(403, "Authorization Error", words, "not-authorized-for-resource")
        members = getattr(self.world, kind).get(int(of), [])
        if kind == "followers" and self.arrivals.get(int(of)):
            members.insert(0, self.arrivals[int(of)].pop())
        return self._page(query, f"{kind}/{of}", members, 1000)

    def _members(self, query: dict[str, str], of: str) -> dict[str, Any]:
        if int(of) not in self.world.lists:
            raise Problem(404, "Not Found Error", f"Could not find list with id: [{of}].", "resource-not-found")
        return self._page(query, f"members/{of}", self.world.lists[int(of)], 100)

    def _page(self, query: dict[str, str], what: str, members: Sequence[int], most: int) -> dict[str, Any]:
        start, end, meta = self._cut(query, "pagination_token", what, len(members), (1, most))
        there = [self.world.users[each] for each in members[start:end]]
        people = [user for user in there if not user.deleted and not user.suspended]
        meta["result_count"] = len(people)
        return {"meta": meta, "data": self._shown(query, people)} if people else {"meta": meta}

    def _search(self, query: dict[str, str]) -> dict[str, Any]:
        words = query.get("query", "")
        if not 1 <= len(words) <= 512:
            raise self._invalid("query", "is not between 1 and 512 characters")
        posts = [post for post in self.world.posts if words.lower() in post[2].lower()]
        name = "next_token" if "next_token" in query else "pagination_token"
        start, end, meta = self._cut(query, name, f"search/{words}", len(posts), (10, 100))
        meta.pop("previous_token", None)
        part = posts[start:end]
        if not part:
            return {"meta": {"result_count": 0, **meta}}
        self._pay("post", [number for number, _, _ in part], POST_USD)
        people = [self.world.users[each] for each in {author for _, author, _ in part}]
        data = [
            {"text": text, "edit_history_tweet_ids": [str(n)], "author_id": str(a), "id": str(n)} for n, a, text in part
        ]
        meta |= {"newest_id": str(part[0][0]), "oldest_id": str(part[-1][0]), "result_count": len(part)}
        return {"meta": meta, "includes": {"users": self._shown(query, people)}, "data": data}

    # -- pages, people, prices -----------------------------------------------------------------------

    def _cut(
        self, query: dict[str, str], name: str, what: str, length: int, bounds: tuple[int, int]
    ) -> tuple[int, int, dict[str, Any]]:
        size = query.get("max_results", "100")
        if not size.isdecimal() or not bounds[0] <= int(size) <= bounds[1]:
            raise self._invalid("max_results", f"[{size}] is not between {bounds[0]} and {bounds[1]}")
        start = 0
        if (token := query.get(name)) is not None:
            of, start = self.tokens.get(token, ("", -1))
            if of != what:
                raise self._invalid(name, f"[{token}] is not valid")
        # max_results is an upper bound: pages may hold fewer, and none at all
        held = 0 if self.draw.random() < 0.05 else self.draw.randint(max(int(size) * 3 // 5, 1), int(size))
        end = min(start + held, length)
        meta = {"next_token": self._token(what, end)} if end < length else {}
        if start:
            meta["previous_token"] = self._token(what, max(start - int(size), 0))
        return start, end, meta

    def _token(self, what: str, place: int) -> str:
        token = "".join(self.draw.choices("0123456789abcdefghijklmnopqrstuvwxyz", k=13))
        self.tokens[token] = what, place
        return token

    def _shown(self, query: dict[str, str], people: Sequence[User]) -> list[dict[str, Any]]:
        fields = {each for each in query.get("user.fields", "").split(",") if each}
        if unknown := fields - USER_FIELDS:
            raise self._invalid("user.fields", f"[{unknown.pop()}] is not one of [{','.join(sorted(USER_FIELDS))}]")
        self._pay("user", [user.id for user in people], USER_USD)
        return [self._user(user, fields) for user in people]

    @staticmethod
    def _user(user: User, fields: set[str]) -> dict[str, Any]:
        escaped = user.bio.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        whole: dict[str, Any] = {"description": escaped, "protected": user.protected}
        if user.withheld:
            whole["withheld"] = {"country_codes": ["DE", "FR"]}
        shown = {name: value for name, value in whole.items() if name in fields}
        return {**shown, "username": user.handle, "name": f"The {user.handle}", "id": str(user.id)}

    def _pay(self, kind: str, numbers: Sequence[int], usd: float) -> None:
        day = f"{self.clock():%Y-%m-%d}"
        for number in numbers:
            self.world.paid[day, kind, number] += 1
            if self.world.paid[day, kind, number] == 1:
                self.usd += usd


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    x: DocumentedX


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        x = self.server.x  # type: ignore[attr-defined]
        try:
            with x.lock:
                trouble = x.draw.random() < x.trouble and x.draw.choice(("503", "reset", "half"))
                if trouble == "503":
                    unavailable = Problem(503, "Service Unavailable", "Service Unavailable")
                    status, document, headers = 503, unavailable.document, dict[str, str]()
                else:
                    status, document, headers = x.answer(self.path, self.headers.get("Authorization", ""))
        except BaseException as error:
            x.crashes.append(error)
            raise
        body = gzip.compress(json.dumps(document, ensure_ascii=False, indent=1).encode())
        if trouble == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.title(), value)
        self.send_header(
            "Content-Type", "application/json;charset=utf-8" if status == 200 else "application/problem+json"
        )
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for place in range(0, len(body), 1000):
            if trouble == "half" and place * 2 >= len(body):
                self.close_connection = True
                return
            part = body[place : place + 1000]
            self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the time by the server's clock, to which x-rate-limit-reset belongs."""
        return format_datetime(self.server.x.clock(), usegmt=True)  # type: ignore[attr-defined]

    def log_message(self, *_: object) -> None:
        """Say nothing."""
