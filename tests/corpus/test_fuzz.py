"""Generated files, whole and broken: nothing is raised but BadFile, and no two people's rows become one.

Everybody's bio bears their own mark in every line, so that a text with two marks, or with somebody else's id or handle,
shows that a reader has taken one row for another.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import re
import resource
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from biobot.corpus import readers
from biobot.corpus.readers import Bio, Skipped, read
from biobot.errors import BadFile

PIECES = (
    *("baker", "tea & maps", 'says "hi"', '"', '""', '5" of rain', "a,b", ",", ";", "\t", "1,2,3", "é", "東京", "🌻"),
    *(
        "\\",
        '\\"',
        "'",
        "\n",
        "\r\n",
        "\n\n",
        "x,y\nz,w",
        "&amp;",
        "[{",
        "}",
        '{"a": 1}',
        "—",
        "ß",
        "#",
        "sep=,",
        "\u2028",
    ),
)
HEADERS = (
    ("id", "screen_name", "description"),
    ("description", "handle", "user_id"),
    ("ID", "Name", "Username", "Bio", "Followers"),
    ("created", "user_profile_description", "userid", "user_screen_name"),
)
ENDS = ("\n", "\r\n", "\r")
MARK = re.compile(r"m\d+z\d+m")


@dataclass
class Made:
    """A file, whom it holds, and whether it is well-formed, so that they must come out as they are."""

    name: str
    content: bytes
    people: list[Bio]
    whole: bool


def make(seed: int) -> Made:
    """Make up a file; each seed gives another one."""
    draw = random.Random(seed)
    kind = draw.choice(("csv", "csv", "csv", "json", "jsonl", "js", "txt"))
    size = 12_000 if draw.random() < 0.001 else draw.choice((1, 2, 3, 5, 8, 40))
    people = [_person(draw, number, kind) for number in range(size)]
    content = {"csv": _csv, "json": _json, "jsonl": _jsonl, "js": _js, "txt": _txt}[kind](draw, people)
    whole = draw.random() < 0.4
    if whole:
        return Made(f"a.{kind}", _packed(draw, _encoded(draw, content)), people, True)
    if kind != "txt" and draw.random() < 0.6:
        for _ in range(draw.randint(1, 4)):
            content = _requoted(draw, content)
        return Made(f"a.{kind}", content.encode(), people, False)
    name = f"a.{draw.choice(('csv', 'tsv', 'json', 'jsonl', 'js', 'txt', 'zip', kind, kind, kind))}"
    return Made(name, _noise(draw, _packed(draw, content.encode())), [] if "txt" in (kind, name[2:]) else people, False)


def _mark(number: int) -> str:
    """Return a mark that one broken byte does not turn into somebody else's."""
    return f"m{number}z{number * 7919 % 99_991}m"


def _person(draw: random.Random, number: int, kind: str) -> Bio:
    mark = _mark(number)
    text = mark
    for piece in draw.choices(PIECES, k=draw.choice((0, 1, 3, 8))):
        text += piece + (mark if "\n" in piece else draw.choice((" ", "")))
    text = text.replace("x,y\nz,w", f"x,y\n{mark},w") + draw.choice(("", mark))
    if kind == "txt":
        text = re.sub(r"[\r\n]+", " ", text)
    return Bio(text, draw.randrange(10**15, 10**16), f"h{number}_{draw.choice('abc')}")


def _csv(draw: random.Random, people: list[Bio]) -> str:
    header = draw.choice(HEADERS)
    out = io.StringIO(newline="")
    end = draw.choice(ENDS[:2])
    writer = csv.writer(
        out, delimiter=draw.choice(",,;\t"), lineterminator=end, quoting=draw.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    )
    writer.writerow(header)
    for each in people:
        cells: dict[str, object] = dict.fromkeys(header, draw.choice(("7", "", "some, thing")))
        for name in header:
            plain = name.lower()
            if plain.endswith("id"):
                cells[name] = each.author
            elif plain in ("screen_name", "handle", "username", "user_screen_name"):
                cells[name] = each.handle
            elif plain in ("description", "bio", "user_profile_description"):
                cells[name] = each.text
        writer.writerow(cells.values())
    return out.getvalue()


def _records(people: list[Bio]) -> list[dict[str, object]]:
    return [
        {
            "id_str": str(each.author),
            "screen_name": each.handle,
            "description": each.text,
            "entities": {"urls": [{"u": 1}]},
        }
        for each in people
    ]


def _json(draw: random.Random, people: list[Bio]) -> str:
    found: object = _records(people)
    if draw.random() < 0.3:
        found = {draw.choice(("data", "users")): found, "meta": {"next": "x"}}
    return json.dumps(found, indent=draw.choice((None, 1, 2, "\t")), ensure_ascii=draw.random() < 0.5)


def _jsonl(draw: random.Random, people: list[Bio]) -> str:
    end = draw.choice(ENDS)
    return "".join(json.dumps(each, ensure_ascii=draw.random() < 0.5) + end for each in _records(people))


def _js(draw: random.Random, people: list[Bio]) -> str:
    return f"window.YTD.profile.part0 = {json.dumps(_records(people), indent=draw.choice((None, 2)))}"


def _txt(draw: random.Random, people: list[Bio]) -> str:
    end = draw.choice(ENDS)
    return "".join(each.text + end for each in people)


def _encoded(draw: random.Random, content: str) -> bytes:
    return content.encode(draw.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be")))


def _packed(draw: random.Random, content: bytes) -> bytes:
    return gzip.compress(content, 1) if draw.random() < 0.15 else content


def _requoted(draw: random.Random, content: str) -> str:
    """Put in a quote, or take one away."""
    if draw.random() < 0.5 and (places := [found.start() for found in re.finditer('"', content)]):
        place = draw.choice(places)
        return content[:place] + content[place + 1 :]
    borders = [found.start() for found in re.finditer(r"[,;\t\r\n]", content)] or [0]
    place = draw.choice((draw.choice(borders), draw.choice(borders) + 1, draw.randrange(len(content) + 1)))
    return content[:place] + '"' + content[place:]


def _noise(draw: random.Random, content: bytes) -> bytes:
    """Break one place: cut, overwritten, doubled, or noise put in; or replace everything by noise."""
    place, size = draw.randrange(len(content) + 1), draw.choice((1, 2, 7, 60))
    what = draw.randrange(6)
    if what == 0:
        return content[:place]
    if what == 1:
        return content[:place] + draw.randbytes(size) + content[place:]
    if what == 2:
        return content[:place] + draw.randbytes(1) + content[place + 1 :]  # more might wipe out the end of a row
    if what == 3:
        return content[:place] + bytes(draw.choices(b'"\\,;{}[]:\0\xff\xc3\r\n', k=size)) + content[place:]
    if what == 4:
        return (
            draw.choice((b"\xff\xfe", b"\xef\xbb\xbf", b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"[", b"{", b'"', b"sep="))
            + content
        )
    return draw.randbytes(place) if draw.random() < 0.5 else bytes(draw.choices(b'{}[]",:\\ \n\r1a', k=place))


def check(made: Made, path: Path) -> str:
    """Read a file; return what kind of end it came to, and fail if it is a wrong one."""
    path = path / made.name
    path.write_bytes(made.content)
    found: list[Bio] = []
    try:
        for each in read(path):
            if isinstance(each, Bio):
                found.append(each)
            else:
                assert isinstance(each, Skipped)
                assert each.line >= 0
        ended = "read"
    except BadFile:
        ended = "refused"
    with suppress(BadFile):
        list(readers.ids(path))
    path.unlink()
    if made.whole:
        signed = not made.name.endswith("txt")
        wanted = [each if signed else Bio(each.text) for each in made.people if readers.wrong(each) is None]
        assert found == wanted, (made.name, made.content)
        return "whole"
    owners = {_mark(number): each for number, each in enumerate(made.people)}
    ids, handles = {each.author for each in made.people}, {each.handle for each in made.people}
    for each in found if made.people else []:
        marks = set(MARK.findall(each.text))
        assert len(marks & owners.keys()) <= 1, (each, made.name, made.content)
        for mark in marks & owners.keys():
            assert each.author == owners[mark].author or each.author not in ids, (each, made.content)
            assert each.handle == owners[mark].handle or each.handle not in handles, (each, made.content)
    return ended


def fuzz(path: Path, seeds: range, told: Callable[[int], None] = lambda _: None) -> Counter[str]:
    ends = Counter[str]()
    for seed in seeds:
        try:
            ends[check(make(seed), path)] += 1
        except BaseException:
            print(f"seed {seed}", file=sys.stderr)
            raise
        if seed % 10_000 == 0:
            told(seed)
    return ends


def test_generated_files_whole_and_broken_are_read_or_refused_and_nobodys_row_becomes_anothers(tmp_path: Path) -> None:
    ends = fuzz(tmp_path, range(3_000))
    assert ends["whole"] > 1_000
    assert ends["read"] > 500
    assert ends["refused"] > 100


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_two_hundred_thousand_generated_files_are_read_or_refused_in_bounded_memory(tmp_path: Path) -> None:
    fuzz(tmp_path, range(3_000))
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ends = fuzz(tmp_path, range(3_000, 200_000))
    assert sum(ends.values()) == 197_000
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / unit
    assert grown < 100, f"{grown:.0f} MiB"
