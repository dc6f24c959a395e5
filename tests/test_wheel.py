"""What is shipped is whole: the wheel carries plugins, config, units and the starter, and nothing private."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PRIVATE = ["config/.env", ".env", "state/outbox.db", "plugins/__pycache__/mine.cpython-311.pyc", "bios.jsonl.gz"]
"""What may lie about in a checkout that is in use."""


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    listed = subprocess.run(["/usr/bin/env", "git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for path in listed.stdout.splitlines() if (ROOT / path).is_file()]


@pytest.fixture(scope="module")
def shipped(tracked: list[str], tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of the files in a wheel that is built in a checkout with private files."""
    checkout, out = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("wheel")
    for path in tracked:
        (checkout / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, checkout / path)
    for path in PRIVATE:
        (checkout / path).parent.mkdir(parents=True, exist_ok=True)
        (checkout / path).write_text("private")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out)]
    subprocess.run(command, cwd=checkout, check=True, capture_output=True)
    [wheel] = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_carries_what_is_tracked_and_nothing_else(tracked: list[str], shipped: set[str]) -> None:
    code = {path for path in tracked if path.startswith("biobot/")}
    bundled = {f"biobot/_bundled/{path}" for path in tracked if path.startswith(("plugins/", "config/", "systemd/"))}
    assert {path for path in shipped if ".dist-info/" not in path} == code | bundled
    assert {"biobot/starter/model.safetensors", "biobot/starter/fingerprints.idx"} <= shipped
