"""Whatever a bot writes into its home is for its owner alone, under any umask."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from biobot.cli import main
from biobot.config import load
from biobot.model.registry import Registry
from biobot.web import serve

Run = Callable[..., str]


@contextmanager
def open_umask() -> Iterator[None]:
    """Let others read and write whatever is made with no word about it."""
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command under an open umask; return what it printed."""

    def command(*words: str, code: int = 0) -> str:
        with open_umask(), pytest.raises(SystemExit) as left:
            main(list(words))
        said = capsys.readouterr()
        assert left.value.code == code, said.err
        return said.out

    return command


def exposed(folder: Path, mode: int = 0o700) -> list[str]:
    """Return what others may do more with than `mode` says."""
    return [str(path) for path in (folder, *folder.rglob("*")) if path.stat().st_mode & 0o077 & ~mode]


def test_a_home_is_private_whoever_writes_into_it_first(
    bot: Callable[[str], Path], home: Path, run: Run, tmp_path: Path, tiny_model: Path
) -> None:
    home.rmdir()
    bot("[post]\nreview = 'off'\n").joinpath("bios.txt").write_text("A quiet baker of moons\n", encoding="utf-8")
    first = (
        ["corpus", "import", "bios.txt"],
        ["corpus", "forget", "--text", "A quiet baker of moons"],
        ["pause"],
        ["post", "--text", "hello there, says the lighthouse"],
    )
    for words in first:
        run(*words)
        assert exposed(home) == [], words
        if words is not first[-1]:
            shutil.rmtree(home)
    shutil.copytree(tiny_model, home / "models" / "tiny")
    with open_umask(), serve.console(load(), address="127.0.0.1", port=0, clock=lambda: datetime.now(UTC)):
        Registry(home).promote("tiny")
        for name in ("web", "web.lock", "models/current", "outbox.db", "rehearsal.db"):
            assert exposed(home / name) == []


def test_doctor_reports_a_home_that_others_can_enter_and_the_next_writer_closes_it(
    bot: Callable[[str], Path], home: Path, run: Run
) -> None:
    bot("")
    run("pause")
    run("resume")
    home.chmod(0o755)
    assert f"FAIL  home       other users can look into {home}: chmod 700 {home}" in run("doctor", code=1)
    assert stat.S_IMODE(home.stat().st_mode) == 0o755
    run("pause")
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert f"ok    home       {home}" in run("doctor")


def test_the_folder_of_a_new_bot_can_be_read_but_not_written_by_others(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "somewhere" / "bot"
    run("init", str(folder))
    run("--config", str(folder / "biobot.toml"), "plugins", "new", "no_shouting")
    assert exposed(tmp_path / "somewhere", 0o755) == []
    assert stat.S_IMODE((folder / ".env").stat().st_mode) == 0o600
    run("--config", str(folder / "biobot.toml"), "plugins", "list")
