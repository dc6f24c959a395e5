"""The console's address and its server, which ends within three seconds."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import json
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from biobot.config import Config
from biobot.errors import BiobotError, ConfigError, LockHeld
from biobot.posting.locks import holder, lock
from biobot.storage import atomic_write, make_folder
from biobot.web.app import application
from biobot.web.middleware import Origin
from biobot.web.sessions import Links

PORT = 4280
"""The default port."""

HEAD_TIMEOUT = 10.0
"""Seconds that the head of a request may take to arrive."""

MAX_CONNECTIONS = 100
"""Connections at once; beyond them requests are answered with 503."""

MAX_IDLE = 60
"""Connections at once without a request in progress; beyond them the oldest is closed."""

GRACE = 2
"""Seconds that open responses have to end when the console stops."""

LOCK = "web.lock"


class LimitedH11Protocol(H11Protocol):
    """HTTP that waits neither for ever nor on too many connections, which uvicorn by itself does."""

    _head_timer: asyncio.TimerHandle | None = None
    _idle_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a head. When too many connections are idle, close one: the oldest, those without a request first.

        A browser sends its request at once, so this hits those who only hold connections open.
        """
        super().connection_made(transport)
        self._expect_head()
        idle = [each for each in self.connections if isinstance(each, LimitedH11Protocol) and each._is_idle()]
        if len(idle) > MAX_IDLE:
            oldest = min(idle, key=lambda each: (each.cycle is not None, each._idle_since))
            oldest.transport.close()
            self.connections.discard(oldest)  # at once: requests that follow are counted against it

    def data_received(self, data: bytes) -> None:
        """Take what arrived; the time limit runs from the first byte of a head to its last."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            if self._head_timer is None:
                self._expect_head()
        else:
            self._stop_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_timer()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Count as idle from now on."""
        super().on_response_complete()
        self._idle_since = self.loop.time()

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expect_head(self) -> None:
        self._idle_since = self.loop.time()
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class Server(uvicorn.Server):
    """A server that ends its open streams before it waits for them."""

    def __init__(self, config: uvicorn.Config, closing: Callable[[], None]) -> None:
        super().__init__(config)
        self._closing = closing

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams and the workers, then the connections."""
        self._closing()
        await super().shutdown(sockets)


def runtime(config: Config) -> Path:
    """Return the folder that holds the links and the running console's address."""
    return config.home / "web"


def own_address(config: Config) -> str:
    """Return a loopback address for this bot.

    A browser sends a cookie to every port of an address, so each bot's console gets an address of its own where
    the whole of 127/8 is loopback (Linux). Elsewhere there is only 127.0.0.1, and a browser that visits another
    program on it sends that program the cookie, too.
    """
    if sys.platform != "linux":
        return "127.0.0.1"
    mark = hashlib.sha256(str(config.home.resolve()).encode()).digest()
    return f"127.{mark[0] % 253 + 1}.{mark[1]}.{mark[2] % 253 + 1}"


def choose_origin(address: str, port: int, public: str | None) -> Origin:
    """Return where browsers will reach the console; raise ConfigError for a public address without TLS in front."""
    try:
        loopback = ipaddress.ip_address(address).is_loopback
    except ValueError:
        raise ConfigError(f"--bind {address!r} is not an IP address; give one such as 127.0.0.1") from None
    if public is not None:
        parts = urlsplit(public)
        if parts.scheme != "https" or not parts.netloc or parts.path.strip("/") or parts.query or "@" in parts.netloc:
            raise ConfigError(f"--behind-tls {public!r} is not an origin such as https://bot.example.org")
        return Origin(f"https://{parts.netloc}")
    if not loopback:
        raise ConfigError(
            f"{address} can be reached from other machines; put a TLS proxy in front of it and give its address "
            "with --behind-tls https://YOUR.HOST, or leave out --bind"
        )
    return Origin(f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}")


@dataclass
class Running:
    """A console that is ready to be served; `token` is that of its first link."""

    origin: Origin
    server: Server
    listener: socket.socket
    token: str

    def run(self) -> None:
        """Serve until SIGTERM or Ctrl-C."""
        self.server.run(sockets=[self.listener])


@contextmanager
def console(
    config: Config,
    *,
    address: str | None = None,
    port: int = PORT,
    public: str | None = None,
    tunnel: bool = False,
    clock: Callable[[], datetime],
) -> Iterator[Running]:
    """Yield a bot's console, ready to be served; each bot can have only one. With `tunnel` it is localhost, too.

    Raises ConfigError for an address that must not be used, BiobotError for one that cannot be.
    """
    address = address or own_address(config)
    choose_origin(address, port, public)
    with ExitStack() as stack:
        try:
            stack.enter_context(lock(config.home, LOCK, "biobot web", clock()))
        except LockHeld as error:
            raise LockHeld(f"{error}; `biobot web --link` makes a new link to it") from None
        make_folder(runtime(config))
        listener = stack.enter_context(_listen(address, port))
        origin = replace(choose_origin(address, listener.getsockname()[1], public), tunnel=tunnel and public is None)
        links = Links(runtime(config) / "links")
        app, closing = application(config, origin, links, clock)
        settings = uvicorn.Config(
            app,
            http=LimitedH11Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,  # it would contain the links' tokens
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=GRACE,
            limit_concurrency=MAX_CONNECTIONS,
            h11_max_incomplete_event_size=16 * 1024,
        )
        token = links.make(clock())
        with atomic_write(runtime(config) / "address") as file:
            file.write(json.dumps({"origin": origin.url}).encode())
        yield Running(origin, Server(settings, closing), listener, token)


def link(config: Config, clock: Callable[[], datetime]) -> tuple[Origin, str]:
    """Return the token of a new link to this bot's running console; BiobotError when none is running."""
    try:
        origin = json.loads((runtime(config) / "address").read_text(encoding="utf-8"))["origin"]
    except (OSError, ValueError, KeyError):
        origin = None
    if origin is None or holder(config.home, LOCK) is None:
        raise BiobotError(f"no console is running for {config.home}; start one with `biobot web`")
    return Origin(origin), Links(runtime(config) / "links").make(clock())


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
    except OSError as error:
        listener.close()
        raise BiobotError(f"cannot listen on {address}:{port}: {error.strerror}; try another --port") from None
    return listener
