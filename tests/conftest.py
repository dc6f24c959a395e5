"""What every test may use: made-up bios, a bot's folder, a tiny model."""

from __future__ import annotations

import logging
import os
import random
import signal
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path

import pytest

from biobot.cli import main
from biobot.model import runtime
from biobot.text.humanize import show_times_in
from tests.pds import server

runtime.prepare()  # before any test imports torch
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background: no Ctrl-C would reach a child
    signal.signal(signal.SIGINT, signal.default_int_handler)

Run = Callable[..., tuple[int, str, str]]
"""Runs a command: its exit code, and what it wrote to standard output and to standard error."""

WHO = ["baker", "gardener", "retired pirate", "mother of two cats", "nurse", "cloud watcher", "drummer", "beekeeper"]
WHAT = [
    "coffee",
    "long walks",
    "bad puns",
    "vinyl records",
    "sourdough",
    "football",
    "old maps",
    "rain",
    "🌻",
    "crêpes",
]
WHERE = ["Lisbon", "the north sea", "a small town", "Nairobi", "my kitchen", "東京", "somewhere else", "the back row"]
ENDS = ["", ".", " ✨", " Opinions are my own.", " Since 1987.", "\nSay hello!", " She/her.", " Probably asleep."]


def made_up_bios(count: int, seed: int = 0) -> list[str]:
    """Invent `count` distinct bios; no person ever wrote one of them."""
    draw = random.Random(seed)
    bios: dict[str, None] = {}
    while len(bios) < count:
        likes = draw.sample(WHAT, 3)
        bio = f"{draw.choice(WHO).capitalize()} from {draw.choice(WHERE)}, {', '.join(likes)}{draw.choice(ENDS)}"
        if len(bios) > 3000:
            bio += f" No. {len(bios)}"
        bios[bio] = None
    return list(bios)


@pytest.fixture(autouse=True)
def _no_log_outlives_its_test() -> Iterator[None]:
    """Undo what `biobot run` does to logging: its handler writes to the test's own standard error."""
    yield
    show_times_in(lambda: UTC)
    logging.getLogger("biobot").setLevel(logging.NOTSET)
    for handler in logging.getLogger().handlers[:]:
        if type(handler) is logging.StreamHandler:
            logging.getLogger().removeHandler(handler)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder where a bot keeps its state."""
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


@pytest.fixture
def bot(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Write a bot's biobot.toml with the given text, make it the one that commands use, and return its folder."""
    for name in ("BIOBOT_CONFIG", "BIOBOT_HOME", "STATE_DIRECTORY", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)

    def write(text: str = "") -> Path:
        (tmp_path / "biobot.toml").write_text(text, encoding="utf-8")
        (tmp_path / "plugins").mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path)
        return tmp_path

    return write


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `biobot` with these words."""

    def command(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(list(words))
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return command


@pytest.fixture(scope="session")
def pds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.Pds]:
    """A real PDS of Bluesky's; each test makes an account of its own there."""
    if why := server.missing():
        assert not os.environ.get("CI"), why
        pytest.skip(why)
    with server.Pds(tmp_path_factory.mktemp("pds")) as running:
        yield running


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with a small, untrained ByteLSTM over the bytes of made-up bios, and its index."""
    import torch

    from biobot.dedupe import index
    from biobot.model import checkpoint
    from biobot.model.codec import Codec
    from biobot.model.lstm import ByteLSTM
    from biobot.model.shape import Shape

    folder = tmp_path_factory.mktemp("models") / "tiny"
    folder.mkdir()
    bios = made_up_bios(300)
    codec = Codec.of(bio.encode() for bio in bios)
    torch.manual_seed(1)
    model = ByteLSTM(Shape(codec.size, embedding=16, hidden=32, layers=2))
    checkpoint.save(folder / "model.safetensors", checkpoint.Checkpoint(model, codec, {"id": "tiny"}))
    index.build(bios, folder / "fingerprints.idx")
    return folder
