"""One HTTP call to X, bounded and judged: the session that tweepy is given instead of its own.

What it adds to requests: the base address (put in before signing, so that the signature is for where the
call goes), one limit on the wall-clock time of a whole call, however slowly its bytes drip, no redirects,
no retries, no .netrc, no proxy on loopback, and an exception of `biobot.networks.errors` for all but a 2xx.
"""

from __future__ import annotations

import contextvars
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from biobot.networks.errors import GivenUp, classify, classify_failure

TWEEPYS = "https://api.twitter.com"
"""The host that tweepy writes into every address."""

CONNECT = timedelta(seconds=10)
"""The longest wait for a connection; the whole call has its own limit."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")

Clock = Callable[[], datetime]


class Session(requests.Session):
    """requests.Session for one base address, as the module's docstring says.

    `timeout` bounds a whole call. `clock` dates the signatures; without one the machine's own does.
    After each call `headers` of the answer are in `answered`, whatever the status was.
    """

    def __init__(self, base: str, timeout: timedelta, clock: Clock | None = None) -> None:
        super().__init__()
        self.base = base.rstrip("/")
        self.timeout = timeout.total_seconds()
        self.clock = clock
        self.answered: dict[str, str] = {}
        self.mount("https://", _Adapter())
        self.mount("http://", _Adapter())
        # requests would let a .netrc overwrite the Authorization header: of the environment, only
        # certificates are taken, and proxies, but on loopback
        self.trust_env = False
        self.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        if urlsplit(self.base).hostname not in LOOPBACK:
            self.proxies.update(get_environ_proxies(self.base))

    def move(self, base: str) -> None:
        """Speak to another base address from now on; one on this machine, like the first, or neither."""
        self.base = base.rstrip("/")

    def request(self, method: str, url: str, **options: Any) -> requests.Response:  # type: ignore[override]
        """Make one call and give its 2xx answer, read whole; raise Unsent, Refused or Unknown for all else."""
        assert url.startswith(f"{TWEEPYS}/")
        url = self.base + url.removeprefix(TWEEPYS)
        options.update(timeout=(min(CONNECT.total_seconds(), self.timeout), self.timeout), allow_redirects=False)
        if self.clock is not None and options.get("auth") is not None:
            options["auth"].client.timestamp = str(int(self.clock().timestamp()))
        self.answered = {}
        if method == "POST":
            self.close()  # a post never rides on an old connection, whose end may have gone unnoticed
        response = _Call().run(lambda: super(Session, self).request(method, url, **options), self.timeout)
        self.answered = {name.lower(): value for name, value in response.headers.items()}
        if 200 <= response.status_code < 300:
            return response
        raise classify(response.status_code, self.answered, response.content, _signed(response.request))


class _Call:
    """One call in a thread of its own, so that nothing in it, not even DNS, can outlast its time.

    Giving up and the first byte exclude each other: after `give_up` either nothing was sent and nothing
    will be, or something was and its connection is cut.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun = False
        self._given_up = False
        self._socket: socket.socket | None = None

    def run(self, make: Callable[[], requests.Response], seconds: float) -> requests.Response:
        """Return what `make` gives, or raise what became of it, after at most `seconds`."""
        answers: list[requests.Response] = []
        failures: list[BaseException] = []
        done = threading.Event()

        def work() -> None:
            _CALL.set(self)
            try:
                answers.append(make())
            except BaseException as error:  # noqa: BLE001 - it is raised again, in the thread that asked
                failures.append(error)
            finally:
                done.set()

        threading.Thread(target=work, name="biobot-x-call", daemon=True).start()
        try:
            in_time = done.wait(seconds)
        finally:
            if not done.is_set():
                self._give_up()
        if answers:
            return answers[0]
        error = failures[0] if in_time else GivenUp(f"no whole answer in {seconds:g} s")
        raise classify_failure(error, self._begun) from error

    def begin(self, connection: socket.socket | None) -> None:
        """Note that a first byte is about to leave; raise GivenUp if the time is over."""
        with self._lock:
            if self._given_up:
                raise GivenUp("the time was over before the request was sent")
            self._begun, self._socket = True, connection

    def _give_up(self) -> None:
        with self._lock:
            self._given_up = True
        if self._socket is not None:
            with suppress(OSError):  # already gone
                self._socket.shutdown(socket.SHUT_RDWR)


_CALL: contextvars.ContextVar[_Call] = contextvars.ContextVar("_CALL")


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
        if self._connected:  # else it is the proxy that is being spoken to
            _CALL.get().begin(self.sock)
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
