"""A bot with a past and a queue, all made up: what the browser tests and the screenshots look at."""

from __future__ import annotations

import fcntl
import json
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from biobot.app import training_record
from biobot.bundled import STARTER
from biobot.config import Config, load
from biobot.model import checkpoint, training_state
from biobot.model.recipe import PRESETS, Plan
from biobot.model.registry import Registry
from biobot.model.training_state import TrainingState
from biobot.posting import schedule, transitions
from biobot.posting.budget import Budget
from biobot.posting.outbox import Outbox
from biobot.posting.post import Draft, Post, State

TOML = """\
[schedule]
every = "4h"
timezone = "Europe/Berlin"
[post]
review = "on"
[post.budget]
posts_per_day = 6
"""

_HELD: list[IO[str]] = []
"""Locks of trainings that seem to run; they are free again when this process ends."""

HELD = [
    "part-time lighthouse keeper. full-time listener to fog. I collect doors 🚪 and return every call from the sea",
    "Mother of two kettles. Recovering optimist. My opinions are my aunt's ☕️🌧️",
    "عاشق القهوة والمطر، أكتب رسائل إلى القمر ولا أنتظر الرد ☕️🌙 since 1987",
    "雨の日の図書館員。猫二匹と古い地図。返信は月曜日だけ 🐈🐈 / librarian of rainy days",
    "retired astronaut (ground floor)\nwidely unread author of seven forewords\nDM me your best soup",
]
READY = ["I was told there would be ducks. There were ducks. 🦆 Now I write about ducks."]
POSTED = [
    "professional napper, amateur human. I like my coffee like I like my mornings: cancelled",
    "Beekeeper of small ideas 🐝 They sting a bit.",
    "CEO of one (1) plant. It is doing better than me 🌱",
    "ex-magician. I used to disappear, now I just leave early",
]


def build(folder: Path, now: datetime | None = None, toml: str = TOML) -> Config:
    """Write a bot's folder with its outbox, and return its config."""
    now = now or datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "biobot.toml").write_text(toml, encoding="utf-8")
    config = load(folder / "biobot.toml", environ={})
    config.home.mkdir(exist_ok=True)
    with Outbox(config.home / "outbox.db", config.settings.post.first) as outbox:
        _past(config, outbox, now)
        _queue(config, outbox, now)
    return config


def train(config: Config, now: datetime, **odd: Any) -> None:
    """Add two models, one of them active, and a training in progress; `odd` takes the place of parts of its state."""
    for name, bits, copies in (("20261107-041500", 2.312, 0.031), ("20261114-041500", 2.204, 0.024)):
        steps = [100 * k for k in range(1, 21)]
        curve = [(k, 9_000 * k, bits + 1.1 / (k / 160 + 1) - 0.09, bits + 1.0 / (k / 160 + 1) - 0.075) for k in steps]
        row: dict[str, Any] = {
            "temperature": 0.8,
            "bios": 2000,
            "accepted": 0.87 - copies,
            "verbatim": copies,
            "longest_copy": 31,
        }
        row |= {"repeated": 0.001, "examples": []}
        card = {"dev_bits_per_byte": bits, "verbatim_rate": copies, "real_verbatim_rate": 0.022, "curve": curve}
        made = (now - timedelta(days=9 if "07" in name[:8] else 2)).isoformat(timespec="seconds")
        model(config, name, card | {"id": name, "created": made, "corpus_bios": 48_120, "report": [row]})
    Registry(config.home).promote("20261107-041500")
    Registry(config.home).promote("20261114-041500")
    state = TrainingState(
        seed=7,
        plan=Plan(PRESETS["base"], ((0, 0.0), (2600, 1.0))),
        corpus="made up",
        dtype="float32",
        step=1042,
        seen=9_378_000,
        seconds=521.0,
        best=2.241,
        train_bits=2.29,
        curve=[(k, 9_000 * k, 2.13 + 1.2 / (k / 150 + 1), 2.1 + 1.1 / (k / 150 + 1)) for k in range(100, 1100, 100)],
    )
    path = config.home / "training" / training_state.FILE
    path.parent.mkdir(exist_ok=True)
    facts = state.facts()
    path.write_bytes(_header({"format": checkpoint.FORMAT, **facts, "state": facts["state"] | odd}))
    progress: dict[str, float | None] = {"step": 1050, "steps": 2600, "seen_bytes": 9_450_000}
    progress |= {"bytes_per_second": 18_240.0, "eta_s": 765.0, "train_bits_per_byte": 2.29}
    began = (now - timedelta(minutes=9)).isoformat(timespec="seconds")
    training_record.Record(config.home, began, step="learn", progress=progress).write()
    _HELD.append((config.home / training_record.LOCK).open("w"))
    fcntl.flock(_HELD[-1], fcntl.LOCK_EX)


def tune(config: Config) -> None:
    """Add the curves of an earlier sweep to the lab."""
    figures = (
        (0.4, 0.31, 0.62, 0.99, 61),
        (0.6, 0.58, 0.74, 0.97, 84),
        (0.8, 0.72, 0.86, 0.90, 101),
        (1.0, 0.55, 0.93, 0.77, 118),
        (1.2, 0.19, 0.98, 0.60, 131),
    )
    keys = ("temperature", "accepted", "novelty", "real_words", "length")
    rows = [dict(zip(keys, each, strict=True)) for each in figures]
    (config.home / "web").mkdir(exist_ok=True)
    (config.home / "web" / "tune.json").write_text(json.dumps([*rows, {"recommended": [0.6, 0.8]}]))


def model(config: Config, name: str, card: dict[str, Any]) -> None:
    """Put the starter's weights into the registry under another name, with a card of their own."""
    folder = config.home / "models" / name
    folder.mkdir(parents=True)
    data = (STARTER / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    facts = json.loads(header.pop("__metadata__")["biobot"]) | {"card": card}
    (folder / "model.safetensors").write_bytes(_header(facts, header) + data[8 + length :])
    (folder / "fingerprints.idx").symlink_to(STARTER / "fingerprints.idx")


def _header(facts: dict[str, Any], tensors: dict[str, Any] | None = None) -> bytes:
    text = json.dumps({"__metadata__": {"biobot": json.dumps(facts)}, **(tensors or {})}).encode()
    return struct.pack("<Q", len(text)) + text


def fresh(folder: Path) -> Config:
    """Write the folder of a bot that has not done anything yet."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "biobot.toml").write_text(TOML, encoding="utf-8")
    return load(folder / "biobot.toml", environ={})


def _past(config: Config, outbox: Outbox, now: datetime) -> None:
    slots = schedule.slots_between(config.settings.schedule, now - timedelta(days=3), now - timedelta(hours=1), 40)
    texts = iter(POSTED)
    for number, slot in enumerate(slots[-9:]):
        if number in (1, 3):
            outbox.skip([slot], "all 200 drafts were refused: length 96, dedupe 71, profanity 24, links 9", slot)
            continue
        text = next(texts, None)
        if text is None:
            break
        row = _add(outbox, text, slot, slot - timedelta(minutes=30), number)
        transitions.approve(outbox, row.id, slot - timedelta(minutes=20))
        sent = _send(config, outbox, row, slot + timedelta(minutes=3))
        transitions.confirm(outbox, sent.id, f"15{number}0042770001", slot + timedelta(minutes=3, seconds=1))
    outbox.count_refused({"length": 192, "dedupe": 142, "profanity": 48, "links": 18})
    row = _add(outbox, "I put the pro in procrastinate, later", slots[-2], now - timedelta(hours=6), 20)
    transitions.reject(outbox, row.id, now - timedelta(hours=5))
    row = _add(
        outbox, "Taller in person. Shorter in writing. Unsure on the phone 📞", slots[-1], now - timedelta(hours=2), 21
    )
    transitions.approve(outbox, row.id, now - timedelta(hours=1, minutes=50))
    _send(config, outbox, row, now - timedelta(minutes=52))
    transitions.lose_track(
        outbox, row.id, now - timedelta(minutes=51), "the connection broke after the request was sent"
    )


def _queue(config: Config, outbox: Outbox, now: datetime) -> None:
    slots = schedule.next_slots(config.settings.schedule, now, len(HELD) + len(READY))
    for number, (text, slot) in enumerate(zip([*READY, *HELD], slots, strict=True)):
        row = _add(outbox, text, slot, now - timedelta(hours=3), 100 + number)
        if text in READY:
            transitions.approve(outbox, row.id, now - timedelta(hours=2))


def _add(outbox: Outbox, text: str, slot: datetime, at: datetime, number: int) -> Post:
    noted = json.dumps({"bits_per_byte": 1.6 + number % 7 / 10})
    draft = Draft(text, slot, (0.6, 0.8, 1.0)[number % 3], 41_000 + 7 * number, "starter", noted)
    (row,) = outbox.add([draft], State.HELD, at)
    assert row is not None
    return row


def _send(config: Config, outbox: Outbox, row: Post, at: datetime) -> Post:
    charge = Budget(outbox, config.settings.post).charge(row.id, "post", at)
    return transitions.claim(outbox, row.id, at, review=True, charge=charge)
