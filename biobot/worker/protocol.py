"""What crosses the process boundary: requests, their answers, and the one codec that writes and reads both.

A message is one line of JSON, and each object in it a frozen dataclass: `{"Class": {field: value, …}}`. A worker is
sent one `Task`. It sends any number of answers to its request, `Log`s among them, and ends with `Done` or `Failed`.
"""

from __future__ import annotations

import builtins
import json
import math
import types
from collections import abc
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, ClassVar, Generic, TypeVar, cast, get_args, get_origin, get_type_hints

from biobot.candidate import Candidate, DraftRequest, DraftResult, Verdict
from biobot.errors import BiobotError
from biobot.sampling.controls import Controls

A = TypeVar("A")
T = TypeVar("T")


class ProtocolError(BiobotError):
    """A line is not a message of the kind that was expected."""


class Request(Generic[A]):
    """What a worker is asked to do; its answers are of the class `A`."""

    doing: ClassVar[str]
    """What error messages call it."""


@dataclass(frozen=True)
class Draw(Request[DraftResult]):
    """Draw drafts: for each request the best accepted candidate."""

    doing = "drawing bios"
    requests: tuple[DraftRequest, ...]


@dataclass(frozen=True)
class Preview(Request[Verdict]):
    """Draw `count` bios for each temperature, bio i of the seed `seed` + i, and judge them where `filters` is true."""

    doing = "drawing bios"
    temperatures: tuple[float, ...]
    count: int
    seed: int
    controls: Controls = field(default_factory=Controls)
    model: str | None = None
    filters: bool = True


@dataclass(frozen=True, slots=True)
class Text:
    """A text to judge; `row` is the id of the outbox row that it is the text of."""

    text: str
    row: str | None = None


@dataclass(frozen=True)
class Judge(Request[Verdict]):
    """Judge texts, each against all known ones but its own row; where `score` is true, score the accepted ones."""

    doing = "judging the text"
    texts: tuple[Text, ...]
    model: str | None = None
    score: bool = False


@dataclass(frozen=True)
class Replay(Request[Candidate]):
    """Draw one bio again, unjudged, with the number type of `numerics` where this machine has it."""

    doing = "drawing the text again"
    model: str
    temperature: float
    seed: int
    controls: Controls = field(default_factory=Controls)
    numerics: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The score that the taste gives a text, and what each of its words and features adds to it, largest first."""

    score: float
    effects: Mapping[str, float]


@dataclass(frozen=True)
class Explain(Request[Explanation]):
    """Say why the taste likes a text as much as it does."""

    doing = "explaining the score"
    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Scored:
    """A text and its score."""

    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Chosen:
    """Those that the filters accept of what was drawn for a draft, the best first."""

    accepted: tuple[Scored, ...]


@dataclass(frozen=True)
class Choice(Request[Chosen]):
    """Draw again all `tries` bios that the draft of the row `row` was chosen from, the first with the seed `seed`."""

    doing = "drawing the others again"
    model: str
    temperature: float
    seed: int
    tries: int
    row: str
    numerics: str | None = None


@dataclass(frozen=True, slots=True)
class Learnt:
    """What came of the owner's marks, as a sentence."""

    why: str


@dataclass(frozen=True)
class LearnTaste(Request[Learnt]):
    """Learn the owner's taste, if marks or decisions came since it was learnt."""

    doing = "learning your taste"


@dataclass(frozen=True, slots=True)
class Figures:
    """An object that `biobot tune --json` prints: what was measured at a temperature, at last what is recommended."""

    values: Mapping[str, Any]


@dataclass(frozen=True)
class Sweep(Request[Figures]):
    """Measure `bios` bios of each temperature."""

    doing = "measuring temperatures"
    temperatures: tuple[float, ...] = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2)
    bios: int = 2000
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A plugin: where it is from, its hooks, its settings, what it says of these, and why it cannot be loaded."""

    name: str
    hooks: tuple[str, ...]
    origin: str = ""
    enabled: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)
    about: str = ""
    problem: str = ""


@dataclass(frozen=True)
class LoadPlugins(Request[Loaded]):
    """Load the plugins and check their settings, as every other request does first.

    With `broken` all are listed; those that it names are not tried, for the reason that it gives.
    """

    doing = "loading the plugins"
    broken: Mapping[str, str] | None = None
    require: bool = True


@dataclass(frozen=True, slots=True)
class Tried:
    """What a filter made of texts: how many there were, its refusals, those of it alone, its times, reasons, examples.

    Numbers in the reasons are counted as one; an example is a text and the reason.
    """

    texts: int
    refused: int
    alone: int
    seconds: tuple[float, ...]
    reasons: Mapping[str, int]
    examples: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TryPlugin(Request[Tried]):
    """Ask the plugin of that name, or in that file, about texts, beside all the bot's other filters.

    Without texts `count` bios of the bot's model are drawn, unjudged, the first with the seed `seed`.
    """

    doing = "trying the plugin"
    plugin: str
    texts: tuple[str, ...] = ()
    examples: int = 5
    count: int = 0
    temperature: float = 0.8
    seed: int = 0


AnyRequest = Draw | Preview | Judge | Replay | Choice | Explain | LearnTaste | Sweep | LoadPlugins | TryPlugin


# -- what surrounds them -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Task:
    """The only message to a worker: whose bot it works for, the text of its biobot.toml, and the request."""

    config: str | None
    home: str
    request: AnyRequest
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Log:
    """A line for the log of the process that asked."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The request could not be answered, or not to its end; `exit_code` is the error's."""

    reason: str
    exit_code: int = 1


@dataclass(frozen=True, slots=True)
class Done:
    """The last answer has been sent."""


# -- the codec ---------------------------------------------------------------------------------------


def encode(message: object) -> bytes:
    """Return a message as one line."""
    return json.dumps(message, default=_plain, allow_nan=False).encode() + b"\n"


def decode(line: bytes, *expected: type[T]) -> T:
    """Return the message on a line; raise ProtocolError unless it is one of the `expected` classes, field by field."""
    for kind in expected:
        if line.startswith(b'{"%s": ' % kind.__name__.encode()):
            try:
                return cast(T, _read(json.loads(line), kind))
            except BiobotError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever is wrong with it
                raise ProtocolError(f"a {kind.__name__} cannot be read: {error}") from None
    raise ProtocolError(f"{line[:80]!r} is no {' or '.join(each.__name__ for each in expected)}")


def answer_class(request: Request[Any]) -> type[Any]:
    """Return the class of a request's answers."""
    return cast(type[Any], get_args(type(request).__orig_bases__[0])[0])  # type: ignore[attr-defined]


def _plain(value: Any) -> Any:
    """Return a dataclass as an object tagged with the name of its class, and bytes as text of one character each."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return {type(value).__name__: {each.name: getattr(value, each.name) for each in fields(value)}}


def _read(value: Any, kind: Any) -> Any:
    """Return what a JSON value stands for as a `kind`; raise ValueError, or another error, where it is none."""
    arguments, name = get_args(kind), getattr(kind, "__name__", str(kind))
    match get_origin(kind):
        case types.UnionType:
            for each in arguments:
                with suppress(ValueError):
                    return _read(value, each)
        case builtins.tuple if isinstance(value, list):
            kinds = [arguments[0]] * len(value) if arguments[-1] is ... else arguments
            return tuple(_read(each, of) for each, of in zip(value, kinds, strict=True))
        case abc.Mapping if isinstance(value, dict):
            return {_read(key, arguments[0]): _read(each, arguments[1]) for key, each in value.items()}
        case None if is_dataclass(cast(object, kind)) and isinstance(value, dict) and list(value) == [name]:
            return kind(**{key: _read(each, _hints(kind)[key]) for key, each in value[name].items()})
        case None if kind is bytes and isinstance(value, str):
            return value.encode("latin-1")
        case None if kind is float and type(value) in (int, float) and math.isfinite(value):
            return float(value)
        case None if kind is Any or (type(value) is kind and kind is not float):
            return value
    raise ValueError(f"{str(value)[:80]!r} is no {name}")


_hints = cache(get_type_hints)
