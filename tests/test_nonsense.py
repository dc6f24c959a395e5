"""Generated nonsense for all that reads what others wrote: one clear error or an answer, never a traceback.

Each kind of input has a maker, which draws one input from a seed and gives it to its reader. `make soak` tries 100,000.
(The readers of bios have tests like these of their own.)
"""

from __future__ import annotations

import json
import random
import re
import resource
import shutil
import struct
import sys
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from biobot import config as configs
from biobot.app import health
from biobot.candidate import Candidate
from biobot.config import Config, load
from biobot.dedupe import index, known_texts
from biobot.errors import BiobotError, ConfigError, CorpusError, ModelError
from biobot.filters import loader
from biobot.filters.judge import Judge
from biobot.model import checkpoint
from biobot.posting.outbox import Outbox
from biobot.testing import FakeKnownTexts, fill_outbox
from biobot.worker import protocol
from tests.conftest import made_up_bios
from tests.worker.test_protocol import MESSAGES

SCALE = pytest.mark.parametrize("share", [0.01, pytest.param(1.0, marks=[pytest.mark.soak, pytest.mark.timeout(7200)])])
NASTY: tuple[Any, ...] = (
    *(0, -1, 1.5, 2**31, 2**63, -(2**63), 10**30, 1e999, -1e999),
    *("", "x", "\ud83d", "9" * 400, [], {}, [[]], None, True),
)
PLAIN = [
    "baker",
    "moon & stars",
    "crème",
    "東京",
    "🌻",
    "عاشق",
    "ﬁ",
    "a.b",
    "J",
    "I'm",
    "12",
    "...",
    "/",
    " ",
    "ß",
    "1️⃣",
]
HANDLES = [
    "@jack",
    "＠jack",
    "@",
    "jack@mail.org",
    "a @ b . c",
    "example.com",
    "https://x.y/z",
    "bit.ly/3",
    "+49 30 123456",
]
UNSEEN = [
    "\x00",
    "\x1b[2J",
    "\u202e",
    "\u2066",
    "\u200b",
    "\u200d",
    "\ufeff",
    "\u2028",
    "\ue000",
    "\U000e0041",
    "\ud83d",
]
WORDS = [
    *PLAIN,
    *HANDLES,
    *UNSEEN,
    "\u0600",
    "\uffff",
    "\n",
    "\t",
    "\u3000",
    "fuck",
    "İ",
    "a\u0301\u0323" * 4,
    "👩\u200d🚀",
]
SHOWN_BY_X = re.compile(r"(?<![\w@])[@＠]\w|https?://|[\w.]+@[\w-]+\.\w")


def many(count: int, share: float, seed: int) -> Iterator[random.Random]:
    """Yield so many generators of their own seeds, with one line of a traceback to find the input by."""
    for number in range(max(int(count * share), 1)):
        draw = random.Random(seed * 10**6 + number)
        try:
            yield draw
        except GeneratorExit:
            sys.stdout.write(f"the input of seed {seed * 10**6 + number}\n")
            raise


def damaged(raw: bytes, draw: random.Random) -> bytes:
    """Flip, cut, double or overwrite some bytes."""
    data = bytearray(raw)
    for _ in range(draw.choice((1, 1, 2, 5))):
        at = draw.randrange(len(data) + 1)
        match draw.randrange(5):
            case 0:
                data[at : at + 1] = bytes([draw.randrange(256)])
            case 1:
                data = data[:at]
            case 2:
                data[at:at] = data[at : at + draw.randrange(64)]
            case 3:
                data[at : at + 4] = draw.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x00\x00\x00\x80"))
            case _:
                del data[at : at + draw.randrange(1, 20)]
    return bytes(data)


def odd(value: Any, draw: random.Random) -> Any:
    """Return a JSON value with one of its parts replaced, doubled or left out."""
    if isinstance(value, dict) and value and draw.random() < 0.85:
        key = draw.choice(list(value))
        match draw.randrange(8):
            case 0:
                return {each: value[each] for each in value if each != key}
            case 1:
                return {**value, draw.choice(("x", "", key + "_")): draw.choice(NASTY)}
            case _:
                return {**value, key: odd(value[key], draw)}
    if isinstance(value, list) and value and draw.random() < 0.7:
        at = draw.randrange(len(value))
        return [*value[:at], odd(value[at], draw), *value[at + draw.randrange(2) :]]
    return draw.choice(NASTY)


@SCALE
def test_no_text_crashes_a_filter_and_none_is_accepted_that_readers_must_not_see(tmp_path: Path, share: float) -> None:
    plugins = loader.load(Config(load(None, tmp_path, {}).settings, None, tmp_path, tmp_path))
    judge = Judge(plugins, FakeKnownTexts(), timedelta(seconds=2))
    accepted = 0
    for draw in many(40_000, share, 1):
        text = draw.choice(("", " ")).join(draw.choices(PLAIN if draw.random() < 0.3 else WORDS, k=draw.randrange(12)))
        text *= draw.choice((1, 1, 1, 1, 1, 1, 1, draw.randrange(2, 40)))
        verdict = judge.judge(Candidate(text))
        assert not [each for each in verdict.objections if each.failed], text
        if verdict.accepted:
            accepted += 1
            kinds = {unicodedata.category(each) for each in text.replace("\n", "")}
            assert not kinds & {"Cc", "Cs", "Cn", "Zl", "Zp"}, text
            assert not set(text) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"), text
            assert not SHOWN_BY_X.search(text), text
            assert len(re.sub("[\ufe0f\u20e3\u200d]", "", text)) <= 280, text  # what joins emoji weighs nothing
    assert accepted > share * 400


@SCALE
def test_no_config_ends_in_a_traceback(tmp_path: Path, share: float) -> None:
    lines = (Path(configs.__file__).parent.parent / "config" / "biobot.toml").read_text(encoding="utf-8").splitlines()
    values = [
        '"x"',
        "[]",
        "{}",
        "-1",
        "0",
        "1e999",
        "nan",
        "9" * 30,
        '"999999999d"',
        '"\\ud83d"',
        '"9:00"',
        "1979-05-27",
        "[[",
    ]
    values += ["[" * 5000, "{a=" * 3000, '""', "true", '["a", 1]', '"\\u0000"', "'''\n'''", '"7s"', '{"0.8" = -1}']
    path = tmp_path / "biobot.toml"
    for draw in many(10_000, share, 2):
        text = lines[:]
        for _ in range(draw.choice((1, 1, 2, 4))):
            at = draw.randrange(len(text))
            name = text[at].partition("=")[0]
            text[at] = draw.choice(
                (f"{name}= {draw.choice(values)}", text[at] * 2, "", f"[{name}]", draw.choice(lines))
            )
        raw = "\n".join(text).encode(errors="surrogatepass")
        path.write_bytes(damaged(raw, draw) if draw.random() < 0.2 else raw)
        with suppress(ConfigError):
            load(path, tmp_path / "state", {})


@SCALE
def test_no_model_file_ends_in_a_traceback_or_takes_the_memory(tmp_path: Path, tiny_model: Path, share: float) -> None:
    raw = (tiny_model / "model.safetensors").read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    header, data = json.loads(raw[8 : 8 + size]), raw[8 + size :]
    facts = json.loads(header["__metadata__"]["biobot"])
    path = tmp_path / "model.safetensors"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for draw in many(12_000, share, 3):
        wrong = facts
        for _ in range(draw.choice((1, 1, 3))):
            wrong = odd(wrong, draw)
        found = odd(header, draw) if draw.random() < 0.3 else dict(header)
        if isinstance(found, dict) and draw.random() < 0.8:
            found["__metadata__"] = {"biobot": json.dumps(wrong)}
        text = json.dumps(found).encode()
        if draw.random() < 0.1:
            text = draw.choice((b"[" * 100_000, b'{"a":' * 50_000, damaged(text, draw)))
        path.write_bytes(struct.pack("<Q", len(text)) + text + (damaged(data, draw) if draw.random() < 0.1 else data))
        with suppress(ModelError):
            checkpoint.read_header(path)
            checkpoint.load(path)
    if sys.platform == "linux":
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


@SCALE
def test_no_index_ends_in_a_traceback(tmp_path: Path, share: float) -> None:
    path, texts = tmp_path / "fingerprints.idx", made_up_bios(40)
    index.build(texts, path)
    raw = path.read_bytes()
    for draw in many(4_000, share, 4):
        data = bytearray(damaged(raw, draw))
        if len(data) > 64 and draw.random() < 0.7:
            data[44:48] = struct.pack("<I", zlib.crc32(data[64:]))
        path.unlink()  # a new file: the old one is still mapped
        path.write_bytes(data)
        with suppress(CorpusError):
            found = index.Index.open(path)
            found.matches(draw.choice(texts))
            found.verbatim("another text that is in none of them")


@SCALE
def test_no_list_of_opt_outs_ends_in_a_traceback(tmp_path: Path, share: float) -> None:
    path, texts = tmp_path / "forgotten.idx", made_up_bios(6)
    known_texts.forget(path, texts)
    raw = path.read_bytes()
    for draw in many(9_000, share, 5):
        path.write_bytes(damaged(raw, draw))
        with suppress(CorpusError):
            known_texts.open_forgotten(path, len(texts)).matches(texts[0])


@SCALE
def test_no_message_ends_in_a_traceback(share: float) -> None:
    lines = [protocol.encode(each) for each in MESSAGES]
    for draw in many(22_000, share, 6):
        at = draw.randrange(len(lines))
        line = lines[at]
        if draw.random() < 0.5:
            line = json.dumps(odd(json.loads(line), draw)).encode()
        else:
            line = draw.choice(
                (damaged(line, draw), line[:-1] * 2, b'{"Log": ' * 20_000, line.replace(b"1", b"1" * 5000))
            )
        with suppress(protocol.ProtocolError, BiobotError):
            protocol.decode(line, type(MESSAGES[at]))


@SCALE
def test_no_damaged_outbox_ends_in_a_traceback(tmp_path: Path, share: float) -> None:
    config = Config(load(None, tmp_path, {}).settings, None, tmp_path, tmp_path / "state")
    fill_outbox(config.home, made_up_bios(60))
    (config.home / "outbox.idx").unlink()
    whole, path, now = tmp_path / "whole.db", config.home / "outbox.db", datetime.now(UTC)
    shutil.move(path, whole)
    raw = whole.read_bytes()
    readers: tuple[Callable[[], Any], ...] = (
        lambda: health.status_json(config, health.status(config, now)),
        lambda: _listed(config),
        lambda: known_texts.own_texts(config.home / "none.idx", Outbox(path, "rehearsal", read_only=True)),
    )
    for draw in many(3_000, share, 7):
        path.write_bytes(damaged(raw, draw))
        for read in readers:
            with suppress(BiobotError):
                read()


def _listed(config: Config) -> None:
    with health.open_outbox(config) as outbox:
        for row in outbox.posts():
            health.row_json(row)
            outbox.audit(row.id)
        outbox.decisions()
