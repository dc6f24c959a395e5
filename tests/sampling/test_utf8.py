"""The automaton lets through valid text, all of it, and nothing else."""

from __future__ import annotations

import random
import unicodedata

import pytest

from biobot.errors import SampleError
from biobot.model.codec import STOP, Codec
from biobot.sampling.utf8 import NOTHING, TEXT, Automaton
from biobot.text.unicode_policy import INVISIBLE, UNSAMPLED

EVERY_BYTE = Automaton(Codec(bytes(range(256))))


def among(spans: object, point: int) -> bool:
    return any(first <= point <= last for first, last in spans)  # type: ignore[attr-defined]


def test_agrees_with_python_on_every_code_point_but_the_forbidden_ones() -> None:
    edges = [point + step for first, last in (*UNSAMPLED, *INVISIBLE) for point in (first, last) for step in (-1, 0, 1)]
    for point in {*range(0x3100), *range(0x3100, 0x110000, 61), *(each for each in edges if 0 <= each < 0x110000)}:
        raw = chr(point).encode(errors="surrogatepass")
        if among(UNSAMPLED, point):
            with pytest.raises(SampleError):
                EVERY_BYTE.follow(raw)
        else:
            assert EVERY_BYTE.follow(raw) == (NOTHING if among(INVISIBLE, point) else TEXT), hex(point)
            assert EVERY_BYTE.follow(raw, TEXT) == TEXT


def test_what_it_calls_text_is_what_python_can_decode() -> None:
    draw = random.Random(5)
    for _ in range(20_000):
        raw = bytes(
            draw.choice((*b"a\x80\xbf\xc3\xa9\xe0\xe2\xed\xf0\xf4\xf5\xff", draw.randrange(256))) for _ in range(4)
        )
        try:
            state = EVERY_BYTE.follow(raw)
        except SampleError:
            state = None
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            cut_off = error.reason == "unexpected end of data"
            assert state not in (NOTHING, TEXT), raw
            assert state is None or cut_off, raw
        else:
            assert (state is None) == any(among(UNSAMPLED, ord(each)) for each in text), raw


@pytest.mark.parametrize(
    "raw",
    [b"\xc0\x80", b"\xe0\x80\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80", b"\x00", b"\x1b", "\u202e".encode()],
)
def test_refuses_overlong_forms_surrogates_and_controls(raw: bytes) -> None:  # F26
    with pytest.raises(SampleError, match="can never be drawn"):
        EVERY_BYTE.follow(raw)


def test_knows_every_control_and_bidi_character_and_every_space_there_is() -> None:
    for point in range(0x110000):
        character = chr(point)
        if unicodedata.category(character) in ("Cc", "Zl", "Zp") and point not in (10, 13):
            assert among(UNSAMPLED, point), hex(point)
        elif character.isspace():
            assert among(INVISIBLE, point), hex(point)
    assert all(
        among(UNSAMPLED, ord(each))
        for each in "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    )


def test_a_bio_cannot_stop_before_it_shows_something_nor_inside_a_character() -> None:
    for blank in ("", " ", "\n", "\u3000", "\u200b\u200d", "\ufe0f "):
        assert STOP not in EVERY_BYTE.allowed(EVERY_BYTE.follow(blank.encode()))
    assert STOP in EVERY_BYTE.allowed(EVERY_BYTE.follow(b" a "))
    for size in (1, 2, 3):
        assert STOP not in EVERY_BYTE.allowed(EVERY_BYTE.follow("a🌻".encode()[: 1 + size]))


def test_closes_the_ways_that_lead_nowhere_with_the_bytes_that_were_learnt() -> None:
    small = Automaton(Codec(b"a\x80\x8e\xc3\xe2\xf0"))  # F0 80 is overlong, F0 8E too
    assert set(small.ways[TEXT]) == {ord("a"), 0xC3, 0xE2}
    assert 0x8E not in small.ways[small.ways[small.ways[TEXT][0xE2]][0x80]]  # a bidi mark
    with pytest.raises(SampleError, match="no byte of visible text"):
        Automaton(Codec(b"\n \xe2"))
