"""The built-in fake X: strict where X is strict, and faulty when told to be.

It checks signatures, JSON, length, duplicates and rate limits as X does, keeps a timeline, counts everything that it
accepts and everything that it should never have been sent, and uses the clock that it is given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import SplitResult, parse_qsl

from biobot.networks.secrets import Secrets
from biobot.rehearsal import signature
from biobot.rehearsal.fake import FakeServer, parsed
from biobot.rehearsal.faults import FAULTS, NO_CREDITS, TOO_MANY, UNAUTHORIZED, Answer, problem
from biobot.rehearsal.state import State

KEYS = Secrets(
    api_key="rehearsal-api-key",
    api_secret="rehearsal-api-secret",  # noqa: S106
    access_token="1500000000000000001-rehearsal-token",  # noqa: S106
    access_secret="rehearsal-access-secret",  # noqa: S106
    bearer_token="AAAAAAAAAAAAAAAAAAAAA%2Frehearsal%3D",  # noqa: S106
)
"""The keys that the fake X accepts; they are no secrets, since the account is nobody's."""

ACCOUNT = {"id": "1500000000000000001", "name": "A rehearsal", "username": "rehearsal"}

WINDOW = 900
"""Seconds in a window of X's rate limits."""

Auth = Literal["user", "app"]


@dataclass(frozen=True, slots=True)
class Request:
    """An admitted call: who makes it, with which parameters, and when by the fake's clock."""

    auth: Auth
    params: Mapping[str, str]
    document: Any
    parts: Mapping[str, str]
    now: datetime
    state: State
    lag: float = 0.0


@dataclass(frozen=True, slots=True)
class Route:
    """One of X's routes: `path` is a pattern whose groups become `Request.parts`; `limit` is per 15 minutes."""

    name: str
    method: str
    path: str
    answer: Callable[[Request], Answer]
    auth: tuple[Auth, ...] = ("user",)
    limit: int = 900


@dataclass
class FakeX(FakeServer):
    """A fake X: `routes` are those it serves (None: those of an account); `usd` is its prepaid credit, if limited."""

    routes: Sequence[Route] | None = None
    usd: float | None = None
    keys: Secrets = KEYS
    _nonces: set[str] = field(default_factory=set)

    FAULTS = FAULTS

    def serve(self, method: str, url: SplitResult, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer one request: admission first, then a scripted fault, then the route itself."""
        if self.routes is None:
            from biobot.rehearsal.account import ROUTES

            self.routes = ROUTES
        params = parse_qsl(url.query, keep_blank_values=True)
        for route in self.routes:
            if route.method == method and (match := re.fullmatch(route.path, url.path)):
                break
        else:
            return problem(404, "Not Found Error", f"There is no {method} {url.path}.", "resource-not-found")
        auth = self._auth(method, f"{self.address}{url.path}", headers.get("authorization", ""), params)
        if auth is None:
            self.state.count("unauthorized")
            return UNAUTHORIZED
        if auth not in route.auth:
            answer = FAULTS["app-only"].answer
            assert answer is not None
            return answer(self.now)
        limits, over = self._limits(route)
        if over:
            self.state.count("rate-limited")
            return Answer(429, TOO_MANY.document, limits)
        request = Request(auth, dict(params), parsed(body), match.groupdict(), self.now, self.state)
        given = self.meet(route.name, lambda fault, lag: self._done(route, replace(request, lag=lag * fault.lags)))
        return Answer(given.status, given.document, {**limits, **given.headers}, given.delivery)

    def _done(self, route: Route, request: Request) -> Answer:
        if self.usd is not None and self.state.tally("usd") >= self.usd:
            return NO_CREDITS
        with self.state.transaction():
            return route.answer(request)

    def _auth(self, method: str, url: str, header: str, params: Sequence[tuple[str, str]]) -> Auth | None:
        if header.lower().startswith("bearer "):
            return "app" if header[7:] == self.keys.bearer_token else None
        given = signature.parse(header)
        claimed = given.pop("oauth_signature", "")
        given.pop("realm", None)
        try:
            old = abs(self.now - datetime.fromtimestamp(int(given["oauth_timestamp"]), self.now.tzinfo))
            nonce = given["oauth_nonce"]
            known = (given["oauth_consumer_key"], given["oauth_token"]) == (self.keys.api_key, self.keys.access_token)
            right = (given["oauth_signature_method"], given.get("oauth_version", "1.0")) == ("HMAC-SHA1", "1.0")
        except (KeyError, ValueError, OverflowError, OSError):
            return None
        expected = signature.sign(method, url, [*params, *given.items()], self.keys.api_secret, self.keys.access_secret)
        if not (known and right and claimed == expected and old <= timedelta(minutes=5) and nonce not in self._nonces):
            return None
        self._nonces.add(nonce)
        return "user"

    def _limits(self, route: Route) -> tuple[dict[str, str], bool]:
        window = int(self.now.timestamp()) // WINDOW
        count = self.state.call(route.name, window)
        headers = {
            "x-rate-limit-limit": str(route.limit),
            "x-rate-limit-remaining": str(max(route.limit - count, 0)),
            "x-rate-limit-reset": str((window + 1) * WINDOW),
            "x-access-level": "read-write",
        }
        return headers, count > route.limit
