"""A child process that works for this one: without its secrets, within a deadline, and never outliving it (F45)."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from biobot.errors import SampleError

LIFELINE = "BIOBOT_LIFELINE"
"""Names the descriptor of a pipe in the child's environment; the pipe's other end closes when the parent dies."""

_SECRET = ("BIOBOT_X_", "CREDENTIALS_DIRECTORY")
_PR_SET_PDEATHSIG = 1


def run(command: Sequence[str], standard_input: str, deadline: timedelta, doing: str) -> Iterator[str]:
    """Run `biobot COMMAND…` in a child and give the lines of its standard output as they come.

    The child is killed when the iterator is closed. Raises SampleError when it is not done within `deadline`,
    and when it fails, with the last line that it said about it; `doing` is what the error calls its work.
    """
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as said:
        try:
            child = subprocess.Popen(
                [sys.executable, "-m", "biobot", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                env=environment(os.environ) | {LIFELINE: str(reading), "PYTHONIOENCODING": "utf-8"},
                pass_fds=[reading],
                start_new_session=True,  # Ctrl-C is for the parent, which then ends the child
                text=True,
                encoding="utf-8",
            )
        except OSError as error:
            os.close(writing)
            raise SampleError(f"{doing} needs another process: {error.strerror}; free some memory") from None
        finally:
            os.close(reading)
        late = threading.Event()

        def end() -> None:
            late.set()
            child.kill()

        timer = threading.Timer(deadline.total_seconds(), end)
        timer.daemon = True
        timer.start()
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            try:
                child.stdin.write(standard_input)
                child.stdin.close()
            except BrokenPipeError:
                pass  # it ended before it read: its exit status says why
            yield from child.stdout
            code = child.wait()
        finally:
            timer.cancel()
            child.kill()
            child.wait()
            child.stdout.close()
            os.close(writing)
        if code == 0:
            return
        if late.is_set():
            raise SampleError(
                f"{doing} took longer than {deadline.total_seconds():g} s (sample.deadline) and was stopped"
            )
        said.seek(0)
        lines = said.read().decode(errors="replace").strip().splitlines()
        reason = lines[-1].removeprefix("biobot: ") if lines else f"it ended with status {code}"
        raise SampleError(f"{doing} failed: {reason}")


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` without what could lead to a secret."""
    return {name: value for name, value in environ.items() if not name.startswith(_SECRET)}


def tie() -> None:
    """Die with the parent, if this process is such a child: whatever it is doing, at once."""
    if LIFELINE not in os.environ:
        return
    lifeline = int(os.environ.pop(LIFELINE))
    if sys.platform == "linux":  # the kernel's own way; it works even while C code holds the interpreter
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:
        os.read(lifeline, 1)  # nothing is ever written: it returns when the parent is gone
        os._exit(1)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
