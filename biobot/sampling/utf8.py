"""The automaton of the bytes that may come next, so that what is drawn is always valid, visible text.

Its states are the boundary between two characters and every distinct position inside one. A byte that cannot
lead to a valid UTF-8 character is not allowed: overlong forms, surrogates and anything beyond U+10FFFF. Neither
are the code points that `unicode_policy.UNSAMPLED` lists (F26).

A bio may stop at a boundary once it has a visible character: until then it is in state 0, to which white space
and invisible characters lead back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from biobot.errors import SampleError
from biobot.model.codec import STOP, Codec
from biobot.text.unicode_policy import INVISIBLE, UNSAMPLED

NOTHING, TEXT = 0, 1
"""The two boundary states: nothing visible so far, and some text."""

_LEADS = (  # lead bytes, continuation bytes after each, the smallest code point that needs so many
    (range(0x80), 0, 0x00),
    (range(0xC0, 0xE0), 1, 0x80),
    (range(0xE0, 0xF0), 2, 0x800),
    (range(0xF0, 0xF8), 3, 0x10000),
)
_Ways = dict[int, int]
_Special = list[tuple[int, int, int | None]]  # first and last code point, and the state after one (None: no way)


@dataclass(frozen=True)
class Automaton:
    """The transitions: `ways[state]` maps each allowed byte value to the state after it.

    Only bytes of the codec's table occur, and only where a character can be completed: a lead byte all of whose
    characters need a byte that training never saw is not allowed.
    """

    codec: Codec
    ways: tuple[_Ways, ...] = field(init=False)

    def __post_init__(self) -> None:
        known = {value for value in range(256) if self.codec.lookup(value) is not None}
        ways = [{byte: to for byte, to in each.items() if byte in known} for each in _states()]
        while True:  # remove dead ends, and then what leads to nothing else
            dead = {state for state, each in enumerate(ways) if not each and state != TEXT}
            if not any(to in dead for each in ways for to in each.values()):
                break
            ways = [{byte: to for byte, to in each.items() if to not in dead} for each in ways]
        if not _reaches(ways, NOTHING, TEXT):
            raise SampleError("this model knows no byte of visible text; train it on more bios")
        object.__setattr__(self, "ways", tuple(ways))

    def allowed(self, state: int) -> list[int]:
        """Return the codes that may follow in `state`, the stop among them where a bio may end."""
        codes = self.codec.encode(bytes(sorted(self.ways[state])))
        return [STOP, *codes] if state == TEXT else codes

    def follow(self, text: bytes, state: int = NOTHING) -> int:
        """Return the state after `text`; SampleError at the first byte that is not allowed."""
        for position, byte in enumerate(text):
            if byte not in self.ways[state]:
                raise SampleError(
                    f"byte 0x{byte:02x} at position {position} of {text!r} can never be drawn: it is not valid "
                    "UTF-8 there, a control character, or nothing that this model can complete; remove it"
                )
            state = self.ways[state][byte]
        return state


def _states() -> list[_Ways]:
    """Build every state over all 256 bytes; states with the same transitions are one."""
    states: list[_Ways] = [{}, {}]
    known: dict[object, int | None] = {}

    def after(first: int, depth: int, special: _Special) -> int | None:
        """Return the state before the last `depth` bytes of the 64 ** depth code points from `first` on."""
        last = first + 64**depth - 1
        special = [(max(a, first), min(z, last), to) for a, z, to in special if a <= last and z >= first]
        if depth == 0:
            return special[0][2] if special else TEXT
        key = (depth, *((a - first, z - first, to) for a, z, to in special))
        if key not in known:
            steps = {0x80 + step: after(first + step * 64 ** (depth - 1), depth - 1, special) for step in range(64)}
            ways = {byte: to for byte, to in steps.items() if to is not None}
            known[key] = len(states) if ways else None
            if ways:
                states.append(ways)
        return known[key]

    never: _Special = [(a, z, None) for a, z in (*UNSAMPLED, (0x110000, 0x1FFFFF))]
    for boundary, blank in ((NOTHING, INVISIBLE), (TEXT, ())):
        for leads, depth, least in _LEADS:
            # in this order, since the first that holds a code point counts: many are both forbidden and invisible
            special: _Special = [*never, (0, least - 1, None), *((a, z, boundary) for a, z in blank)]
            for byte in leads:
                to = after((byte - leads.start) * 64**depth, depth, special)
                if to is not None:
                    states[boundary][byte] = to
    return states


def _reaches(ways: Sequence[_Ways], start: int, goal: int) -> bool:
    seen, edge = {start}, [start]
    while edge:
        for to in ways[edge.pop()].values():
            if to not in seen:
                seen.add(to)
                edge.append(to)
    return goal in seen
