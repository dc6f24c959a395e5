"""The built-in fake X: strict where X is strict, and faulty when told to be.

A `FakeX` is an HTTP server on loopback with threads of its own. It checks signatures, JSON, length, duplicates and
rate limits as X does, keeps a timeline, counts everything that it accepts and everything that it should never have
been sent, and uses the clock that it is given.

It is controlled by `fault` from Python, or over HTTP from another process: `POST /_fake/faults` with
`{"name", "route", "times", "seconds"}`, `POST /_fake/clear`, `POST /_fake/clock` with `{"off_by"}`, and
`GET /_fake/report`.
"""

from __future__ import annotations

import json
import os
import re
import select
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from biobot.networks.secrets import Secrets
from biobot.rehearsal import signature
from biobot.rehearsal.faults import FAULTS, NO_CREDITS, TOO_MANY, UNAUTHORIZED, Answer, Delivery, problem
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
Clock = Callable[[], datetime]


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
class FakeX:
    """A fake X on loopback; use it in a `with` statement, or `start` and `stop` it.

    `clock` returns its time; `file` stores its state (None: memory); `routes` are the routes it serves (None: those
    of an account); `usd` is its prepaid credit (None: unlimited).
    """

    clock: Clock
    file: Path | None = None
    routes: Sequence[Route] | None = None
    usd: float | None = None
    keys: Secrets = KEYS
    off_by: timedelta = timedelta(0)
    crashes: list[str] = field(default_factory=list)

    def start(self, port: int = 0) -> FakeX:
        """Serve on 127.0.0.1, by default on a free port."""
        if self.routes is None:
            from biobot.rehearsal.account import ROUTES

            self.routes = ROUTES
        self.state = State(self.file)
        self._nonces: set[str] = set()
        self.closing = threading.Event()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.fake = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="fake-x", daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving, cut open connections, and close the state."""
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.state.close()

    def __enter__(self) -> FakeX:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """Its address, for `x.api_base`."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def now(self) -> datetime:
        """The time by the fake's clock."""
        return self.clock() + self.off_by

    def fault(self, name: str, times: int = 1, route: str = "post", seconds: float = 0.0) -> None:
        """Let the next `times` calls to `route` (post, timeline, delete, me) meet the fault `name`."""
        if name not in FAULTS:
            raise ValueError(f"unknown fault {name!r}; choose from {', '.join(FAULTS)}")
        self.state.script(name, route, times, seconds)

    def report(self) -> dict[str, Any]:
        """Return the tallies and the timeline."""
        posts = [
            {"id": post.id, "text": post.text, "created": post.created.isoformat(), "deleted": post.deleted}
            for post in self.state.posts()
        ]
        return {"tallies": self.state.tallies(), "posts": posts}

    # -- one request ---------------------------------------------------------------------------------

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer one request: admission first, then a scripted fault, then the route itself."""
        url = urlsplit(target)
        params = parse_qsl(url.query, keep_blank_values=True)
        if url.path.startswith("/_fake/"):
            return self._told(method, url.path, body)
        for route in self.routes or ():
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
        answer_to = self._meet(route, Request(auth, dict(params), _json(body), match.groupdict(), self.now, self.state))
        return Answer(answer_to.status, answer_to.document, {**limits, **answer_to.headers}, answer_to.delivery)

    def _meet(self, route: Route, request: Request) -> Answer:
        scripted = self.state.next_fault(route.name)
        fault = FAULTS[scripted.name] if scripted else None
        if fault is None or scripted is None:
            return self._serve(route, request)
        if fault.lags:
            request = replace(request, lag=scripted.seconds)
        answer = self._serve(route, request) if fault.done else Answer(500)
        if fault.answer is not None:
            answer = fault.answer(self.now)
        return Answer(answer.status, answer.document, answer.headers, fault.delivery)

    def _serve(self, route: Route, request: Request) -> Answer:
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

    def _told(self, method: str, path: str, body: bytes) -> Answer:
        told = _json(body)
        told = told if isinstance(told, dict) else {}
        match (method, path):
            case ("GET", "/_fake/report"):
                return Answer(200, self.report())
            case ("POST", "/_fake/faults"):
                try:
                    self.fault(**told)
                except (TypeError, ValueError) as error:
                    return Answer(400, {"detail": str(error)})
            case ("POST", "/_fake/clear"):
                self.state.clear_faults()
            case ("POST", "/_fake/clock"):
                self.off_by = timedelta(seconds=float(told.get("off_by", 0)))
            case _:
                return Answer(404, {"detail": f"the fake has no {method} {path}"})
        return Answer(200, {})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    fake: FakeX

    def handle_error(self, *_: object) -> None:
        """Record a crash of the fake itself; a caller that hangs up is not one."""
        if not isinstance(sys.exception(), ConnectionError):
            self.fake.crashes.append(traceback.format_exc())
            sys.stderr.write(self.fake.crashes[-1])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _handle(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        headers = {name.lower(): value for name, value in self.headers.items()}
        fake = self.server.fake
        try:
            answer = fake.answer(self.command, self.path, headers, body)
        except Exception:
            self.close_connection = True
            if fake.closing.is_set():
                return
            raise
        self._deliver(answer)

    do_GET = do_POST = do_DELETE = _handle

    def _deliver(self, answer: Answer) -> None:
        closing = self.server.fake.closing
        if answer.delivery is not Delivery.WHOLE:
            self.close_connection = True
        if answer.delivery is Delivery.HANG:
            self._until_hung_up()
            return
        if answer.delivery is Delivery.RESET:
            # with a linger of zero, closing resets the connection
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())
            return
        whole = self._head(answer) + answer.body
        match answer.delivery:
            case Delivery.HALF:
                self.wfile.write(whole[: len(whole) - max(1, len(answer.body) // 2)])
            case Delivery.DRIP:
                for byte in whole[:-1]:
                    self.wfile.write(bytes([byte]))
                    if closing.wait(0.02):
                        return
                self._until_hung_up()
            case _:
                self.wfile.write(whole)

    def _head(self, answer: Answer) -> bytes:
        fake = self.server.fake
        headers = {
            "date": format_datetime(fake.now, usegmt=True),
            "content-type": "application/json; charset=utf-8",
            "content-length": str(len(answer.body)),
            **answer.headers,
        }
        lines = [f"HTTP/1.1 {answer.status} {_phrase(answer.status)}"]
        lines += [f"{name}: {value}" for name, value in headers.items() if value]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _until_hung_up(self) -> None:
        while not self.server.fake.closing.is_set():
            if select.select([self.connection], [], [], 0.05)[0] and not self.connection.recv(1):
                return

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing: the report has it all."""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
