"""What the built-in fake networks share: an HTTP server on loopback that is strict, remembers, and fails when told to.

It is controlled by `fault` from Python, or over HTTP from another process: `POST /_fake/faults` with
`{"name", "route", "times", "seconds"}`, `POST /_fake/clear`, `POST /_fake/clock` with `{"off_by"}`, and
`GET /_fake/report`.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import SplitResult, urlsplit

from biobot.rehearsal.faults import Answer, Delivery, Fault
from biobot.rehearsal.state import State

Clock = Callable[[], datetime]


@dataclass
class FakeServer:
    """A fake network on loopback; use it in a `with` statement, or `start` and `stop` it.

    `clock` returns its time; `file` stores its state (None: memory). A network implements `serve`.
    """

    clock: Clock
    file: Path | None = None
    off_by: timedelta = timedelta(0)
    crashes: list[str] = field(default_factory=list)

    FAULTS: ClassVar[Mapping[str, Fault]] = {}

    def serve(self, method: str, url: SplitResult, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer one request to the network; names of headers are in lower case."""
        raise NotImplementedError

    def start(self, port: int = 0) -> Self:
        """Serve on 127.0.0.1, by default on a free port."""
        self.state = State(self.file)
        self.closing = threading.Event()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.fake = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="fake", daemon=True
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

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """Its address, for the network's key in biobot.toml."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def now(self) -> datetime:
        """The time by the fake's clock."""
        return self.clock() + self.off_by

    def fault(self, name: str, times: int = 1, route: str = "post", seconds: float = 0.0) -> None:
        """Let the next `times` calls to `route` (post, timeline, delete, me) meet the fault `name`."""
        if name not in self.FAULTS:
            raise ValueError(f"unknown fault {name!r}; choose from {', '.join(self.FAULTS)}")
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
        """Answer one request: to the fake itself, or to the network."""
        url = urlsplit(target)
        if url.path.startswith("/_fake/"):
            return self._told(method, url.path, body)
        return self.serve(method, url, headers, body)

    def meet(self, route: str, do: Callable[[Fault, float], Answer]) -> Answer:
        """Return what a call to `route` is answered: by `do`, or by the fault that the script has for it."""
        scripted = self.state.next_fault(route)
        if scripted is None:
            return do(Fault(), 0.0)
        fault = self.FAULTS[scripted.name]
        answer = do(fault, scripted.seconds) if fault.done else Answer(500)
        if fault.answer is not None:
            answer = fault.answer(self.now)
        return replace(answer, delivery=fault.delivery)

    def fullest(self, windows: Iterable[tuple[str, int, int, int]]) -> tuple[int, int, int, int]:
        """Count a call in windows (name, limit, seconds, points of the call), and return the one with least left.

        Of that: the points left (below 0: too many), the limit, the Unix time of its end, and its seconds.
        """
        left = []
        for name, limit, seconds, points in windows:
            number = int(self.now.timestamp()) // seconds
            used = max(self.state.call(name, number) for _ in range(points))
            left.append((limit - used, limit, (number + 1) * seconds, seconds))
        return min(left)

    def _told(self, method: str, path: str, body: bytes) -> Answer:
        told = parsed(body)
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
    fake: FakeServer

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


def parsed(body: bytes) -> Any:
    """Parse JSON; None for anything else."""
    try:
        return json.loads(body)
    except ValueError:
        return None
