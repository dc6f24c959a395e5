"""Files of bios: jsonl, csv and txt, each also as .gz, read as a stream; tweet dumps and Twitter archives too.

A line that holds no bio never stops a reader: it comes back as Skipped, with its place and the reason.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from biobot.errors import CorpusError

FIELDS = ("bio", "description")
"""Where a bio is looked for when no field is named."""

BLANK = "blank"
"""Why a line was skipped that holds nothing at all; such lines are not reported."""

NOT_UTF8 = "not UTF-8"

MAX_LINE = 1 << 22
"""Bytes; a longer line is no bio and no tweet, and would only fill the memory."""

MAX_BIO = 1 << 16
"""Bytes of UTF-8; X allows 160 characters, other networks some hundreds."""


@dataclass(frozen=True, slots=True)
class Bio:
    """A bio as it was found; `author` is the id of a user of X, if it is known."""

    text: str
    author: int | None = None
    handle: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A line (the first is 1) that held no bio, and why."""

    file: str
    line: int
    why: str


Watch = Callable[[int], None]
"""Called now and then with how many bytes of the file, as it is on disk, were read."""


def read(path: Path, field: str | None = None, watch: Watch | None = None) -> Iterator[Bio | Skipped]:
    """Yield every bio of a .jsonl, .csv or .txt file (or a .gz of one), and what was skipped, in the file's order.

    `field` names the bio's key or column; with dots it goes down into a JSON object. Without it `bio`, then
    `description` are tried, and the user objects of tweets. Raises CorpusError for a file that cannot be read.
    """
    kind = _kind(path)
    if kind == ".txt" and field is not None:
        raise CorpusError(f"{path} has no fields; leave out --field {field}")
    with _opened(path, watch) as lines:
        if kind == ".jsonl":
            found = _jsonl(lines, field)
        elif kind == ".csv":
            found = _csv(path, lines, field)
        else:
            found = _txt(lines)
        for number, each in found:
            why = wrong(each) if isinstance(each, Bio) else each
            if isinstance(each, Bio) and why is None:
                yield each
            else:
                yield Skipped(str(path), number, str(why))


def ids(path: Path) -> Iterator[int]:
    """Yield the user ids of a file: one a line, a .csv or .jsonl that has them, or an archive's follower.js.

    Lines without an id (a header, a comment) are passed over. Raises CorpusError for a file that cannot be read.
    """
    shape = re.compile(rb'"(?:accountId|id_str|user_id|author_id)"\s*:\s*"?(\d{1,19})\b|^\s*"?(\d{1,19})"?\s*(?:,|$)')
    with _opened(path, None) as lines:
        for _, line in lines:
            for match in shape.finditer(line):
                if (number := int(match[1] or match[2])) < 1 << 63:
                    yield number


def mojibake(text: str) -> bool:
    """Return whether UTF-8 was once read as Latin-1 or Windows-1252: "cafÃ©" for "café".

    One unmistakable pair is enough; of sequences that people may also type ('É…', 'é”…') it takes two.
    """
    if text.isascii():
        return False
    return bool(_SURELY_BROKEN.search(text)) or len(_MAYBE_BROKEN.findall(text)) >= 2


_TAIL = "\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
_SURELY_BROKEN = re.compile(
    f"Ã[\u0080-\u009f\u00a1-\u00bf]|Â[\u0080-\u009f\u00a1-\u00ba\u00bc-\u00bf]|â€|ðŸ[{_TAIL}]|ï¸|ã[\u0080-\u009f]"
)
_MAYBE_BROKEN = re.compile(f"[Â-ß][{_TAIL}]|[à-ï][{_TAIL}]{{2}}|[ð-ô][{_TAIL}]{{3}}")


# -- the three kinds of file: (line number, bio or why there is none) ---------------------------------

Lines = Iterator[tuple[int, bytes]]
Found = Iterator[tuple[int, Bio | str]]


def _jsonl(lines: Lines, field: str | None) -> Found:
    for number, line in lines:
        if not line.strip():
            yield number, BLANK
            continue
        try:
            record = json.loads(line.decode())
        except UnicodeDecodeError:
            yield number, NOT_UTF8
            continue
        except (ValueError, RecursionError):
            yield number, "not JSON"
            continue
        bios = [_named(record, field)] if field else list(_bios(record))
        if not any(bios):
            yield number, f"no {field!r} in it" if field else "no bio in it"
        for bio in filter(None, bios):
            yield number, bio


def _csv(path: Path, lines: Lines, field: str | None) -> Found:
    # undecodable bytes become lone surrogates, which no field that is kept may hold: only that row is lost
    rows = csv.reader(line.decode("utf-8", "surrogateescape") for _, line in lines)
    try:
        header = next(rows, [])
    except csv.Error as error:
        raise CorpusError(f"{path}, line 1: not a CSV header ({error})") from None
    column = next((name for name in ([field] if field else FIELDS) if name in header), None)
    if column is None:
        wanted = f"column {field!r}" if field else "column `bio` or `description`"
        raise CorpusError(f"{path} has no {wanted}, only {', '.join(header) or 'nothing'}; name one with --field")
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            yield rows.line_num, f"not CSV: {error}"
            continue
        if row is None:
            return
        if not row:
            yield rows.line_num, BLANK
        elif len(row) != len(header):
            yield rows.line_num, f"{len(row)} columns where the header has {len(header)}"
        else:
            record = dict(zip(header, row, strict=True))
            yield rows.line_num, _bio(record[column], record)


def _txt(lines: Lines) -> Found:
    for number, line in lines:
        try:
            text = line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            yield number, NOT_UTF8
        else:
            yield number, Bio(text) if text else BLANK


# -- records into bios -------------------------------------------------------------------------------


def _bios(record: Any) -> Iterator[Bio]:
    """Yield every user's bio in a JSON value: a plain record, a user, a tweet, or a page of API v2."""
    if not isinstance(record, dict):
        return
    for name in FIELDS:
        if isinstance(record.get(name), str):
            yield _bio(record[name], record)
            return
    for name in ("user", "retweeted_status", "quoted_status", "data", "includes"):
        yield from _bios(record.get(name))
    for name in ("data", "users"):
        if isinstance(record.get(name), list):
            for user in record[name]:
                yield from _bios(user)


def _named(record: Any, field: str) -> Bio | None:
    """Return the bio under the dotted name `field`; its author is read from the fields beside it."""
    if isinstance(record, dict) and isinstance(record.get(field), str):
        return _bio(record[field], record)
    *above, last = field.split(".")
    for name in above:
        record = record.get(name) if isinstance(record, dict) else None
    return _bio(record[last], record) if isinstance(record, dict) and isinstance(record.get(last), str) else None


def _bio(text: str, record: dict[str, Any]) -> Bio:
    get = record.get
    handle = get("handle") or get("screen_name") or get("username")
    # a bare `id` beside no handle is as likely the number of a row as that of a person
    author = get("id_str") or get("user_id") or get("author_id") or get("author") or (get("id") if handle else None)
    source = get("source")
    return Bio(
        text,
        author=user_id(author),
        handle=handle.lstrip("@") if isinstance(handle, str) else None,
        source=source if isinstance(source, str) else None,
    )


def user_id(value: Any) -> int | None:
    """Return an id of X, from digits or a number, or None; a float has lost its last digits and is none."""
    if isinstance(value, bool) or not (isinstance(value, int) or (isinstance(value, str) and value.isdecimal())):
        return None
    number = int(value) if len(str(value)) < 20 else 0
    return number if 0 < number < 1 << 63 else None


def wrong(bio: Bio) -> str | None:
    """Return why a bio cannot be stored, or None; what a text may hold beyond that is for `clean` to decide."""
    text = bio.text
    if not text or text.isspace():
        return "empty"
    if "\0" in text:
        return "holds a NUL"
    try:
        size = len(text.encode())
        for each in (bio.handle, bio.source):
            if each is not None:
                each.encode()
    except UnicodeEncodeError:
        return NOT_UTF8
    if size > MAX_BIO:
        return f"longer than {MAX_BIO} bytes"
    return "mojibake: UTF-8 that was read as another encoding" if mojibake(text) else None


# -- bytes into lines --------------------------------------------------------------------------------


def _kind(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else (suffixes or [""])[-1]
    if kind == ".ndjson":
        return ".jsonl"
    if kind in (".jsonl", ".csv", ".txt"):
        return kind
    if kind == ".js":
        raise CorpusError(f"{path} holds ids but no bios; name it in `collect.ids` to fetch the bios of those people")
    raise CorpusError(f"{path}: unknown kind of file; name it .jsonl, .csv or .txt, or .gz after one of these")


@contextmanager
def _opened(path: Path, watch: Watch | None) -> Iterator[Lines]:
    """Open a file as numbered lines, without a byte-order mark; unpack it if its first bytes are gzip's."""
    try:
        raw = path.open("rb")
    except OSError as error:
        raise CorpusError(f"cannot read {path}: {error.strerror}") from None
    with raw:
        start = raw.peek(2)[:2]
        if start in (b"\xff\xfe", b"\xfe\xff"):
            raise CorpusError(f"{path} is UTF-16; convert it first: iconv -f UTF-16 -t UTF-8")
        unpacked = io.BufferedReader(gzip.GzipFile(fileobj=raw)) if start == b"\x1f\x8b" else raw
        yield _numbered(path, unpacked, lambda: watch(raw.tell()) if watch else None)


def _numbered(path: Path, file: BinaryIO, tick: Callable[[], None]) -> Lines:
    number = 0
    try:
        for number, line in enumerate(_short_lines(file), start=1):
            if number % 4096 == 0:
                tick()
            yield number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
    except (EOFError, zlib.error, OSError) as error:
        raise CorpusError(
            f"{path} is damaged after line {number}: {error}; what came before is kept, get the file again"
        ) from None
    tick()


def _short_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield lines, and of one that is far too long only the beginning, so that memory stays bounded."""
    while line := file.readline(MAX_LINE):
        yield line
        while len(line) == MAX_LINE and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE)
