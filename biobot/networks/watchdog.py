"""The watchdog of a call: how long it may take in all, and once the process is told to stop."""

from __future__ import annotations

import contextvars
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Generic, TypeVar

T = TypeVar("T")

GRACE = timedelta(seconds=8)
"""How long a post that is under way may still take once the process is told to stop; other calls end at once."""

_POLL = 0.05


class GivenUp(Exception):
    """The call was given up before it was done."""


class Call(Generic[T]):
    """One call in a thread of its own, so that nothing in it, not even DNS, can outlast its time.

    Giving up and the first byte exclude each other: once it is given up, either nothing was sent and nothing
    will be, or something was (`begun`) and its connection is cut.
    """

    current: contextvars.ContextVar[Call[Any]] = contextvars.ContextVar("call")
    """The call that this thread works for."""

    def __init__(self) -> None:
        self.begun = False
        self._lock = threading.Lock()
        self._given_up = False
        self._socket: socket.socket | None = None

    def run(self, make: Callable[[], T], limit: float, stop: threading.Event | None = None, grace: float = 0.0) -> T:
        """Return what `make` returns, or raise what it raises.

        Raises GivenUp after `limit` seconds, and `grace` seconds after `stop` is set.
        """
        results: list[T] = []
        failures: list[BaseException] = []
        done = threading.Event()

        def work() -> None:
            Call.current.set(self)
            try:
                results.append(make())
            except BaseException as error:  # noqa: BLE001 - it is raised again, in the thread that asked
                failures.append(error)
            finally:
                done.set()

        threading.Thread(target=work, name="biobot-call", daemon=True).start()
        end, why = time.monotonic() + limit, f"no whole answer in {limit:g} s"
        try:
            while not done.wait(min(max(end - time.monotonic(), 0), _POLL)) and time.monotonic() < end:
                if stop is not None and stop.is_set() and time.monotonic() + grace < end:
                    end, why, stop = time.monotonic() + grace, "told to stop before the answer came", None
        finally:
            in_time = done.is_set()
            if not in_time:
                self._give_up()
        if results:
            return results[0]
        raise failures[0] if in_time else GivenUp(why)

    def begin(self, connection: socket.socket | None) -> None:
        """Note that a first byte is about to leave; raise GivenUp if the time is over."""
        with self._lock:
            if self._given_up:
                raise GivenUp("the time was over before the request was sent")
            self.begun, self._socket = True, connection

    def _give_up(self) -> None:
        with self._lock:
            self._given_up = True
        if self._socket is not None:
            with suppress(OSError):  # already gone
                self._socket.shutdown(socket.SHUT_RDWR)
