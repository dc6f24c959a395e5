"""Asking a worker: a child process that answers one request, without our secrets and within a deadline (F45).

The answers come over a private socket, so whatever else the child writes cannot be mistaken for one. The child ends
with its last answer, when it is late, when nobody reads its answers any more, and when this process ends. However it
ends, the error names the plugin that was running.
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
from typing import Any, Generic, TypeVar

from biobot.bundled import bundled
from biobot.candidate import DraftRequest, DraftResult
from biobot.config import Config
from biobot.errors import BiobotError, ConfigError, PluginError, SampleError
from biobot.filters import output
from biobot.text.terminal import clean
from biobot.worker import protocol
from biobot.worker.protocol import Done, Draw, Failed, Judge, Loaded, LoadPlugins, Log, Request, Task, Text

A = TypeVar("A")

log = logging.getLogger("biobot")

PROBE = Judge((Text("A quiet baker who collects old maps and gets lost on purpose"),))
"""A draft as good as any, judged to see whether the filters work."""

MAX_LINE = 2**26
"""Bytes of the longest answer that is read."""


class WorkerDied(SampleError):
    """A worker ended without an answer, or had to be stopped; `plugin` is the plugin that was running, if one was."""

    def __init__(self, message: str, plugin: str = "") -> None:
        super().__init__(message)
        self.plugin = plugin


class Worker:
    """The workers of one bot."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def ask(self, request: Request[A], deadline: timedelta | None = None) -> Call[A]:
        """Start a worker on a request; `deadline` is `sample.deadline` unless one is given."""
        if deadline is not None:
            return Call(self._task(request), deadline)
        return Call(self._task(request), self.config.settings.sample.deadline, " (sample.deadline)")

    def near(self, request: Request[A], *, foreign: bool = False) -> Iterator[A]:
        """Yield the answers to a command's request, which may take as long as it wants: from this process, if it can.

        A plugin that is not biobot's own (`foreign`: the request brings one) runs in a worker, which is stopped when
        that plugin hangs. Raises BiobotError.
        """
        from biobot.filters import loader

        if foreign or loader.runs_foreign_code(self.config):
            patience = 2 * loader.IMPORT * self.config.settings.filters.timeout
            return iter(Call(self._task(request), None, patience=patience))
        from biobot.worker import server

        return server.answer(self.config, request)  # type: ignore[arg-type]

    def _task(self, request: Request[A]) -> Task:
        file = str(self.config.file) if self.config.file else None
        return Task(file, str(self.config.home), request, self.config.text)  # type: ignore[arg-type]

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
        """Return the enabled plugins; raise BiobotError when one cannot be loaded or a required filter is missing."""
        return [each for each in self.ask(LoadPlugins()) if each.enabled]

    def try_plugins(self, request: Request[Any]) -> None:
        """Make such a request elsewhere before plugins that are not biobot's own run here; raise BiobotError."""
        from biobot.filters import loader

        if loader.runs_foreign_code(self.config):
            list(self.near(request))

    def list_plugins(self, *, require: bool) -> list[Loaded]:
        """Return all plugins, also those that cannot be loaded, or end the worker.

        Raises BiobotError as `check_plugins` does, but for the plugins that cannot be loaded; with `require` false
        also not for a required filter that is missing.
        """
        broken = dict[str, str]()
        while True:
            try:
                return list(self.near(LoadPlugins(broken, require)))
            except WorkerDied as error:
                if error.plugin in ("", *broken):
                    raise
                broken[error.plugin] = str(error)


class Call(Generic[A]):
    """A request under way: iterate over it, or `receive` one answer after the other and `close` it."""

    def __init__(
        self, task: Task, deadline: timedelta | None, limit: str = "", *, patience: timedelta = timedelta(0)
    ) -> None:
        """Start the child; `limit` is what messages add to the deadline.

        Without a deadline it is stopped when one call of a plugin takes longer than `patience`, and messages do not
        say what was asked, as it is what the command does.
        """
        self._doing = task.request.doing if deadline else ""
        self._expected = (protocol.answer_class(task.request), Log, Failed, Done)
        self._late = f"took longer than {(deadline or patience).total_seconds():g} s{limit} and was stopped"
        self._said, self._note = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes
        self._note.truncate(output.NOTE_SIZE)
        self._socket, theirs = socket.socketpair()
        passed = theirs.fileno(), self._note.fileno()
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", "biobot.worker", *map(str, passed)],
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=self._said,
                env=environment(os.environ),
                pass_fds=passed,
                start_new_session=True,  # Ctrl-C is for this process, which then ends the child
            )
        except OSError as error:
            for each in (self._socket, self._said, self._note):
                each.close()
            raise SampleError(
                f"{task.request.doing} needs another process: {error.strerror}; free some memory"
            ) from None
        finally:
            theirs.close()
        self._is_late = self._is_over = False
        self._closed = threading.Event()
        wait = (deadline or patience).total_seconds()
        threading.Thread(target=self._watch, args=[wait, deadline is None], name="deadline", daemon=True).start()
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
                raise self._died()
            match protocol.decode(line, *self._expected):
                case Log(level, text):
                    log.log(level, "%s", text)
                case Failed(reason, exit_code):
                    raise self._failed(reason, ConfigError if exit_code == 2 else SampleError)
                case Done():
                    self.close()
                case answer:
                    return answer  # type: ignore[no-any-return]
        return None

    def close(self) -> None:
        """End the child and whatever it has started; a `receive` in another thread then ends, too."""
        self._is_over = True
        self._closed.set()
        self._kill()
        self._child.wait()
        for each in (self._lines, self._socket, self._said, self._note):
            each.close()

    def _watch(self, wait: float, plugins_only: bool) -> None:
        """End the child after `wait` seconds, or once a plugin has been in the same call for so long."""
        before = None
        while not self._closed.wait(wait):
            running = self._running()
            if not plugins_only or (running and running == before):
                self._is_late = True
                self._kill()
                return
            before = running

    def _kill(self) -> None:
        if self._child.returncode is None:  # its id is still its own
            with suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)
        with suppress(OSError):  # whatever else holds the other end
            self._socket.shutdown(socket.SHUT_RDWR)

    def _failed(self, reason: str, kind: type[BiobotError]) -> BiobotError:
        self.close()
        return kind(clean(f"{self._doing} failed: {reason}" if self._doing else reason))

    def _died(self) -> BiobotError:
        """Return the error of a child that ended, or had to be ended, before it was done."""
        from biobot.filters import loader

        with suppress(subprocess.TimeoutExpired):
            self._child.wait(1)
        running = self._running()
        how = f"{self._doing or 'the worker'} {self._late}" if self._is_late else self._end()
        if running:
            _, plugin, doing = running
            how += f" while the plugin {plugin} {doing}"
            if not (bundled("plugins") / f"{plugin}.py").exists():
                how += f"; {loader.how_to_fix(plugin)}"
        self.close()
        return WorkerDied(clean(how), running[1] if running else "")

    def _running(self) -> tuple[str, str, str] | None:
        """Return which plugin is running in the child, or was when that ended."""
        try:
            return output.read_note(os.pread(self._note.fileno(), output.NOTE_SIZE, 0))
        except ValueError:  # another thread has closed it
            return None

    def _end(self) -> str:
        """Return how a child ended, if it did not report that itself."""
        code = self._child.poll()
        failed = f"{self._doing} failed: " if self._doing else ""
        if code is not None and code < 0:
            memory = " (is there enough memory?)" if code == -signal.SIGKILL else ""
            with suppress(ValueError):
                return f"{failed}the worker was ended by {signal.Signals(-code).name}{memory}"
            return f"{failed}the worker was ended by signal {-code}"
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").split("\n")
        return f"{failed}the worker ended with status {code}{f' ({lines[-1]})' if lines[-1] else ''}"


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` without secrets, and without what would let the child import from the current folder."""
    kept = {name: value for name, value in environ.items() if not name.startswith(("BIOBOT_", "CREDENTIALS_"))}
    here, paths = os.path.realpath(os.curdir), kept.pop("PYTHONPATH", "").split(os.pathsep)
    paths = [each for each in paths if os.path.isabs(each) and os.path.realpath(each) != here]
    if paths:
        kept["PYTHONPATH"] = os.pathsep.join(paths)
    return kept | {"PYTHONIOENCODING": "utf-8:backslashreplace"}
