"""JSON values from a stream: one per line, in an array of any size, or concatenated."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from biobot.corpus.files import MAX_LINE, Text

CHUNK = 1 << 18

CONTEXT = 256
"""Characters that are kept before a value, to know how far it is indented."""

BROKEN = object()
"""Stands for what is no JSON."""

BLANK = object()
"""Stands for a blank line."""

_BETWEEN = re.compile(r"[\s,\[\]:}\x1e\ufeff]*")
_HEAD = re.compile(r'[\s\ufeff]*(\[\s*["\[{\]]|\{\s*["}])')
_RECORD = re.compile(r'[\s\ufeff]*\[?\s*\{\s*"(?:[^"\\\n]|\\.)*"\s*:')


def looks_like_json(sample: str) -> bool:
    """Return whether a text begins as a JSON object does, or an array of objects: no bio begins like that."""
    return bool(_RECORD.match(sample))


def one_a_line(sample: str) -> bool:
    """Return whether a JSON text has one value a line, rather than an array or values of several lines."""
    first = next((line for line in re.split(r"[\r\n]+", sample.removeprefix("\ufeff")) if line.strip()), "").strip()
    if len(first) < len(sample.strip()) and first.startswith("{"):
        try:
            json.loads(first)
        except (ValueError, RecursionError):
            return not first.endswith(("{", "[", ",", ":"))
        return True
    return not _HEAD.match(sample)


def by_line(text: Text) -> Iterator[tuple[int, Any]]:
    """Yield (line, value) of JSON lines; BLANK for a blank line, BROKEN for one that is no JSON."""
    for number, line in text.lines():
        line = line.strip("\ufeff\x1e \t\r\n")
        if not line:
            yield number, BLANK
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError):
            yield number, BROKEN


def streamed(text: Text) -> Iterator[tuple[int, Any]]:
    """Yield (line, value) of every value in an array, or of values behind each other; BROKEN for what is none.

    Brackets around them are passed over, so the elements of an array come one by one, and an object that is too
    large to be held comes as the values within its arrays.
    """
    decode = json.JSONDecoder().raw_decode
    buffer, at, counted, ended = "\n", 0, 0, False
    text.number = 0
    strings: bool | None = None
    opened = 0

    def place() -> int:
        nonlocal counted
        text.number += buffer.count("\n", counted, at)
        counted = at
        return text.number

    def more() -> None:
        nonlocal buffer, at, counted, ended
        place()
        part = text.read(CHUNK)
        kept = max(at - CONTEXT, 0)
        buffer, at, counted, ended = buffer[kept:] + part, at - kept, at - kept, not part

    while True:
        start, at = at, _end(_BETWEEN, buffer, at)
        opened += buffer.count("[", start, at)
        if at == len(buffer):
            if ended:
                return
            more()
            continue
        try:
            value, end = decode(buffer, at)
        except (ValueError, RecursionError) as error:
            if not ended and _cut(error, len(buffer)):
                if len(buffer) - at < MAX_LINE:
                    more()
                    continue
                if buffer[at] == "{":
                    at, strings = at + 1, False
                    continue
            yield place(), BROKEN
            indent = re.search(r"\n([ \t]*)$", buffer[max(at - CONTEXT, 0) : at])
            begin = re.compile(rf"\n{indent[1]}(?=[{{\"])" if indent else r"\}\s*,\s*(?=\{)")
            at, strings = at + 1, False
            while not (found := begin.search(buffer, at)):
                if ended:
                    return
                at = max(at, len(buffer) - CONTEXT)
                more()
            at = found.end()
            continue
        if end == len(buffer) and not ended and not isinstance(value, dict):
            more()  # a number may go on
            continue
        if strings is not False:  # only of a plain array of texts, not of one of arrays
            strings = isinstance(value, str) and opened == 1
        if strings or not isinstance(value, str):  # other strings are the keys of an object that was entered
            yield place(), value
        at = end


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _cut(error: Exception, size: int) -> bool:
    """Return whether a value may only be unfinished, since its text ends here."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    return error.pos > size - 16 or error.msg.startswith("Unterminated string")
