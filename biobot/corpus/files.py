"""Bytes on disk into text: unpacked, decoded, and cut into lines of bounded length, as a stream."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import re
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from biobot.errors import BadFile

MAX_LINE = 1 << 22
"""Characters; a longer line is neither a bio nor a tweet, and would only fill the memory."""

SAMPLE = 1 << 18
"""Bytes by which a file's encoding and kind are recognised."""

Watch = Callable[[int], None]
"""Called now and then with how many bytes of the file, as it is on disk, were read."""

_PACKED: dict[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}
_FOREIGN = {
    b"PAR1": "a Parquet file; write it as CSV or JSON lines first",
    b"\xd0\xcf\x11\xe0": "an Excel workbook, or another file of Microsoft Office; save it as CSV (UTF-8) first",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; unpack it with `zstd -d` first",
    b"7z\xbc\xaf": "a 7z archive; unpack it first",
    b"SQLite format 3\0": "a SQLite database; export its table as CSV first",
    b"%PDF": "a PDF",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself; fetch it with `git lfs pull`",
    b"<!doctype html": "a web page, not the file that it links to; download that",
    b"<html": "a web page, not the file that it links to; download that",
    b"<?xml": "XML; convert it to JSON lines or CSV first",
}
_DAMAGE = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, OSError)


@dataclass
class Text:
    """An open file as text: what it is called (inside its .zip, too), how it begins, and the number of the last line.

    Bytes that its encoding does not have became lone surrogates.
    """

    path: Path
    name: str
    encoding: str
    sample: str
    stream: io.TextIOWrapper
    bom: int = 0
    number: int = 0

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield (number, line with its end); of a line that is far too long only the beginning."""
        readline = self.stream.readline
        while line := readline(MAX_LINE):
            self.number += 1
            yield self.number, line.removeprefix("\ufeff") if self.number == 1 else line
            while len(line) == MAX_LINE and line[-1] not in "\r\n":
                line = readline(MAX_LINE)

    def read(self, size: int) -> str:
        """Return up to `size` characters; "" at the end."""
        return self.stream.read(size)


@contextmanager
def opened(path: Path, watch: Watch | None = None) -> Iterator[Text]:
    """Open a file, or standard input for "-", as text: gzip, bzip2, xz and a .zip of one file are unpacked.

    Raises BadFile for what cannot be read, also while it is being read.
    """
    text: Text | None = None
    try:
        with ExitStack() as stack:
            raw: IO[bytes] = sys.stdin.buffer if str(path) == "-" else stack.enter_context(path.open("rb"))
            start = _filled(raw, 512)
            tick = (lambda: watch(raw.tell())) if watch and raw.seekable() else None
            file: Any = io.BufferedReader(_Joined(start, raw, tick))
            name = path.name
            if start.startswith(b"PK\x03\x04"):
                name, file = _only_member(path, raw, stack)
            for magic, unpack in _PACKED.items():
                if start.startswith(magic):
                    file = unpack(file)
                    name = re.sub(r"\.(gz|gzip|bz2|xz|lzma)$", "", name, flags=re.IGNORECASE)
            head = _filled(file, SAMPLE)
            for magic, what in _FOREIGN.items():
                if head[:64].lstrip().lower().startswith(magic.lower()):
                    raise BadFile(f"{path} is {what}")
            if head[257:262] == b"ustar":
                raise BadFile(f"{path} is a tar archive; unpack it first")
            encoding, errors = _encoding(path, head)
            joined = io.BufferedReader(_Joined(head, file, tick), 1 << 16)
            stream = stack.enter_context(io.TextIOWrapper(joined, encoding, errors, newline=""))
            sample = head.decode(encoding, errors)
            text = Text(path, name, encoding, sample.removeprefix("\ufeff"), stream, int(sample.startswith("\ufeff")))
            yield text
            if tick:
                tick()
    except _DAMAGE as error:
        if text is None and isinstance(error, OSError) and error.strerror:
            raise BadFile(f"cannot read {path}: {error.strerror}") from None
        raise BadFile(
            f"{path} is damaged after line {text.number if text else 0}: {error}; "
            "what came before is kept, get the file again"
        ) from None


class _Joined(io.RawIOBase):
    """What was read already, followed by the rest."""

    def __init__(self, head: bytes, rest: IO[bytes], tick: Callable[[], None] | None) -> None:
        self.head, self.rest, self.tick, self.count = memoryview(head), rest, tick, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data: Any = self.head[: len(buffer)]
        self.head = self.head[len(data) :]
        if not data:
            data = self.rest.read(len(buffer))
            self.count += 1
            if self.tick and self.count % 64 == 0:
                self.tick()
        buffer[: len(data)] = data
        return len(data)


def _filled(file: IO[bytes], size: int) -> bytes:
    """Read `size` bytes, less only at the end: a pipe gives what it has."""
    parts = []
    while size and (part := file.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _only_member(path: Path, raw: IO[bytes], stack: ExitStack) -> tuple[str, IO[bytes]]:
    if not raw.seekable():
        raise BadFile(f"{path}: a .zip cannot be read from a pipe; name the file")
    packed = stack.enter_context(zipfile.ZipFile(raw))
    members = [
        each
        for each in packed.infolist()
        if not each.is_dir() and not re.search(r"(^|/)(__MACOSX/|\.DS_Store$|\._)", each.filename)
    ]
    if any(each.filename.startswith(("xl/", "[Content_Types]")) for each in members):
        raise BadFile(f"{path} is an Excel workbook; save it as CSV (UTF-8) first")
    if len(members) != 1:
        raise BadFile(f"{path} holds {len(members)} files; unpack it, and import the one with the bios")
    try:
        return Path(members[0].filename).name, stack.enter_context(packed.open(members[0]))
    except (RuntimeError, NotImplementedError) as error:
        raise BadFile(f"{path} cannot be unpacked: {error}") from None


# -- encodings ---------------------------------------------------------------------------------------

codecs.register_error("biobot.broken", lambda error: ("\udcff", error.end))  # type: ignore[attr-defined]


def _encoding(path: Path, head: bytes) -> tuple[str, str]:
    """Recognise a text's encoding by its beginning: its name, and how to decode what is broken."""
    for mark, name in (
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if head.startswith(mark):
            return name, "biobot.broken"
    for place, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        if head[place::2].count(0) * 3 > len(head) // 2 > 10 * head[1 - place :: 2].count(0):
            return name, "biobot.broken"
    lines = re.split(rb"[\r\n]+", head)[: -1 if len(head) == SAMPLE else None]
    other = [line for line in lines if not line.isascii()]
    broken = [line for line in other if not _is_utf8(line)]
    if len(broken) < 2 or len(broken) < 9 * (len(other) - len(broken)):
        return "utf-8", "surrogateescape"
    if _western(b"\n".join(broken)):
        return "cp1252", "surrogateescape"
    raise BadFile(
        f"{path} is not UTF-8; convert it from the encoding that it has (Windows-1251, Shift_JIS, GB18030 …): "
        "iconv -f WINDOWS-1251 -t UTF-8"
    )


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _western(raw: bytes) -> bool:
    """Return whether bytes read as Windows-1252: accents and typographic marks that stand alone or in pairs."""
    try:
        runs = re.findall("[^\0-\x7f]+", raw.decode("cp1252"))
    except UnicodeDecodeError:
        return False
    alone = sum(len({each.lower() for each in run if each.isalpha()}) < 2 for run in runs)
    pairs = sum(len(run) == 2 and run.isalpha() and run[0].lower() != run[1].lower() for run in runs)  # "Grüße"
    marks = sum(not (each.isalpha() or each in "“”‘’–—…•·€£©®™«»°¡¿\xa0") for run in runs for each in run)
    return alone * 10 >= len(runs) * 7 and (alone + pairs) * 10 >= len(runs) * 8 and marks * 5 <= len(runs)
