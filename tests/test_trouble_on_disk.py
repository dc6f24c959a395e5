"""What is wrong with a disk or a database is said as it is, costs nothing else, and never halves a file."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from biobot import storage
from biobot.app import doctor
from biobot.testing import fill_outbox
from tests.conftest import Run, made_up_bios

Bot = Callable[[str], Path]
TROUBLE = {
    "held": "is held by another program (a database browser, a backup); close that, then try again",
    "garbage": "is no SQLite database; restore a backup",
    "empty": "is empty (0 bytes), so all that it held is gone; restore a backup",
}


@pytest.fixture
def run(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(storage, "SQLITE_TIMEOUT", 0.05)
    return run


@pytest.fixture
def used(bot: Bot, run: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = bot("")
    (folder / "bios.txt").write_text("A baker from the north sea\n")
    assert run("corpus", "import", "bios.txt")[0] == 0
    fill_outbox(folder / "state", ["A lighthouse keeper who collects old maps"])
    monkeypatch.delitem(doctor.CHECKS, "filters")  # another process, which waits for as long as it does in life
    return folder / "state"


@contextmanager
def trouble(path: Path, what: str) -> Iterator[None]:
    """Have something be wrong with a database."""
    before = path.read_bytes()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        if what == "held":
            other.execute("BEGIN EXCLUSIVE")
        else:
            path.write_bytes(b"this was a database" * 50 if what == "garbage" else b"")
        yield
        if what != "held":
            path.write_bytes(before)


@pytest.mark.parametrize("what", TROUBLE)
def test_an_outbox_in_trouble_is_an_error_of_its_own_and_nothing_is_made_or_lost(
    used: Path, run: Run, what: str
) -> None:
    with trouble(used / "outbox.db", what):
        for words in (["queue", "list"], ["pause"], ["post", "--text", "A baker of moons"], ["why", "1"], ["run"]):
            code, _, err = run(*words)
            assert code == 1
            assert TROUBLE[what] in err
            assert "move it away" not in err
            assert ("may post the same again" in err) is (what != "held")
    assert json.loads(run("queue", "list", "--json")[1])["state"] == "posted"


@pytest.mark.parametrize("what", TROUBLE)
@pytest.mark.parametrize("name", ["outbox.db", "corpus.db"])
def test_status_and_doctor_tell_everything_else_beside_a_database_in_trouble(
    used: Path, run: Run, what: str, name: str
) -> None:
    with trouble(used / name, what):
        code, out, _ = run("status")
        assert code == 0
        assert "model starter" in out
        assert f"{name} {TROUBLE[what]}" in out.partition("problem")[2]
        assert ("queue      1 posted" in out) is (name == "corpus.db")
        found = json.loads(run("status", "--json")[1])
        assert found["state"] == ("blocked" if name == "outbox.db" else "stopped")
        assert found["queue"] == ({} if name == "outbox.db" else {**found["queue"], "posted": 1})
        assert (found["collect"]["usd_this_month"] is None) is (name == "corpus.db")
        code, out, _ = run("doctor")
        assert code == 1
        assert f"{name} {TROUBLE[what]}" in out
        assert "torch" in out


def test_a_home_that_others_could_look_into_is_closed_by_whoever_writes_first(
    bot: Bot, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bot("")
    (folder / "bios.txt").write_text("A baker from the north sea\n")
    umask = os.umask(0)
    try:
        run("corpus", "import", "bios.txt")
        run("corpus", "forget", "@somebody")
        run("corpus", "export", "out.jsonl")
    finally:
        os.umask(umask)
    state = folder / "state"
    assert (state.stat().st_mode & 0o777, (state / "corpus.db").stat().st_mode & 0o777) == (0o700, 0o600)
    assert all(each.stat().st_mode & 0o077 == 0 for each in (folder / "out.jsonl", *state.rglob("*")))


def test_ctrl_c_in_an_export_leaves_the_one_of_before(bot: Bot, tmp_path: Path) -> None:
    folder = bot("")
    (folder / "bios.txt").write_text("".join(f"{bio!r}\n" for bio in made_up_bios(20_000)))
    import_files_of(folder)
    export = [sys.executable, "-m", "biobot", "corpus", "export", "full.jsonl"]
    subprocess.run(export, cwd=folder, check=True, capture_output=True)
    before = (folder / "full.jsonl").read_bytes()
    assert before.count(b"\n") > 19_000
    with subprocess.Popen(export, cwd=folder, stderr=subprocess.PIPE) as child:
        deadline = time.monotonic() + 60
        while not any(each.name.startswith(".full.jsonl-") for each in folder.iterdir()):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == 130
    assert (folder / "full.jsonl").read_bytes() == before
    assert [each.name for each in folder.iterdir() if "full" in each.name] == ["full.jsonl"]


def import_files_of(folder: Path) -> None:
    done = [sys.executable, "-m", "biobot", "corpus", "import", "bios.txt"]
    subprocess.run(done, cwd=folder, check=True, capture_output=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 700 KB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root can mount a small disk, and not everywhere")
    yield place
    subprocess.run(["umount", str(place)], check=True)  # noqa: S607


def fill(disk: Path) -> None:
    with suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(b"x" * 4096)


def test_on_a_full_disk_a_file_is_written_whole_or_not_at_all(small_disk: Path, run: Run, bot: Bot) -> None:
    folder = bot("")
    (folder / "bios.txt").write_text("".join(f"{bio!r}\n" for bio in made_up_bios(9_000)))
    assert run("corpus", "import", "bios.txt")[0] == 0
    (small_disk / "old.jsonl").write_text("kept\n")
    for words in (["export", str(small_disk / "new.jsonl")], ["export", str(small_disk / "old.jsonl")]):
        code, _, err = run("corpus", *words)
        assert (code, "No space left on device" in err, len(err.splitlines())) == (1, True, 1)
    assert [each.name for each in small_disk.iterdir()] == ["old.jsonl"]
    assert (small_disk / "old.jsonl").read_text() == "kept\n"
    fill(small_disk)
    code, _, err = run("init", str(small_disk / "bot"))
    assert (code, "No space left on device" in err) == (1, True)
    assert not (small_disk / "bot" / "biobot.toml").exists()
    (small_disk / "filler").unlink()
    assert "wrote" in run("init", str(small_disk / "bot"))[1]
    fill(small_disk)
    code, _, err = run("--config", str(small_disk / "bot" / "biobot.toml"), "plugins", "new", "mine")
    assert (code, "No space left on device" in err, len(err.splitlines())) == (1, True, 1)
    assert not (small_disk / "bot" / "plugins" / "mine.py").exists()


def test_a_device_is_written_to_and_not_replaced(bot: Bot, run: Run) -> None:
    bot("")
    assert run("corpus", "export", "/dev/null")[0] == 0
    assert not Path("/dev/null").is_file()


def test_a_link_is_written_through(bot: Bot, run: Run) -> None:
    folder = bot("")
    (folder / "link.jsonl").symlink_to("there.jsonl")
    assert run("corpus", "export", "link.jsonl")[0] == 0
    assert (folder / "link.jsonl").is_symlink()
    assert (folder / "there.jsonl").is_file()


@pytest.mark.parametrize("words", [["status"], ["queue", "list", "--json"]])
def test_output_that_cannot_be_written_is_one_line(used: Path, words: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "biobot", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=used.parent,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "biobot: the output cannot be used: No space left on device\n")
