"""One HTTP call to a network, bounded and classified.

What it adds to requests: a base address, one deadline for a whole call, however slowly its bytes drip, no redirects,
no retries, no .netrc, no proxy for loopback, and an exception of `biobot.networks.errors` for anything but a 2xx.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies

from biobot import redact
from biobot.errors import NetworkError
from biobot.networks import rate_limits, watchdog
from biobot.networks.errors import Unknown, by_status, classify_failure, parse
from biobot.networks.watchdog import Call

CONNECT = timedelta(seconds=10)
"""The longest wait for a connection; the whole call has its own limit."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")

Clock = Callable[[], datetime]


class Session(requests.Session):
    """requests.Session for one base address, as the module's docstring says.

    `timeout` bounds a whole call; once `stop` is set a POST or PUT gets `watchdog.GRACE`, any other call ends at once.
    Without a `clock` the machine's own counts. After each call the answer's headers are in `answered`, by their
    lower-case names and whatever the status was, `begun` is whether any byte of the call left, and `clock_offset`
    how far the server's clock is ahead of ours.
    """

    title: ClassVar[str] = "the server"
    """What people call the network."""
    key: ClassVar[str] = "the address"
    """The key of biobot.toml that has the address."""

    def __init__(
        self, base: str, timeout: timedelta, clock: Clock | None = None, stop: threading.Event | None = None
    ) -> None:
        super().__init__()
        self.base = base.rstrip("/")
        self.timeout = timeout.total_seconds()
        self.clock = clock
        self.stop = stop
        self.answered: dict[str, str] = {}
        self.begun = False
        self.clock_offset: timedelta | None = None
        self.mount("https://", _Adapter())
        self.mount("http://", _Adapter())
        # requests would let a .netrc overwrite the Authorization header: of the environment, only
        # certificates are taken, and proxies, but on loopback
        self.trust_env = False
        self.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        if urlsplit(self.base).hostname not in LOOPBACK:
            self.proxies.update(get_environ_proxies(self.base))
        redact.guard(_password(proxy) for proxy in self.proxies.values())

    def move(self, base: str) -> None:
        """Call another base address from now on: one on this machine if the first was, else one elsewhere."""
        self.base = base.rstrip("/")

    def refusal(self, response: requests.Response) -> NetworkError:
        """Sort an answer that is not 2xx: by its status, where a network does not know better."""
        return by_status(response.status_code, self.answered, response.content, self.title, self.key)

    def document(self, response: requests.Response) -> dict[str, Any]:
        """Return an answer's JSON object; raise Unknown for one without: a 2xx that says nothing proves nothing."""
        document = parse(response.content)
        if not isinstance(document, dict):
            status = response.status_code
            raise Unknown(f"{self.title} answered HTTP {status} without JSON of its own; it may have been done")
        return document

    def ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """Make one call and return its answer's JSON object; raise as `call` and `document` do."""
        return self.document(self.call(method, path, **options))

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        """Make one call and return its 2xx answer, read whole; raise Unsent, Refused or Unknown for all else."""
        options.update(timeout=(min(CONNECT.total_seconds(), self.timeout), self.timeout), allow_redirects=False)
        self.answered, self.begun = {}, False
        if method in ("POST", "PUT"):
            self.close()  # a post never rides on an old connection, whose end may have gone unnoticed
        grace = watchdog.GRACE.total_seconds() if method in ("POST", "PUT") else 0.0
        call = Call[requests.Response]()
        try:
            response = call.run(
                lambda: requests.Session.request(self, method, self.base + path, **options),
                self.timeout,
                self.stop,
                grace,
            )
        except Exception as error:
            raise classify_failure(error, call.begun, self.title, self.key) from error
        finally:
            self.begun = call.begun
        self.answered = {name.lower(): value for name, value in response.headers.items()}
        date = rate_limits.date(self.answered)
        if date is not None:
            self.clock_offset = date - (self.clock() if self.clock is not None else datetime.now(UTC))
        if 200 <= response.status_code < 300:
            return response
        raise self.refusal(response)


class _Marked:
    """Notifies the running call just before a request's first byte leaves, after any tunnel and TLS."""

    host: str
    port: int
    sock: socket.socket | None
    _connected = False

    def __str__(self) -> str:
        return f"{self.host} port {self.port}"

    def connect(self) -> None:
        self._connected = False
        super().connect()  # type: ignore[misc]
        self._connected = True

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        if self._connected:  # before that, what is sent is for the proxy
            Call.current.get().begin(self.sock)
        super().send(data)  # type: ignore[misc]


def _mark(manager: Any) -> Any:
    """Have a pool manager, of whatever kind of proxy, make connections that are marked."""
    manager.pool_classes_by_scheme = {
        scheme: type(
            pool.__name__,
            (pool,),
            {"ConnectionCls": type("Marked", (_Marked, pool.ConnectionCls), {}), "__str__": _Marked.__str__},
        )
        for scheme, pool in manager.pool_classes_by_scheme.items()
    }
    return manager


class _Adapter(HTTPAdapter):
    """requests' adapter over marked connections; its retries are none, as requests has it."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        _mark(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **options)
        return manager if known else _mark(manager)


def _password(proxy: str) -> str:
    try:
        return urlsplit(proxy).password or ""
    except ValueError:  # no URL: the first request says so
        return ""
