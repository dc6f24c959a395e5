"""What every test may use: made-up bios, a bot's folder, a tiny model."""

from __future__ import annotations

import logging
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from biobot import redact
from biobot.cli import main
from biobot.config import Config
from biobot.errors import BiobotError, ConfigError, SampleError
from biobot.model import runtime
from biobot.text.humanize import show_times_in
from biobot.worker import protocol, server
from biobot.worker.client import Call, Worker
from biobot.worker.protocol import Task
from tests.pds.server import Pds, missing

runtime.prepare()  # before any test imports torch
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side, and start processes
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
    before = set(redact.known)
    yield
    redact.known.intersection_update(before)  # a made-up secret may be a word of another test's output
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


@pytest.fixture
def worker_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have requests to workers answered in this process, over the same messages: it need not import torch each time."""

    one_at_a_time = threading.Lock()

    class Here(Call[Any]):
        def __init__(self, config: Config, request: Any) -> None:
            task = Task(str(config.file) if config.file else None, str(config.home), request, config.text)
            self._doing = request.doing
            self._answers = server.answer(config, protocol.decode(protocol.encode(task), Task).request)
            self._class = protocol.answer_class(request)

        def receive(self) -> Any:
            try:
                with one_at_a_time:
                    answer = next(self._answers, None)
            except ConfigError:
                raise
            except BiobotError as error:
                raise SampleError(f"{self._doing} failed: {error}") from error
            return None if answer is None else protocol.decode(protocol.encode(answer), self._class)

        def close(self) -> None:
            self._answers = iter(())

    def ask(self: Worker, request: Any, deadline: Any = None) -> Here:
        return Here(self.config, request)

    monkeypatch.setattr(Worker, "ask", ask)


@pytest.fixture(scope="session")
def pds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pds]:
    """A real PDS of Bluesky's; each test makes an account of its own there."""
    if why := missing():
        assert not os.environ.get("CI"), why
        pytest.skip(why)
    with Pds(tmp_path_factory.mktemp("pds")) as running:
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
