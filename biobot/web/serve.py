"""The console's address, its server's life, and its end within three seconds."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import json
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from biobot.config import Config
from biobot.errors import BiobotError, ConfigError, LockHeld
from biobot.posting.locks import holder, lock
from biobot.web.app import application
from biobot.web.middleware import Door
from biobot.web.sessions import Links, write_private

PORT = 4280
"""Where the console listens unless told otherwise."""

HEAD_PATIENCE = 10.0
"""Seconds that a request's head may take to come."""

GRACE = 2
"""Seconds that open answers have to end when the console stops."""

LOCK = "web.lock"


class Patient(H11Protocol):
    """HTTP that does not wait for ever: uvicorn by itself never gives up on a head that does not end."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Take what came; the clock runs from the head's first byte to its last."""
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

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_PATIENCE, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class Server(uvicorn.Server):
    """A server that tells its open streams to end before it waits for them."""

    def __init__(self, config: uvicorn.Config, closing: Callable[[], None]) -> None:
        super().__init__(config)
        self._closing = closing

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams and the children, then the connections."""
        self._closing()
        await super().shutdown(sockets)


def runtime(config: Config) -> Path:
    """Return the folder of links and of the running console's address."""
    return config.home / "web"


def own_address(config: Config) -> str:
    """Choose a loopback address for this bot.

    A browser sends a cookie to every port of an address, so a bot's console gets one of its own where the
    whole of 127/8 is loopback (Linux); elsewhere only 127.0.0.1 is there, and other programs that listen on
    it could be handed the cookie by a browser that visits them.
    """
    if sys.platform != "linux":
        return "127.0.0.1"
    mark = hashlib.sha256(str(config.home.resolve()).encode()).digest()
    return f"127.{mark[0] % 253 + 1}.{mark[1]}.{mark[2] % 253 + 1}"


def choose_door(address: str, port: int, public: str | None) -> Door:
    """Return where browsers will reach the console; raise ConfigError for a public address without TLS in front."""
    try:
        loopback = ipaddress.ip_address(address).is_loopback
    except ValueError:
        raise ConfigError(f"--bind {address!r} is no address; give one such as 127.0.0.1") from None
    if public is not None:
        parts = urlsplit(public)
        if parts.scheme != "https" or not parts.netloc or parts.path.strip("/") or parts.query or "@" in parts.netloc:
            raise ConfigError(f"--behind-tls {public!r} is not an origin such as https://bot.example.org")
        return Door(f"https://{parts.netloc}")
    if not loopback:
        raise ConfigError(
            f"{address} can be reached from other machines; put a proxy that speaks TLS in front of it and say so "
            "with --behind-tls https://YOUR.HOST, or leave --bind out"
        )
    return Door(f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}")


@dataclass
class Running:
    """A console that is about to be served: its door, its server, and the first link's token."""

    door: Door
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
    clock: Callable[[], datetime],
) -> Iterator[Running]:
    """Make a bot's console ready; only one at a time can be.

    Raises ConfigError for an address that must not be used, BiobotError for one that cannot.
    """
    address = address or own_address(config)
    choose_door(address, port, public)
    with ExitStack() as stack:
        try:
            stack.enter_context(lock(config.home, LOCK, "biobot web", clock()))
        except LockHeld as error:
            raise LockHeld(f"{error}; `biobot web --link` makes a link to it") from None
        runtime(config).mkdir(exist_ok=True)
        runtime(config).chmod(0o700)
        listener = stack.enter_context(_listen(address, port))
        door = choose_door(address, listener.getsockname()[1], public)
        links = Links(runtime(config) / "links")
        app, closing = application(config, door, links, clock)
        settings = uvicorn.Config(
            app,
            http=Patient,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,  # it would write the links' tokens down
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=GRACE,
            limit_concurrency=100,
            h11_max_incomplete_event_size=16 * 1024,
        )
        token = links.make(clock())
        write_private(runtime(config) / "address", json.dumps({"origin": door.origin}))
        yield Running(door, Server(settings, closing), listener, token)


def link(config: Config, clock: Callable[[], datetime]) -> tuple[Door, str]:
    """Make another link to the console that runs in this home; BiobotError when none does."""
    try:
        origin = json.loads((runtime(config) / "address").read_text(encoding="utf-8"))["origin"]
    except (OSError, ValueError, KeyError):
        origin = None
    if origin is None or holder(config.home, LOCK) is None:
        raise BiobotError(f"no console runs for {config.home}; start one with `biobot web`")
    return Door(origin), Links(runtime(config) / "links").make(clock())


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
