"""A training may fail at any step: the active model stays as it was, and `status` shows the outcome."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from biobot.app import training, training_record
from biobot.cli import main
from biobot.config import load
from biobot.errors import BiobotError, LockHeld
from biobot.evaluation import gate
from biobot.model.registry import Registry
from biobot.text.humanize import when
from tests.model.conftest import sentences

NOW = datetime(2026, 11, 22, 3, 0, 0, 250_000, tzinfo=UTC)


@dataclass
class Stage:
    """A bot with some bios, and trainings of one step."""

    file: Path
    home: Path
    capsys: pytest.CaptureFixture[str]

    def train(self, now: datetime = NOW) -> Iterator[Any]:
        wanted = training.Options(preset="tiny", corpus=self.file, epochs=1)
        return training.train(load(home=self.home), wanted, now, time.monotonic, lambda: True)

    def status(self) -> tuple[dict[str, Any], str]:
        for arguments in ([], ["--json"]):
            with pytest.raises(SystemExit) as left:
                main(["--home", str(self.home), "status", *arguments])
            assert left.value.code == 0
        *lines, found = self.capsys.readouterr().out.splitlines()
        return json.loads(found)["training"], next(line[11:] for line in lines if line.startswith("training"))


@pytest.fixture
def stage(
    bot: Callable[[str], Path],
    tmp_path: Path,
    home: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Stage:
    bot("")
    file = tmp_path / "bios.txt"
    file.write_text("\n".join(sentences(200)), encoding="utf-8")
    monkeypatch.setattr(training, "REPORT_SAMPLES", 8)
    return Stage(file, home, capsys)


def test_status_shows_the_outcome_of_the_last_training(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert training_record.last(stage.home) is None
    for promote in (True, False):
        monkeypatch.setattr(gate, "decide", lambda *_, promote=promote: gate.Decision(promote, "so said the gate"))
        *_, done = stage.train(NOW + timedelta(hours=promote))
        found, line = stage.status()
        outcome = "promoted" if promote else "kept back"
        assert (found["outcome"], found["model"], found["step"]) == (outcome, done.model, "promote")
        assert found["began"] == f"2026-11-22T0{3 + promote}:00:00Z"
        assert line == f"{when(datetime.fromisoformat(found['ended']))}: {outcome}; so said the gate"
    assert Registry(stage.home).current().id == "20261122-040000"


def no_file(stage: Stage) -> Path:
    stage.file.rename(moved := stage.file.with_suffix(".moved"))
    return moved


def a_folder_in_place_of_the_best_model(stage: Stage) -> Path:
    (folder := stage.home / "training" / "best.safetensors").mkdir(parents=True)
    return folder


def a_broken_plugin(stage: Stage) -> Path:
    (plugin := stage.file.parent / "plugins" / "broken.py").write_text("raise RuntimeError('the ceiling came down')")
    return plugin


def a_folder_in_place_of_the_index(stage: Stage) -> Path:
    (folder := stage.home / "models" / f"{NOW:%Y%m%d-%H%M%S}" / "fingerprints.idx").mkdir(parents=True)
    return folder


def a_folder_in_place_of_the_name_of_the_active_model(stage: Stage) -> Path:
    (folder := stage.home / "models" / "current").mkdir(parents=True)
    return folder


@pytest.mark.parametrize(
    ("step", "harm", "why"),
    [
        ("check plugins", a_broken_plugin, "the ceiling came down"),
        ("read bios", no_file, "cannot read"),
        ("learn", a_folder_in_place_of_the_best_model, "cannot save"),
        ("measure", a_folder_in_place_of_the_index, "cannot write"),
        ("promote", a_folder_in_place_of_the_name_of_the_active_model, "cannot read"),
    ],
)
def test_a_step_that_fails_is_recorded_and_leaves_the_active_model_alone(
    stage: Stage, step: str, harm: Callable[[Stage], Path], why: str
) -> None:
    before = Registry(stage.home).current()
    harmed = harm(stage)
    with pytest.raises(BiobotError, match=why):
        list(stage.train())
    record = training_record.last(stage.home)
    assert record is not None
    assert (record["outcome"], record["step"], record["model"]) == ("failed", step, None)
    assert why in record["why"]
    harmed.rmdir() if harmed.is_dir() else harmed.unlink()
    assert stage.status()[1].endswith(f": failed at the step: {step}; {record['why']}")
    assert Registry(stage.home).current() == before
    with pytest.raises(SystemExit) as left:
        main(["--home", str(stage.home), "check", "--text", "Still here, and still listening to old records"])
    assert left.value.code == 0


def test_a_training_that_was_interrupted_or_killed_is_distinguished_from_one_that_runs(stage: Stage) -> None:
    steps = stage.train()
    next(each for each in steps if isinstance(each, training.StepDone))
    assert stage.status()[1].startswith("running since 2026-11-22 03:00:00 UTC, step: learn")
    with pytest.raises(LockHeld, match="another training"):
        next(stage.train())
    assert stage.status()[0]["outcome"] == "running"
    steps.close()  # type: ignore[attr-defined]
    assert stage.status()[0]["outcome"] == "interrupted"
    script = (
        "import os, sys; from datetime import *; from pathlib import Path; from biobot.app import training_record\n"
        "with training_record.recorded(Path(sys.argv[1]), lambda: datetime.now(UTC)): os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(stage.home)], check=False).returncode == 9
    found, line = stage.status()
    assert (found["outcome"], found["ended"]) == ("failed", None)
    assert training_record.KILLED in line
