"""The console's children: commands of biobot's own that sample, judge or measure, a line of JSON at a time.

The console never imports torch and holds no alarm of its own, so whatever samples or judges runs in a child:
with a deadline, killed as soon as nobody reads what it says, and without the bot's secrets unless it must
reach the network, as the two buttons that delete a post and look for one do.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Any

from biobot.config import Config
from biobot.errors import BiobotError
from biobot.worker import client

_LONGEST_LINE = 4 * 1024 * 1024


class Jobs:
    """Runs children for one console, a few at a time."""

    def __init__(self, config: Config, at_once: int = 3) -> None:
        self._where = [*(["--config", str(config.file)] if config.file else []), "--home", str(config.home)]
        self._free = asyncio.Semaphore(at_once)
        self._running: set[asyncio.subprocess.Process] = set()

    async def lines(
        self, command: Sequence[str], given: str, deadline: timedelta, *, secrets: bool = False
    ) -> AsyncGenerator[str, None]:
        """Run `biobot COMMAND…` with `given` on its standard input; give the lines that it prints as they come.

        Raises BiobotError, in the child's own words, when it fails, and when it is not done within `deadline`.
        """
        environ = dict(os.environ) if secrets else client.environment(os.environ)
        async with self._free:
            reading, writing = os.pipe()
            try:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "biobot", *self._where, *command),
                    stdin=PIPE if given else DEVNULL,
                    stdout=PIPE,
                    stderr=PIPE,
                    env=environ | {client.LIFELINE: str(reading), "PYTHONIOENCODING": "utf-8"},
                    pass_fds=[reading],
                    start_new_session=True,
                    limit=_LONGEST_LINE,
                )
            except OSError as error:
                os.close(writing)
                raise BiobotError(f"cannot start a process: {error.strerror}; free some memory") from None
            finally:
                os.close(reading)
            self._running.add(process)
            assert process.stdout is not None
            assert process.stderr is not None
            said = asyncio.create_task(process.stderr.read())
            try:
                async with asyncio.timeout(deadline.total_seconds()):
                    if process.stdin is not None:
                        process.stdin.write(given.encode())
                        process.stdin.close()
                    async for line in process.stdout:
                        yield line.decode(errors="replace")
                    code = await process.wait()
                if code != 0:
                    lines = (await said).decode(errors="replace").strip().splitlines()
                    last = lines[-1].removeprefix("biobot: ").removeprefix("Error: ") if lines else ""
                    raise BiobotError(last or f"it ended with status {code}")
            except TimeoutError:
                raise BiobotError(f"it took longer than {deadline.total_seconds():g} s and was stopped") from None
            finally:
                self._running.discard(process)
                if process.returncode is None:
                    process.kill()
                    await asyncio.shield(process.wait())
                said.cancel()
                os.close(writing)

    async def objects(self, command: Sequence[str], given: str, deadline: timedelta) -> list[dict[str, Any]]:
        """Run a command that prints JSON lines to its end, and give its objects."""
        return [json.loads(line) for line in await self.said(command, given, deadline)]

    async def said(
        self, command: Sequence[str], given: str, deadline: timedelta, *, secrets: bool = False
    ) -> list[str]:
        """Run a command to its end and give all lines that it printed."""
        async with aclosing(self.lines(command, given, deadline, secrets=secrets)) as lines:
            return [each async for each in lines]

    def end(self) -> None:
        """Kill every child: the console stops."""
        for each in self._running:
            each.kill()
