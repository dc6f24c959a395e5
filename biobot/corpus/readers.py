"""Files of bios: JSON, tables and plain lines, packed or not, read as a stream; exports, tweets and X's archives too.

A line that holds no bio never stops a reader: it comes back as Skipped, with its place and the reason.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from biobot.corpus import documents, people
from biobot.corpus.files import MAX_LINE, Text, Watch, opened
from biobot.corpus.people import NOTHING, Bio, Names, columns, user_id
from biobot.corpus.tables import BLANK, Table
from biobot.errors import BadFile
from biobot.text.humanize import counted
from biobot.text.terminal import clean

__all__ = ["MAX_BIO", "MAX_LINE", "Bio", "Names", "Skipped", "Watch", "ids", "mojibake", "read", "user_id", "wrong"]

NOT_UTF8 = "not UTF-8"

NAME_ONE = "name one with `biobot corpus import --field NAME`"

ANY = Names()
"""The names are to be recognised."""

MAX_BIO = 1 << 16
"""Bytes of UTF-8; X allows 160 characters, other networks some hundreds."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A line (the first is 1) that held no bio, and why."""

    file: str
    line: int
    why: str


Note = Callable[[str], object]
"""Is told, in a sentence, what had to be guessed."""

Found = Iterator[tuple[int, Bio | str]]
"""A line's number, and its bio or why there is none."""


def read(
    path: Path,
    names: Names = ANY,
    watch: Watch | None = None,
    note: Note = lambda _: None,
) -> Iterator[Bio | Skipped]:
    """Yield every bio of a file ("-" is standard input), and what was skipped, in the file's order.

    `names` says which key or column holds what; otherwise the names that exporters use are recognised. `note` is
    called with each guess that was made. Raises BadFile for a file that cannot be read or lacks the fields it needs.
    """
    with opened(path, watch) as text:
        if text.encoding == "cp1252":
            note(f"{clean(str(path))} is not UTF-8: read as Windows-1252; for another encoding convert it with iconv")
        for number, each in _found(text, names, note):
            why = wrong(each) if isinstance(each, Bio) else each
            if isinstance(each, Bio) and why is None:
                yield each
            else:
                yield Skipped(str(path), number, str(why))


def ids(path: Path) -> Iterator[int]:
    """Yield the user ids of a file: one per line, a table or JSON that has them, or an archive's follower.js.

    Lines without an id (a header, a comment) are passed over, and so are ids of tweets. Raises BadFile for a file
    that cannot be read, or that holds no people.
    """
    with opened(path) as text:
        kind = _kind(text, ids=True)
        if kind == "json":
            archive = _archive(text)
            if archive not in (None, "follower", "following"):
                part = f"is the part {archive!r} of a Twitter archive"
                raise BadFile(f"{path} {part}; only follower.js and following.js list people")
            for _, value in _values(text):
                yield from people.ids(value)
        elif kind == "table":
            table = Table(text.lines(), lambda header: bool(columns(tuple(header)).bare))
            found = columns(tuple(table.header))
            if not (wanted := (*found.ids, *found.bare)):
                raise BadFile(f"{path} has no column with ids of people, only {_listed(table.header)}")
            for _, row in table.rows(lambda *_: None):
                if isinstance(row, list) and (number := people.first_id(_record(table, row), wanted)):
                    yield number
        else:
            for _, line in text.lines():
                if match := re.match(r"\s*\"?(\d{1,19})\"?\s*(?:[,;\t]|$)", line):
                    yield from people.ids(match[1])


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


# -- kinds of files ----------------------------------------------------------------------------------

_ARCHIVE = re.compile(r"\s*(?:window\.YTD\.(\w+)\.part\d+|(?:var\s+)?[A-Za-z_][\w.]*)\s*=\s*(?=[\[{])")


def _kind(text: Text, *, ids: bool = False) -> str:
    """Return "json", "table" or "lines": by the name, unless the text is clearly something else."""
    suffix = Path(text.name).suffix.lower()
    if suffix in (".json", ".jsonl", ".ndjson", ".js") or documents.looks_like_json(text.sample):
        return "json"
    if _ARCHIVE.match(text.sample):
        return "json"
    head = Table(enumerate(io.StringIO(text.sample, newline=""), 1), lambda header: bool(_people_columns(header)))
    tabular = suffix in (".csv", ".tsv", ".tab")
    if ids:
        known = columns(tuple(head.header))
        table = tabular or known.ids or known.bare or known.tweet
        return "table" if table and len(head.header) > 1 and not head.header[0].isdecimal() else "lines"
    if tabular or _people_columns(head.header):
        return "table"
    if suffix == ".txt" or str(text.path) == "-" or not text.path.is_file():  # standard input, or a pipe of the shell's
        return "lines"
    raise BadFile(
        f"{clean(str(text.path))}: unknown kind of file; name it .jsonl, .json, .csv, .tsv or .txt, "
        "or .gz after one of these"
    )


def _people_columns(header: list[str]) -> bool:
    """Return whether a line can only be the header of a table of people: no bio reads like that."""
    found = columns(tuple(header))
    return len(header) > 1 and bool(found.bios) and bool(found.handles or found.bare or found.ids)


def _found(text: Text, names: Names, note: Note) -> Found:
    kind = _kind(text)
    if kind == "json":
        return _json(text, names)
    if kind == "table":
        return _table(text, names, note)
    if names != ANY:
        raise BadFile(f"{text.path} has no fields; leave out --field, --author and --handle")
    return ((number, Bio(line) if line else BLANK) for number, line in _lines(text))


def _lines(text: Text) -> Iterator[tuple[int, str]]:
    return ((number, line.removeprefix("\ufeff").rstrip("\r\n")) for number, line in text.lines())


def _archive(text: Text) -> str | None:
    """Read over the assignment that a Twitter archive's file begins with; return which part of the archive it is."""
    found = _ARCHIVE.match(text.sample)
    if found is None:
        return None
    text.read(found.end() + text.bom)
    text.sample = text.sample[found.end() :]
    return found[1]


def _values(text: Text) -> Iterator[tuple[int, object]]:
    return documents.by_line(text) if documents.one_a_line(text.sample) else documents.streamed(text)


def _json(text: Text, names: Names) -> Found:
    archive = _archive(text)
    if archive in ("follower", "following"):
        raise BadFile(f"{text.path} holds ids but no bios; name it in `collect.ids` to fetch the bios of those people")
    if archive not in (None, "profile"):
        if "tweet" in archive:
            raise BadFile(f"{text.path} is the tweets of a Twitter archive: they hold no bio and no people")
        raise BadFile(f"{text.path} is the part {archive!r} of a Twitter archive; only profile.js holds a bio")
    keys, any_bio = None, False
    for number, value in _values(text):
        if value is documents.BROKEN or value is documents.BLANK:
            yield number, BLANK if value is documents.BLANK else "not JSON"
            continue
        bio = None
        for bio in [Bio(value)] if isinstance(value, str) else people.people(value, names):
            any_bio = True
            yield number, bio
        if bio is None:
            keys = keys or (list(value) if isinstance(value, dict) else None)
            yield number, f"no {names.field!r} in it" if names.field else "no bio in it"
    if keys and not any_bio:
        raise BadFile(f"{text.path}: no bio was found; its keys are {_listed(keys)}; {NAME_ONE}")


_NUMBER = re.compile(r"\s*[\d.]+\s*")
_HANDLE = re.compile(r"\w{1,15}", re.ASCII)


def _table(text: Text, names: Names, note: Note) -> Found:
    def known(header: list[str]) -> bool:
        return names.field in header if names.field else bool(columns(tuple(header)).bios)

    table = Table(text.lines(), known)
    header = table.header
    found = columns(tuple(header))
    for option, name in (("--field", names.field), ("--author", names.author), ("--handle", names.handle)):
        if name and name not in header:
            raise BadFile(f"{text.path} has no column {name!r} ({option}), only {_listed(header)}")
    if not names.field and not found.bios:
        raise BadFile(f"{text.path} {_no_header(header)}")
    wanted = names.field or found.bios[0]
    numbers = tuple(name for name in header if re.search(r"id(_?str)?\W*$", name, re.IGNORECASE))
    handle = (names.handle,) if names.handle else found.handles

    def somebodys(cells: dict[str, str], own: dict[str, str]) -> bool | None:
        """Return whether an id of the usual length is where ids are, and a handle of X where handles are.

        In a table without ids: whether there are numbers wherever its row has some.
        """
        called = [people.handle(cells[each]) or "" for each in handle if each in cells]
        if called and not any(_HANDLE.fullmatch(name) and not name.isdecimal() for name in called):
            return False
        if not numbers:
            counts = [each for each in cells if each != wanted and _NUMBER.fullmatch(own[each])]
            return all(_NUMBER.fullmatch(cells[each]) for each in counts) if counts else None
        if cells.keys().isdisjoint(numbers):
            return None
        known, usual = people.first_id(cells, numbers), people.first_id(own, numbers)
        return known is not None and 2 * len(str(known)) >= len(str(usual or ""))

    for number, row in table.rows(somebodys):
        if isinstance(row, str):
            yield number, row
        else:
            record = _record(table, row)
            yield number, people.person(record, record[wanted], found, names)
    if table.doubtful:
        note(
            f"{clean(str(text.path))}: {counted(table.doubtful, 'bio')} of several lines could as well be the rows of "
            f"several people behind a stray quote, the first on line {table.first_doubtful}; if so, remove the quote, "
            "forget what was stored (`biobot corpus forget --text`), and import the file again"
        )


def _record(table: Table, cells: list[str]) -> dict[str, str]:
    return dict(zip(table.header, cells, strict=True))


def _no_header(header: list[str]) -> str:
    """Say why a line is not a table's header, or which columns it has."""
    if not any(header):
        return "is empty"
    if any("\0" in cell for cell in header):
        return "is not text"
    if len(header) == 1 and " " in header[0]:
        return 'begins with a bio, not with a header: name the file .txt, or write "description" above'
    if any(cell.isdecimal() or cell.count(" ") > 3 for cell in header):
        return "begins with a row, not with a header: write the names of its columns above, such as id,handle,bio"
    hint = ""
    if len(header) == 1 and re.search(r"\w[^\w\s]\w", header[0]):
        hint = "; if that is several columns, separate them by one of , ; | or a tab"
    elif any(" " in cell for cell in header):
        hint = "; if that is a row, write the names of its columns above"
    return f"has no column with bios, only {_listed(header)}; {NAME_ONE}{hint}"


def _listed(names: list[str]) -> str:
    shown = ", ".join(clean(name[:40]) for name in names[:20] if name)
    return (shown or "nothing") + (" …" if len(names) > 20 else "")


def wrong(bio: Bio) -> str | None:
    """Return why a bio cannot be stored, or None; what a text may hold beyond that is for `clean` to decide."""
    text = bio.text
    if not text or text.isspace() or (len(text) < 12 and text.strip().casefold() in NOTHING):
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
    if _BYTES.fullmatch(text):
        return "Python bytes written as text: b'…'"
    return "mojibake: UTF-8 that was read as another encoding" if mojibake(text) else None


_BYTES = re.compile(r"""\s*b(?:'.*'|".*")\s*""", re.DOTALL)
