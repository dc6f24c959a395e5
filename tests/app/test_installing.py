"""Hints fit the way in which the program was installed, and name no package of somebody else's."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from biobot.app.installing import NAME, adding

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("marker", "command"),
    [
        ("uv-receipt.toml", "uv pip install --python {0} starlette"),
        ("pipx_metadata.json", "pipx runpip {0.name} install starlette"),
        ("pyvenv.cfg", "{0}/bin/python -m pip install starlette"),
    ],
)
def test_a_package_is_added_where_the_program_is(tmp_path: Path, marker: str, command: str) -> None:
    (tmp_path / marker).write_text("")
    assert adding(["starlette"], prefix=tmp_path) == command.format(tmp_path)


def test_nothing_tells_anyone_to_install_the_name_that_is_not_ours() -> None:
    files = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", *(ROOT / "biobot").rglob("*.py"), ROOT / "Makefile"]
    wrong = re.compile(r"""(pip|pipx|uv tool|uv pip) (install|inject|upgrade)[^\n]*?[ '"]biobot(\[web\])?['"\s`]""")
    for file in files:
        assert not wrong.search(file.read_text(encoding="utf-8")), file
    assert f'name = "{NAME}"' in (ROOT / "pyproject.toml").read_text()


def test_a_build_between_releases_has_a_version_of_its_own(tmp_path: Path) -> None:
    package = tmp_path / "biobot"
    package.mkdir()
    (package / "__init__.py").write_text('__version__ = "1.0.0"\n')
    (tmp_path / "hatch_version.py").write_text((ROOT / "hatch_version.py").read_text())

    def version() -> str:
        program = "import hatch_version; print(hatch_version.version())"
        done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def git(*words: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["/usr/bin/env", "git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    git("add", ".")
    git("commit", "-m", "Release")
    assert version() == "1.0.0"
    git("commit", "--allow-empty", "-m", "Go on")
    assert re.fullmatch(r"1\.0\.0\.post1\+g[0-9a-f]+", version())
    (tmp_path / "PKG-INFO").write_text("Metadata-Version: 2.4\nName: biobot-lstm\nVersion: 1.0.0.post9+gabc\n")
    assert version() == "1.0.0.post9+gabc"
