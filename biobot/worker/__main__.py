"""What runs in a worker: `python -m biobot.worker SOCKET NOTE`, started by `biobot.worker.client` alone."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path

from biobot.errors import BiobotError, say
from biobot.filters import output
from biobot.worker import protocol
from biobot.worker.protocol import Done, Failed, Log, Task

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Read the task from the socket, answer it, and end at once."""
    if sys.platform == "linux":  # the kernel's own way; it works even while C code holds the interpreter
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    output.note_in(int(sys.argv[2]), channel.fileno())
    task = protocol.decode(channel.makefile("rb").readline(), Task)
    threading.Thread(target=_follow, args=[channel], name="follow", daemon=True).start()
    logging.getLogger("biobot").setLevel(logging.DEBUG)
    logging.getLogger("biobot").addHandler(_Forward(channel))
    try:
        _answer(channel, task)
        last: object = Done()
    except BiobotError as error:
        last = Failed(str(error), error.exit_code)
    except Exception as error:  # noqa: BLE001 - told to whoever asked
        last = Failed(say(error))
    channel.sendall(protocol.encode(last))
    os._exit(0)  # without a plugin's threads and exit handlers


def _answer(channel: socket.socket, task: Task) -> None:
    from biobot.config import Config, load, parse
    from biobot.worker import server

    output.stay_diverted()
    file, home = Path(task.config) if task.config else None, Path(task.home)
    if file is None or task.text is None:
        config = load(file, home)
    else:  # the settings of whoever asks: the file may have changed since
        config = Config(parse(task.text, file), file, file.parent, home, task.text)
    for answer in server.answer(config, task.request):
        channel.sendall(protocol.encode(answer))


def _follow(channel: socket.socket) -> None:
    """End with the process that asked: nothing more is ever sent, so `recv` returns when that has closed its end."""
    channel.recv(1)
    os._exit(1)


class _Forward(logging.Handler):
    """Sends what is logged here to the process that asked."""

    def __init__(self, channel: socket.socket) -> None:
        super().__init__()
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record."""
        self._channel.sendall(protocol.encode(Log(record.levelno, self.format(record))))


if __name__ == "__main__":
    main()
