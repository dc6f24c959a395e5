"""What is shipped is whole: the wheel carries plugins, config, units and the starter, and nothing private."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_carries_every_bundled_file_and_the_starter(names: set[str]) -> None:
    tracked = subprocess.run(["/usr/bin/env", "git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    for path in tracked.stdout.splitlines():
        top = path.split("/")[0]
        if top == "biobot":
            assert path in names
        elif top in ("plugins", "config", "systemd"):
            assert f"biobot/_bundled/{path}" in names
    assert {"biobot/starter/model.safetensors", "biobot/starter/seen.idx"} <= names


def test_the_wheel_carries_no_keys_no_tests_and_no_state(names: set[str]) -> None:
    for name in names:
        assert not name.endswith((".env", ".db", ".jsonl", ".gz")), name
        assert name.split("/")[0] in ("biobot",) or ".dist-info/" in name
