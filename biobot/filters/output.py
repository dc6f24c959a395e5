"""What plugins print: kept off our standard output, and logged line by line with the plugin's name.

Which plugin is running is written down where another process can read it, if this one should end meanwhile.

While plugins run, standard output is a file: the descriptor too, for C code and for processes that a plugin starts.
What a plugin has written there is logged as soon as its call returns.
"""

from __future__ import annotations

import logging
import mmap
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from io import FileIO, TextIOWrapper
from pathlib import Path
from typing import Any, TextIO, cast

from biobot.text.terminal import Harmless, clean, painted

log = logging.getLogger("biobot")

MAX_LOGGED = 2000
"""Bytes that are logged of what one call wrote."""

NOTE_SIZE = 1024
"""Bytes of the file that says which plugin is running."""

_diverted = False
_note: mmap.mmap | None = None
_needed: dict[int, tuple[int, int]] = {}
_turn = 0


def note_in(descriptor: int, *needed: int) -> None:
    """Write down in that file which plugin is running, until this process ends; `needed` are its other descriptors."""
    global _note
    _note = mmap.mmap(descriptor, NOTE_SIZE)
    _needed.update((each, _identity(each)) for each in needed)


def read_note(note: bytes) -> tuple[str, str, str] | None:
    """Return whose turn it is in such a file (a number, the plugin, and what it does), or None for nobody's."""
    if note.startswith(b"\0"):
        return None
    turn, plugin, doing = note.rstrip(b"\0").decode(errors="replace").split("\n")
    return turn, plugin, doing


def stay_diverted() -> None:
    """Take standard output, which is a file already, to be that for the whole life of this process."""
    global _diverted
    sys.stdout, _diverted = _stream(), True


@contextmanager
def diverted(*, command: bool = False) -> Iterator[TextIO]:
    """Make standard output a file for a while; yield a stream that still writes to the real one.

    With `command` it stays a file afterwards if a plugin has started threads: they can print until the process ends,
    so whatever that command still has to print goes to the stream.
    """
    global _diverted
    if _diverted:
        yield sys.stdout
        return
    stdout, threads = sys.stdout, threading.active_count()
    stdout.flush()
    real = os.dup(1)
    own = stdout
    if _writes_to(stdout, 1):
        own = open(real, "w", encoding=stdout.encoding, errors=stdout.errors, closefd=False)  # noqa: SIM115
        if stdout is not painted(stdout):
            own = cast(TextIO, Harmless(own))
    os.dup2(_file(), 1)
    sys.stdout, _diverted = _stream(), True
    try:
        yield own
        own.flush()
    finally:
        _take()
        if not (command and threading.active_count() > threads):
            os.dup2(real, 1)
            os.close(real)
            sys.stdout, _diverted = stdout, False


class logged_as:
    """Log what is written to standard output meanwhile, as the words of a plugin; `doing` is what it does."""

    def __init__(self, plugin: str, doing: str) -> None:
        self._plugin, self._doing = plugin, doing
        self._own = nullcontext() if _diverted else diverted()

    def __enter__(self) -> None:
        global _turn
        if _note is not None:
            _turn += 1
            _note[:] = f"{_turn}\n{self._plugin:.200}\n{self._doing}".encode().ljust(NOTE_SIZE, b"\0")
        self._own.__enter__()

    def __exit__(self, *raised: Any) -> None:
        for line in _take():
            log.warning("plugin %s: %s", self._plugin, line)
        self._own.__exit__(*raised)
        if _note is not None and KeyboardInterrupt not in raised:  # nobody else's: no Ctrl-C reaches a worker
            if any(_identity(each) != was for each, was in _needed.items()):
                with suppress(OSError):
                    os.write(2, b"it closed files that are not its own")
                os._exit(1)  # while the note still says whose turn it is
            _note[:1] = b"\0"


def _identity(descriptor: int) -> tuple[int, int]:
    """Return which file a descriptor belongs to; (0, 0) for a closed one."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return (0, 0)
    return found.st_dev, found.st_ino


def _take() -> list[str]:
    """Return the lines that were written to the file since the last time."""
    try:
        if size := os.lseek(1, 0, os.SEEK_CUR):
            words = os.pread(1, min(size, MAX_LOGGED), 0)
            os.ftruncate(1, 0)
            os.lseek(1, 0, os.SEEK_SET)
            return [each for each in clean(words.decode(errors="replace")).splitlines() if each]
    except OSError:
        pass  # a plugin has closed what is not its own
    return []


@cache
def _file() -> int:
    """Return the descriptor of the file, which has no name."""
    descriptor, name = tempfile.mkstemp(prefix="biobot-")
    Path(name).unlink()
    return descriptor


@cache
def _stream() -> TextIO:
    """Return what `sys.stdout` is while standard output is a file: unbuffered, as what C code and processes write."""
    return TextIOWrapper(FileIO(1, "w", closefd=False), "utf-8", "backslashreplace", write_through=True)


def _writes_to(stream: TextIO, descriptor: int) -> bool:
    try:
        return stream.fileno() == descriptor
    except (OSError, ValueError):  # a stream in memory
        return False
