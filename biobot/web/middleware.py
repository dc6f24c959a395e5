"""What stands before the pages: nothing is answered that this console's own pages did not ask for.

In this order: the Host must be ours (a name that was re-pointed here, DNS rebinding, is not), TLS must be in
front where the console is public, other sites' requests are turned away by Sec-Fetch-Site and Origin, a link
opens a session, the session is asked for, and a body must be small and come in time. Every answer carries a
policy that runs no script and no style but our own files.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from biobot.web.sessions import LIFE, Links, Sessions

BODY_LIMIT = 64 * 1024
"""The largest body, in bytes: a bio is below 2 KB, a bulk decision below 8."""

BODY_PATIENCE = 10.0
"""Seconds that a body may take to come."""

HEADERS: Mapping[str, str] = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}

SignedOut = Callable[[Request], Response]
"""Makes the page for a browser without a session."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where the console is reached: "http://127.1.2.3:4280", or "https://bot.example.org" behind TLS."""

    origin: str

    @property
    def host(self) -> str:
        """Return the one Host header that is ours."""
        return self.origin.partition("://")[2]

    @property
    def tls(self) -> bool:
        """Return whether a proxy must have spoken TLS."""
        return self.origin.startswith("https:")

    @property
    def cookie(self) -> str:
        """Name the cookie: two consoles on one address differ by port; behind TLS no other host can set it."""
        return "__Host-biobot" if self.tls else f"biobot-{self.host.rpartition(':')[2]}"


class Guard:
    """ASGI middleware; see the module."""

    def __init__(
        self,
        app: ASGIApp,
        door: Door,
        links: Links,
        sessions: Sessions,
        clock: Callable[[], datetime],
        signed_out: SignedOut,
    ) -> None:
        self.app = app
        self.door = door
        self.links = links
        self.sessions = sessions
        self.clock = clock
        self.signed_out = signed_out

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        request = Request(scope)
        answer = self._turned_away(request)
        body = b""
        if answer is None and request.method == "POST":
            try:
                async with asyncio.timeout(BODY_PATIENCE):
                    body = await _body(receive, Headers(scope=scope))
            except _TooLarge:
                answer = _no(413, f"more than {BODY_LIMIT // 1024} KB")
            except TimeoutError:
                answer = _no(408, "the request did not come to its end")
            except ConnectionError:
                return
        if answer is not None:
            await answer(scope, receive, send_with_headers)
        else:
            await self.app(scope, _replay(body, receive), send_with_headers)

    def _turned_away(self, request: Request) -> Response | None:
        """Return the answer for a request that must not pass; None for one that may."""
        headers = request.headers
        if headers.getlist("host") != [self.door.host]:
            return _no(421, f"this is not the console of that host; open {self.door.origin}")
        if self.door.tls and headers.get("x-forwarded-proto") != "https":
            return _no(403, "no TLS in front: the proxy must set X-Forwarded-Proto: https")
        if request.method not in ("GET", "HEAD", "POST"):
            return _no(405, "GET and POST only")
        if self._foreign(request):
            return _no(403, "another site asked for this")
        if request.url.path.startswith("/static/"):
            return None
        token = parse_qs(request.url.query).get("token", [""])[-1]
        if token and request.method == "GET":
            return self._enter(request, token)
        polling = headers.get("x-biobot-poll") is not None  # a page left open does not keep its session alive
        if not self.sessions.check(cookie(request, self.door), self.clock(), touch=not polling):
            return self.signed_out(request)
        return None

    def _foreign(self, request: Request) -> bool:
        """Return whether another site (or another port of this address) made the browser ask."""
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
        if origin is not None and origin != self.door.origin:
            return True
        if request.method == "POST":
            return site != "same-origin" if site is not None else origin is None
        if site in (None, "same-origin", "none"):
            return False
        # a link on another site may lead here; what it would see needs the SameSite=Strict cookie
        return (
            request.headers.get("sec-fetch-mode") != "navigate" or request.headers.get("sec-fetch-dest") != "document"
        )

    def _enter(self, request: Request, token: str) -> Response:
        now = self.clock()
        if not self.links.take(token, now):
            return self.signed_out(request)
        answer = RedirectResponse(request.url.path, 303, headers={"referrer-policy": "no-referrer"})
        answer.set_cookie(
            self.door.cookie,
            self.sessions.open(now),
            max_age=int(LIFE.total_seconds()),
            path="/",
            secure=self.door.tls,
            httponly=True,
            samesite="strict",
        )
        return answer


def cookie(request: Request, door: Door) -> str:
    """Return the session's secret that the browser sent, or ''."""
    try:
        found = SimpleCookie(request.headers.get("cookie", "")).get(door.cookie)
    except CookieError:
        return ""
    return found.value if found else ""


def _no(status: int, why: str) -> Response:
    return PlainTextResponse(f"{why}\n", status, headers={"connection": "close"})


class _TooLarge(Exception):
    pass


async def _body(receive: Receive, headers: Headers) -> bytes:
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > BODY_LIMIT:
        raise _TooLarge
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        body += message.get("body", b"")
        if len(body) > BODY_LIMIT:
            raise _TooLarge
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return the body that was read, then whatever else comes."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
