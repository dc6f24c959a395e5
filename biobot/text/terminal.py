"""Bios on a terminal: made harmless, tinted by entropy, wrapped at the width that they take there."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, TextIO

from biobot.redact import mask
from biobot.text import graphemes
from biobot.text.unicode_policy import CONTROLS, DIRECTION_CONTROLS, DIRECTION_MARKS, SURROGATES, character_class

_RAMP = (27, 33, 39, 45, 50, 84, 154, 190, 226, 220, 214, 208, 202, 196)
"""Colours of the 256-colour palette from cold to hot: from a sure choice to a random one."""

HOT = 7.0
"""The entropy in bits from which a grapheme has the hottest colour: a choice among 128."""

_RESET = "\x1b[0m"
_LTR = "\u200e"  # makes a terminal that knows bidi lay out the line from the left, where the margin is


def colours(stream: TextIO) -> bool:
    """Return whether to write colours to `stream`: a terminal that is not dumb, unless NO_COLOR forbids it."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and os.environ.get("TERM") != "dumb")


_UNSAFE = re.compile(character_class((*SURROGATES, *CONTROLS, *DIRECTION_CONTROLS, *DIRECTION_MARKS)))


_BLANK_ENDS = re.compile(r"[ \t]+(?=\n)")


def clean(text: str) -> str:
    """Return `text` with its control and bidi characters shown by their codes, so that only line feeds act."""
    return _UNSAFE.sub(lambda match: f"<{ord(match[0]):02X}>", text)


listener: ContextVar[TextIO | None] = ContextVar("listener", default=None)
"""Where what this thread prints goes instead of standard output."""


class Harmless:
    """A text stream on which nobody's words can act, and without secrets.

    What `clean` shows by its code is written as that; in JSON it is escaped as JSON does it. No other line ends in
    blanks. `painted` is the stream itself, for what this program paints.
    """

    def __init__(self, stream: TextIO) -> None:
        self.painted = stream

    def write(self, text: str) -> int:
        """Write a text; return its length."""
        length = len(text)
        if self is sys.stdout and (instead := listener.get()) is not None:
            return instead.write(text)
        text = mask(text)
        json_line = text.startswith("{")
        self.painted.write(_UNSAFE.sub(_json_escape, text) if json_line else _BLANK_ENDS.sub("", clean(text)))
        return length

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each text."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.painted, name)


def painted(stream: TextIO) -> TextIO:
    """Return the stream that a Harmless one writes to, else the stream itself."""
    return getattr(stream, "painted", stream)


def _json_escape(match: re.Match[str]) -> str:
    return json.dumps(match[0])[1:-1]


def tint(text: str, entropies: Sequence[float]) -> str:
    """Return `text` with each grapheme coloured by the summed entropy (bits) of its bytes: blue is low, red is high."""
    return _paint(_measured(text, entropies))


def legend() -> str:
    """Return the scale of `tint` in its own colours."""
    scale = "".join(f"\x1b[38;5;{colour}m█" for colour in _RAMP)
    return f"0 {scale}{_RESET} {HOT:g} bits"


def draft(
    text: str,
    entropies: Sequence[float],
    label: str,
    objections: Iterable[str] | None,
    *,
    colour: bool,
    columns: int | None = None,
) -> str:
    """Return one bio as lines: the verdict (None: not judged) and `label`, the text, and each objection.

    `columns` is the width to wrap at, by default the terminal's.
    """
    columns = columns or shutil.get_terminal_size((80, 24)).columns
    reasons = None if objections is None else list(objections)
    mark = "·" if reasons is None else "✗" if reasons else "✓"
    shade = {"✓": "32", "✗": "31", "·": "2"}[mark]
    lines = [f"\x1b[{shade}m{mark}{_RESET} \x1b[2m{label}{_RESET}" if colour else f"{mark} {label}"]
    for line in _wrap(text, entropies, max(columns - 2, 10)):
        while line and line[-1][0].isspace():
            line.pop()
        margin = "" if not line else f"{_LTR}  " if any(graphemes.right_to_left(each) for each, _ in line) else "  "
        lines.append(margin + (_paint(line) if colour else "".join(each for each, _ in line)))
    for reason in reasons or ():
        said = clean(" ".join(reason.split()))
        lines.append(f"  \x1b[31m{said}{_RESET}" if colour else f"  - {said}")
    return "\n".join(lines)


def _paint(signs: Iterable[tuple[str, float]]) -> str:
    pieces, last = [], -1
    for each, entropy in signs:
        colour = _RAMP[min(int(max(entropy, 0.0) / HOT * len(_RAMP)), len(_RAMP) - 1)]
        if colour != last:
            pieces.append(f"\x1b[38;5;{colour}m")
        pieces.append(each)
        last = colour
    return "".join(pieces) + _RESET if pieces else ""


def _measured(text: str, entropies: Sequence[float]) -> Iterator[tuple[str, float]]:
    """Yield each grapheme, made harmless, with the summed entropy of its bytes."""
    at = 0
    for each in graphemes.split(text):
        size = len(each.encode(errors="surrogatepass"))
        yield clean(each), sum(entropies[at : at + size])
        at += size


def _wrap(text: str, entropies: Sequence[float], columns: int) -> Iterator[list[tuple[str, float]]]:
    """Yield the lines of a text, each at most `columns` wide, broken at spaces where there are some."""
    line: list[tuple[str, float]] = []
    used = space = 0  # columns in use; where the last space stands in the line, plus one
    for each, entropy in _measured(text, entropies):
        if each == "\n":
            yield line
            line, used, space = [], 0, 0
            continue
        wide = graphemes.width(each)
        if used + wide > columns:
            at = space or len(line)
            yield line[:at]
            line = line[at:]
            used, space = sum(graphemes.width(sign) for sign, _ in line), 0
        line.append((each, entropy))
        used += wide
        if each == " ":
            space = len(line)
    yield line
