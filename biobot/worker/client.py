"""Asking a worker: a child process that answers one request, without our secrets and within a deadline (F45).

The answers come over a private socket, so whatever else the child writes cannot be mistaken for one. The child ends
with its last answer, when it is late, when nobody reads its answers any more, and when this process ends.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Generic, TypeVar

from biobot.candidate import DraftRequest, DraftResult
from biobot.config import Config
from biobot.errors import BiobotError, ConfigError, PluginError, SampleError
from biobot.text.terminal import clean
from biobot.worker import protocol
from biobot.worker.protocol import Done, Draw, Failed, Judge, Loaded, LoadPlugins, Log, Request, Task, Text

A = TypeVar("A")

log = logging.getLogger("biobot")

MAX_LINE = 2**26
"""Bytes of the longest answer that is read."""


class Worker:
    """The workers of one bot."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def ask(self, request: Request[A], deadline: timedelta | None = None) -> Call[A]:
        """Start a worker on a request; `deadline` is `sample.deadline` unless one is given."""
        config = self.config
        file = str(config.file) if config.file else None
        task = Task(file, str(config.home), request, config.text)  # type: ignore[arg-type]
        if deadline is not None:
            return Call(task, deadline, "")
        return Call(task, config.settings.sample.deadline, " (sample.deadline)")

    def answer(self, request: Request[A]) -> A:
        """Return the only answer to a request."""
        (answer,) = self.ask(request)
        return answer

    def draw(self, requests: Sequence[DraftRequest]) -> Iterator[DraftResult]:
        """Yield the result of each request as it comes; raise SampleError when the worker fails or is late."""
        yield from self.ask(Draw(tuple(requests)))

    def judge(self, text: str, row: int | None = None) -> list[str]:
        """Return the filters' objections to a text; `row` is the row that it is, or is to be, the text of.

        Raises PluginError when it could not be judged.
        """
        try:
            verdict = self.answer(Judge((Text(text, None if row is None else str(row)),)))
            if verdict.candidate.text != text:
                raise SampleError("another text was judged")
        except BiobotError as error:
            raise PluginError(f"{error}; a text that was not judged is not posted") from error
        return [str(each) for each in verdict.objections]

    def check_plugins(self) -> list[Loaded]:
        """Return the plugins; raise BiobotError when one cannot be loaded or a required filter is missing."""
        return list(self.ask(LoadPlugins()))


class Call(Generic[A]):
    """A request under way: iterate over it, or `receive` one answer after the other and `close` it."""

    def __init__(self, task: Task, deadline: timedelta, limit: str) -> None:
        """Start the child; `limit` is what messages add to the deadline."""
        self._doing = task.request.doing
        self._expected = (protocol.answer_class(task.request), Log, Failed, Done)
        self._late = f"took longer than {deadline.total_seconds():g} s{limit} and was stopped"
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
        self._socket, theirs = socket.socketpair()
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", "biobot.worker", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=self._said,
                env=environment(os.environ),
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for this process, which then ends the child
            )
        except OSError as error:
            self._socket.close()
            self._said.close()
            raise SampleError(f"{self._doing} needs another process: {error.strerror}; free some memory") from None
        finally:
            theirs.close()
        self._is_late = self._is_over = False
        self._timer = threading.Timer(deadline.total_seconds(), self._time_out)
        self._timer.daemon = True
        self._timer.start()
        self._lines = self._socket.makefile("rb")
        with suppress(OSError):  # it has ended already: `receive` says why
            self._socket.sendall(protocol.encode(task))

    def __iter__(self) -> Iterator[A]:
        try:
            while (answer := self.receive()) is not None:
                yield answer
        finally:
            self.close()

    def receive(self) -> A | None:
        """Return the next answer, or None after the last one.

        Raises SampleError when the child fails, is late or dies, ConfigError when the config is what is wrong.
        """
        while not self._is_over:
            try:
                line = self._lines.readline(MAX_LINE)
            except (OSError, ValueError):  # another thread has closed it
                line = b""
            if not line:
                raise self._failure(self._late if self._is_late else f"failed: {self._death()}")
            match protocol.decode(line, *self._expected):
                case Log(level, text):
                    log.log(level, "%s", text)
                case Failed(reason, exit_code):
                    raise self._failure(f"failed: {reason}", ConfigError if exit_code == 2 else SampleError)
                case Done():
                    self.close()
                case answer:
                    return answer  # type: ignore[no-any-return]
        return None

    def close(self) -> None:
        """End the child and whatever it has started; a `receive` in another thread then ends, too."""
        self._is_over = True
        self._timer.cancel()
        self._kill()
        self._child.wait()
        for each in (self._lines, self._socket, self._said):
            each.close()

    def _time_out(self) -> None:
        self._is_late = True
        self._kill()

    def _kill(self) -> None:
        if self._child.returncode is None:  # its id is still its own
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)
        with suppress(OSError):  # whatever else holds the other end
            self._socket.shutdown(socket.SHUT_RDWR)

    def _failure(self, what: str, kind: type[BiobotError] = SampleError) -> BiobotError:
        self.close()
        return kind(clean(f"{self._doing} {what}"))

    def _death(self) -> str:
        """Return how a child ended, if it did not report that itself."""
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(1)
        code = self._child.poll()
        if code is not None and code < 0:
            memory = "; is there enough memory?" if code == -signal.SIGKILL else ""
            return f"the worker was ended by {signal.Signals(-code).name}{memory}"
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").split("\n")
        return f"the worker ended with status {code}{f': {lines[-1]}' if lines[-1] else ''}"


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` without secrets, and without what would let the child import from the current folder."""
    kept = {name: value for name, value in environ.items() if not name.startswith(("BIOBOT_", "CREDENTIALS_"))}
    here, paths = os.path.realpath(os.curdir), kept.pop("PYTHONPATH", "").split(os.pathsep)
    paths = [each for each in paths if os.path.isabs(each) and os.path.realpath(each) != here]
    if paths:
        kept["PYTHONPATH"] = os.pathsep.join(paths)
    return kept | {"PYTHONIOENCODING": "utf-8:backslashreplace"}
