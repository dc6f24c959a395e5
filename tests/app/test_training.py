"""`biobot train` from bios to an active model, through the command itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from biobot.dedupe.index import Index
from biobot.model.bytefile import ByteFile
from biobot.model.registry import Registry
from tests.model.conftest import sentences

Bot = Callable[[str], Path]

KEYS = ["event", "step", "epoch", "seen_bytes", "bytes_per_second", "train_bits_per_byte", "eta_s"]
DONE = ["event", "model", "seen_bytes", "seconds", "dev_bits_per_byte", "verbatim_rate", "real_verbatim_rate"]


QUICK = "from biobot.app import training; from biobot.cli import main; training.REPORT_SAMPLES = 40; main()"
BIOBOT = (sys.executable, "-c", QUICK)
"""`biobot`, with a report of fewer samples."""


def biobot(*arguments: str, code: int = 0, program: tuple[str, ...] = BIOBOT) -> subprocess.CompletedProcess[str]:
    command = [*program, *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=250, env=environment)
    assert done.returncode == code, done.stderr
    return done


def events(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    lines = [json.dumps({"bio": bio}) for bio in sentences(1500)]
    lines += ["no json", '{"bio": "mail me at somebody@example.com, please do"}', json.dumps({"bio": "y" * 5000})]
    path = tmp_path / "bios.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_bios_become_the_active_model_and_a_worse_one_does_not(bot: Bot, corpus: Path, home: Path) -> None:
    bot("")
    here = ("--home", str(home), "train", "--preset", "tiny", "--corpus", str(corpus), "--json")
    first = biobot(*here, "--epochs", "1")
    *steps, done = events(first)
    assert {each["event"] for each in steps} == {"progress"}
    assert [key for key in steps[0] if key != "dev_bits_per_byte"] == KEYS
    assert list(done) == [*DONE, "promoted", "why"]
    assert done["promoted"], done["why"]
    registry = Registry(home)
    assert registry.current().id == done["model"]
    for reason in ("1 that cannot be read", "1 with an e-mail address", "1 longer than `train.max_bytes`"):
        assert reason in first.stderr
    model = registry.current()
    assert model.index.exists()
    assert (model.path / "curve.png").read_bytes().startswith(b"\x89PNG")
    card = model.header().card
    assert card["verbatim_rate"] == done["verbatim_rate"]
    assert {row["temperature"] for row in card["report"]} >= {0.6, 0.8, 1.0}

    # another training learns less, on the same held-out bios: it is kept, but not active
    held_out = [bytes(bio) for bio in ByteFile(home / "training" / "dev")]
    last = events(biobot(*here, "--epochs", "0.2", "--seed", "5"))[-1]
    assert [bytes(bio) for bio in ByteFile(home / "training" / "dev")] == held_out
    assert not last["promoted"]
    assert f"biobot models use {last['model']}" in last["why"]
    assert Registry(home).current().id == done["model"]
    assert last["model"] in [each.id for each in Registry(home).list()]


def test_the_index_of_a_model_that_went_on_from_another_holds_what_both_learnt(
    bot: Bot, corpus: Path, home: Path, tmp_path: Path
) -> None:
    bot("")
    here = ("--home", str(home), "train", "--epochs", "0.1", "--json", "--corpus")
    base = events(biobot(*here, str(corpus), "--preset", "tiny"))[-1]["model"]
    own = [bio[::-1] for bio in sentences(1500)]
    other = tmp_path / "own.jsonl"
    other.write_text("\n".join(json.dumps({"bio": bio}) for bio in own), encoding="utf-8")
    model = Registry(home).find(events(biobot(*here, str(other), "--from", base))[-1]["model"])
    seen, before = Index.open(model.index), Index.open(Registry(home).find(base).index)
    learnt = [bio for bio in sentences(1500) if before.verbatim(bio)[0]]
    assert len(learnt) > 1000
    assert all(seen.verbatim(bio)[0] for bio in learnt)
    assert any(seen.verbatim(bio)[0] and not before.verbatim(bio)[0] for bio in own)


def test_the_first_interrupt_keeps_the_model_and_resume_goes_on(bot: Bot, corpus: Path, home: Path) -> None:
    bot("")
    command = [*BIOBOT, "--home", str(home), "train", "--corpus", str(corpus), "--no-promote"]

    def begin(*options: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen([*command, "--json", *options], stdout=PIPE, stderr=PIPE, text=True, env=environment)

    with begin("--preset", "tiny", "--epochs", "200") as first:
        assert first.stdout is not None
        steps = [json.loads(next(first.stdout))["step"] for _ in range(20)]
        first.send_signal(signal.SIGINT)
        out, err = first.communicate(timeout=250)
    assert first.returncode == 0, err
    *more, done = map(json.loads, out.splitlines())
    assert (done["event"], done["promoted"]) == ("done", False)
    with begin("--resume") as second:
        assert second.stdout is not None
        assert json.loads(next(second.stdout))["step"] == [*steps, *(each["step"] for each in more)][-1] + 1
        second.kill()
    assert "no training to resume" in biobot("--home", str(home / "x"), "train", "--resume", code=1).stderr


def test_two_processes_under_torchrun_learn_as_one_does(bot: Bot, corpus: Path, home: Path) -> None:
    bot("")
    here = ["--preset", "tiny", "--corpus", str(corpus), "--epochs", "1", "--no-promote", "--json"]
    one = events(biobot("--home", str(home / "one"), "train", *here))
    program = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "biobot")
    two = events(biobot("--home", str(home / "two"), "train", *here, program=program))
    assert [each["event"] for each in two].count("done") == 1
    assert len(one) == len(two)
    assert abs(one[-1]["dev_bits_per_byte"] - two[-1]["dev_bits_per_byte"]) < 0.03


def test_no_bios_and_contradictions_are_said_in_a_line(bot: Bot, home: Path, tmp_path: Path) -> None:
    bot("")
    (tmp_path / "one.txt").write_text("the only bio there is\n")
    found = biobot("--home", str(home), "train", code=1).stderr
    assert "biobot corpus import" in found
    found = biobot("--home", str(home), "train", "--corpus", str(tmp_path / "one.txt"), code=1).stderr
    assert "biobot: there are no bios to evaluate on" in found
    biobot("train", "--epochs", "1", "--max-minutes", "1", code=2)
    biobot("train", "--resume", "--preset", "tiny", code=2)
