"""The console's workers: whatever samples, judges or measures runs in one, since the console never imports torch."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import timedelta
from typing import Any, TypeVar

from anyio import to_thread

from biobot.app import running
from biobot.config import Config
from biobot.worker.client import Call, Worker
from biobot.worker.protocol import Request

A = TypeVar("A")


class Jobs:
    """Runs the workers of one console, a few at a time; a worker ends as soon as nobody reads its answers."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._calls: set[Call[Any]] = set()
        self.stopping = threading.Event()
        """Set when the console stops: a call to the network then ends."""
        self.closing: list[Callable[[], None]] = []
        """What else is to be ended then."""
        # sampling can take minutes; it must not keep a verdict waiting
        self._streams, self._verdicts = asyncio.Semaphore(2), asyncio.Semaphore(2)

    async def stream(self, request: Request[A], deadline: timedelta) -> AsyncGenerator[A, None]:
        """Yield the answers to a request as they come; raise BiobotError when it fails or takes too long."""
        async with self._streams:
            async for each in self._answers(request, deadline):
                yield each

    async def answers(self, request: Request[A], deadline: timedelta) -> list[A]:
        """Return all answers to a request; raise BiobotError when it fails or takes too long."""
        async with self._verdicts, aclosing(self._answers(request, deadline)) as answers:
            return [each async for each in answers]

    async def _answers(self, request: Request[A], deadline: timedelta) -> AsyncGenerator[A, None]:
        call = Worker(running.current(self._config)).ask(request, deadline)
        self._calls.add(call)
        try:
            while (answer := await to_thread.run_sync(call.receive, abandon_on_cancel=True)) is not None:
                yield answer
        finally:
            self._calls.discard(call)
            call.close()

    def end(self) -> None:
        """End every worker: the console stops."""
        self.stopping.set()
        for end in self.closing:
            end()
        for each in list(self._calls):
            each.close()
