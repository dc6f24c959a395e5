"""`biobot train` from bios to an active model, through the command itself."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest
from click.testing import CliRunner

from biobot.app import training
from biobot.cli import main
from biobot.config import load
from biobot.dedupe.index import Index
from biobot.model.bytefile import ByteFile
from biobot.model.registry import Registry
from tests.model.conftest import sentences

KEYS = ["event", "step", "epoch", "seen_bytes", "bytes_per_second", "train_bits_per_byte", "eta_s"]
DONE = ["event", "model", "seen_bytes", "seconds", "dev_bits_per_byte", "verbatim_rate", "real_verbatim_rate"]

QUICK = "from biobot.app import training; from biobot.cli import main; training.REPORT_SAMPLES = 40; main()"
"""`biobot` in a process of its own, with a report of fewer samples."""


@dataclass(frozen=True)
class Bot:
    """A bot's folder, and a corpus beside it."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "state"

    @property
    def corpus(self) -> str:
        return str(self.folder / "bios.jsonl")

    @property
    def words(self) -> tuple[str, ...]:
        """What a command line begins with."""
        return "--config", str(self.folder / "biobot.toml"), "--home", str(self.home)

    def run(self, *words: str, code: int = 0) -> tuple[str, str]:
        """Run a command; return what it wrote to standard output and to standard error."""
        done = CliRunner().invoke(main, [*self.words, *words])
        assert done.exit_code == code, done.stderr
        return done.stdout, done.stderr

    def train(self, *words: str) -> list[dict[str, Any]]:
        """Train, and return the events."""
        return events(self.run("train", "--corpus", self.corpus, "--json", *words)[0])


def events(lines: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.splitlines()]


@pytest.fixture(scope="module", autouse=True)
def _short_report() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "REPORT_SAMPLES", 40)
        yield


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bot, str, str]:
    """A bot with its first model, and what the training wrote to standard output and to standard error."""
    bot = Bot(tmp_path_factory.mktemp("first"))
    (bot.folder / "biobot.toml").touch()
    lines = [json.dumps({"bio": bio}) for bio in sentences(1500)]
    lines += ["no json", '{"bio": "mail me at somebody@example.com, please do"}', json.dumps({"bio": "y" * 5000})]
    Path(bot.corpus).write_text("\n".join(lines), encoding="utf-8")
    return bot, *bot.run("train", "--corpus", bot.corpus, "--preset", "tiny", "--epochs", "1", "--json")


@pytest.fixture
def bot(first: tuple[Bot, str, str], tmp_path: Path) -> Bot:
    """A copy of that bot."""
    return Bot(Path(shutil.copytree(first[0].folder, tmp_path / "bot")))


def test_bios_become_the_active_model_and_a_worse_one_does_not(first: tuple[Bot, str, str], bot: Bot) -> None:
    _, out, err = first
    *steps, done = events(out)
    assert {each["event"] for each in steps} == {"progress"}
    assert [key for key in steps[0] if key != "dev_bits_per_byte"] == KEYS
    assert list(done) == [*DONE, "promoted", "why"]
    assert done["promoted"], done["why"]
    model = Registry(bot.home).current()
    assert model.id == done["model"]
    for reason in ("1 that cannot be read", "1 with an e-mail address", "1 longer than `train.max_bytes`"):
        assert reason in err
    assert model.index.exists()
    assert (model.path / "curve.png").read_bytes().startswith(b"\x89PNG")
    card = model.header().card
    assert card["verbatim_rate"] == done["verbatim_rate"]
    assert {row["temperature"] for row in card["report"]} >= {0.6, 0.8, 1.0}

    # another training learns less, on the same held-out bios: it is kept, but not active
    held_out = [bytes(bio) for bio in ByteFile(bot.home / "training" / "dev")]
    last = bot.train("--preset", "tiny", "--epochs", "0.2", "--seed", "5")[-1]
    assert [bytes(bio) for bio in ByteFile(bot.home / "training" / "dev")] == held_out
    assert not last["promoted"]
    assert f"biobot models use {last['model']}" in last["why"]
    assert Registry(bot.home).current().id == done["model"]
    assert last["model"] in [each.id for each in Registry(bot.home).list()]


def test_the_index_of_a_model_that_went_on_from_another_holds_what_both_learnt(bot: Bot) -> None:
    base = Registry(bot.home).current()
    own = [bio[::-1] for bio in sentences(1500)]
    Path(bot.corpus).write_text("\n".join(json.dumps({"bio": bio}) for bio in own), encoding="utf-8")
    model = Registry(bot.home).find(bot.train("--epochs", "0.1", "--from", base.id)[-1]["model"])
    seen, before = Index.open(model.index), Index.open(base.index)
    learnt = [bio for bio in sentences(1500) if before.verbatim(bio)[0]]
    assert len(learnt) > 1000
    assert all(seen.verbatim(bio)[0] for bio in learnt)
    assert any(seen.verbatim(bio)[0] and not before.verbatim(bio)[0] for bio in own)


def test_the_first_interrupt_keeps_the_model_and_resume_goes_on(bot: Bot) -> None:
    command = [sys.executable, "-c", QUICK, *bot.words, "train", "--corpus", bot.corpus, "--no-promote"]
    command += ["--json", "--preset", "tiny", "--epochs", "200"]
    with subprocess.Popen(command, stdout=PIPE, stderr=PIPE, text=True) as process:
        assert process.stdout is not None
        steps = [json.loads(next(process.stdout))["step"] for _ in range(20)]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=250)
    assert process.returncode == 0, err
    *more, done = events(out)
    assert (done["event"], done["promoted"]) == ("done", False)
    config, options = load(home=bot.home), training.Options(resume=True, corpus=Path(bot.corpus), promote=False)
    going_on = training.train(config, options, datetime.now(UTC), time.monotonic, lambda: True)
    step = next(each for each in going_on if isinstance(each, training.StepDone)).progress.step
    assert step == [*steps, *(each["step"] for each in more)][-1] + 1
    shutil.rmtree(bot.home)
    assert "no training to resume" in bot.run("train", "--resume", code=1)[1]


def test_two_processes_under_torchrun_learn_as_one_does(first: tuple[Bot, str, str], bot: Bot) -> None:
    shutil.rmtree(bot.home)
    (program := bot.folder / "quick.py").write_text(QUICK)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(program)]
    command += [*bot.words, "train", "--preset", "tiny", "--corpus", bot.corpus, "--epochs", "1", "--json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    one, two = events(first[1]), events(done.stdout)
    assert [each["event"] for each in two].count("done") == 1
    assert len(one) == len(two)
    assert abs(one[-1]["dev_bits_per_byte"] - two[-1]["dev_bits_per_byte"]) < 0.03


def test_no_bios_and_contradictions_are_said_in_a_line(bot: Bot) -> None:
    shutil.rmtree(bot.home)
    Path(bot.corpus).write_text('{"bio": "the only bio there is"}\n')
    assert "biobot corpus import" in bot.run("train", code=1)[1]
    found = bot.run("train", "--corpus", bot.corpus, code=1)[1]
    assert "biobot: there are no bios to evaluate on" in found
    bot.run("train", "--epochs", "1", "--max-minutes", "1", code=2)
    bot.run("train", "--resume", "--preset", "tiny", code=2)
