"""One HTTP call to X, bounded and classified: the session that tweepy uses instead of its own.

What it adds to requests: the base address (set before signing, so that the signature is for the address called),
one deadline for a whole call, however slowly its bytes drip, no redirects, no retries, no .netrc, no proxy for
loopback, and an exception of `biobot.networks.errors` for anything but a 2xx.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from biobot.networks import rate_limits, redact, watchdog
from biobot.networks.errors import classify, classify_failure
from biobot.networks.watchdog import Call

TWEEPYS = "https://api.twitter.com"
"""The host that tweepy writes into every address."""

CONNECT = timedelta(seconds=10)
"""The longest wait for a connection; the whole call has its own limit."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")

Clock = Callable[[], datetime]


class Session(requests.Session):
    """requests.Session for one base address, as the module's docstring says.

    `timeout` bounds a whole call; once `stop` is set a POST gets `watchdog.GRACE`, and any other call ends at once.
    `clock` dates the signatures; without one the machine's own does. After each call the answer's headers are in
    `answered`, whatever the status was, and `clock_offset` is how far the server's clock is ahead of ours.
    """

    def __init__(
        self, base: str, timeout: timedelta, clock: Clock | None = None, stop: threading.Event | None = None
    ) -> None:
        super().__init__()
        self.base = base.rstrip("/")
        self.timeout = timeout.total_seconds()
        self.clock = clock
        self.stop = stop
        self.answered: dict[str, str] = {}
        self.clock_offset: timedelta | None = None
        self.mount("https://", _Adapter())
        self.mount("http://", _Adapter())
        # requests would let a .netrc overwrite the Authorization header: of the environment, only
        # certificates are taken, and proxies, but on loopback
        self.trust_env = False
        self.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        if urlsplit(self.base).hostname not in LOOPBACK:
            self.proxies.update(get_environ_proxies(self.base))
        redact.guard(urlsplit(proxy).password or "" for proxy in self.proxies.values())

    def move(self, base: str) -> None:
        """Call another base address from now on: one on this machine if the first was, else one elsewhere."""
        self.base = base.rstrip("/")

    def request(self, method: str, url: str, **options: Any) -> requests.Response:  # type: ignore[override]
        """Make one call and return its 2xx answer, read whole; raise Unsent, Refused or Unknown for all else."""
        assert url.startswith(f"{TWEEPYS}/")
        url = self.base + url.removeprefix(TWEEPYS)
        options.update(timeout=(min(CONNECT.total_seconds(), self.timeout), self.timeout), allow_redirects=False)
        if self.clock is not None and options.get("auth") is not None:
            options["auth"].client.timestamp = str(int(self.clock().timestamp()))
        self.answered = {}
        if method == "POST":
            self.close()  # a post never rides on an old connection, whose end may have gone unnoticed
        grace = watchdog.GRACE.total_seconds() if method == "POST" else 0.0
        call = Call[requests.Response]()
        try:
            response = call.run(
                lambda: super(Session, self).request(method, url, **options), self.timeout, self.stop, grace
            )
        except Exception as error:
            raise classify_failure(error, call.begun) from error
        self.answered = {name.lower(): value for name, value in response.headers.items()}
        date = rate_limits.date(self.answered)
        if date is not None:
            self.clock_offset = date - (self.clock() if self.clock is not None else datetime.now(UTC))
        if 200 <= response.status_code < 300:
            return response
        raise classify(response.status_code, self.answered, response.content, _signed(response.request))


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


class _Plain(_Marked, HTTPConnection):
    pass


class _Secure(_Marked, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain
    __str__ = _Marked.__str__


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure
    __str__ = _Marked.__str__


class _Adapter(HTTPAdapter):
    """requests' adapter over marked connections; its retries are none, as requests has it."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}
        return manager


def _signed(request: requests.PreparedRequest) -> datetime | None:
    """Read the moment that was signed from an OAuth 1.0a header: this machine's clock, as X saw it."""
    header = request.headers.get("Authorization") or ""
    text = header.decode("latin-1") if isinstance(header, bytes) else header
    _, found, rest = text.partition('oauth_timestamp="')
    seconds = rest.partition('"')[0]
    return datetime.fromtimestamp(int(seconds), UTC) if found and seconds.isdigit() else None
