"""Access control: only this console's own pages get answers.

Checked in this order: the Host must be ours (against DNS rebinding), a public console must be reached through TLS,
Sec-Fetch-Site and Origin must not be another site's, a valid link opens a session, any other request needs one, and
a body must be small and arrive in time. Every answer has a Content-Security-Policy that allows no script or style
but our own files.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from biobot.web.sessions import LIFETIME, Links, Sessions

BODY_LIMIT = 64 * 1024
"""Bytes of the largest body: a bio is below 2 KB, a bulk decision below 8."""

BODY_TIMEOUT = 10.0
"""Seconds that a body may take to arrive."""

LINGER_TIME = 0.5
"""Seconds for which a request that was refused is still read, and dropped."""

LINGER_LIMIT = 1024 * 1024
"""Bytes of it that are read at most."""

UPLOAD = "/training/import"
"""The only path whose body may be larger: it is a file, and taken piece by piece."""

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
"""Returns the page for a browser without a session."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where browsers reach the console: "http://127.1.2.3:4280", or "https://bot.example.org" behind TLS.

    With `tunnel` also as localhost: the near end of an SSH tunnel.
    """

    url: str
    tunnel: bool = False

    @property
    def host(self) -> str:
        """Return the Host header that is ours."""
        return self.url.partition("://")[2]

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return the Host headers that are ours."""
        return (self.host, f"localhost:{self.host.rpartition(':')[2]}") if self.tunnel else (self.host,)

    @property
    def tls(self) -> bool:
        """Return whether a proxy in front must have used TLS."""
        return self.url.startswith("https:")

    @property
    def cookie(self) -> str:
        """Return the cookie's name: per port, since ports share cookies; behind TLS one that no other host can set."""
        return "__Host-biobot" if self.tls else f"biobot-{self.host.rpartition(':')[2]}"


class AccessMiddleware:
    """ASGI middleware that refuses requests as the module says."""

    def __init__(
        self,
        app: ASGIApp,
        origin: Origin,
        links: Links,
        sessions: Sessions,
        clock: Callable[[], datetime],
        signed_out: SignedOut,
    ) -> None:
        self.app = app
        self.origin = origin
        self.links = links
        self.sessions = sessions
        self.clock = clock
        self.signed_out = signed_out

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
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
        answer = self._refusal(request)
        body = b""
        if answer is None and request.method == "POST" and request.url.path == UPLOAD:
            await self.app(scope, receive, send_with_headers)
            return
        if answer is None and request.method == "POST":
            try:
                async with asyncio.timeout(BODY_TIMEOUT):
                    body = await _body(receive, Headers(scope=scope))
            except _TooLarge:
                answer = _refuse(413, f"the request is larger than {BODY_LIMIT // 1024} KB")
            except TimeoutError:
                answer = _refuse(408, f"the request did not arrive within {BODY_TIMEOUT:g} seconds")
            except ConnectionError:
                return
        if answer is not None:
            await answer(scope, receive, _lingering(receive, send_with_headers))
        else:
            await self.app(scope, _replay(body, receive), send_with_headers)

    def _refusal(self, request: Request) -> Response | None:
        """Return the answer to a request that may not pass; None for one that may."""
        headers = request.headers
        if headers.getlist("host") not in ([each] for each in self.origin.hosts):
            return _refuse(421, f"this console has another address: open {self.origin.url}")
        if self.origin.tls and headers.get("x-forwarded-proto") != "https":
            return _refuse(403, "the proxy in front must use TLS and set X-Forwarded-Proto: https")
        if request.method not in ("GET", "HEAD", "POST"):
            return _refuse(405, "only GET and POST are allowed")
        if self._foreign(request):
            return _refuse(403, "the request came from another site")
        if request.url.path.startswith("/static/"):
            return None
        token = parse_qs(request.url.query).get("token", [""])[-1]
        if token and request.method == "GET":
            return self._sign_in(request, token)
        polling = headers.get("x-biobot-poll") is not None  # a page left open does not keep its session alive
        if not self.sessions.check(cookie(request, self.origin), self.clock(), touch=not polling):
            answer = self.signed_out(request)
            answer.headers["connection"] = "close"
            return answer
        return None

    def _foreign(self, request: Request) -> bool:
        """Return whether another site, or another port of this address, made the browser send this."""
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
        if origin is not None and origin != f"{self.origin.url.partition('://')[0]}://{request.headers['host']}":
            return True
        if request.method == "POST":
            return site != "same-origin" if site is not None else origin is None
        if site in (None, "same-origin", "none"):
            return False
        # a link on another site may lead here, but without the SameSite=Strict cookie
        return (
            request.headers.get("sec-fetch-mode") != "navigate" or request.headers.get("sec-fetch-dest") != "document"
        )

    def _sign_in(self, request: Request, token: str) -> Response:
        now = self.clock()
        if not self.links.redeem(token, now):
            return self.signed_out(request)
        answer = RedirectResponse(request.url.path, 303, headers={"referrer-policy": "no-referrer"})
        answer.set_cookie(
            self.origin.cookie,
            self.sessions.open(now),
            max_age=int(LIFETIME.total_seconds()),
            path="/",
            secure=self.origin.tls,
            httponly=True,
            samesite="strict",
        )
        return answer


def cookie(request: Request, origin: Origin) -> str:
    """Return the session's secret that the browser sent; '' if it sent none."""
    try:
        found = SimpleCookie(request.headers.get("cookie", "")).get(origin.cookie)
    except CookieError:
        return ""
    return found.value if found else ""


def _refuse(status: int, why: str) -> Response:
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


def _lingering(receive: Receive, send: Send) -> Send:
    """Return a `send` that takes in what is still coming of the request before it ends an answer.

    Closing the connection upon bytes that nobody has read resets it, and the sender may never see the answer.
    """

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            await send({**message, "more_body": True})
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER_TIME):
                    size, more = 0, True
                    while more and size < LINGER_LIMIT:
                        part = await receive()
                        size, more = size + len(part.get("body", b"")), part.get("more_body", False)
            message = {"type": "http.response.body"}
        await send(message)

    return sending


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that yields the body that was already read, then whatever else comes."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again
