"""A bot in one file and back: whole while its daemon writes, private, and never run twice by accident."""

from __future__ import annotations

import io
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from biobot.app.backup import backup, restore
from biobot.config import Config, at, load
from biobot.errors import BiobotError
from biobot.posting import bot_state
from biobot.posting.outbox import Outbox
from biobot.posting.post import Draft, State
from biobot.testing import fill_outbox
from tests.conftest import Run

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
OLD = Path(__file__).parents[1] / "posting" / "outbox-1.sql"


@pytest.fixture
def config(bot: Callable[[str], Path], home: Path) -> Config:
    folder = bot('[schedule]\nevery = "1h"\n')
    (folder / ".env").write_text("BIOBOT_X_API_KEY=secret\n")
    (folder / ".env").chmod(0o600)
    (folder / "plugins" / "own.py").write_text("# mine\n")
    fill_outbox(home, ["one text that was posted", "another text that was posted"])
    (home / "models" / "m1").mkdir(parents=True)
    (home / "models" / "m1" / "model.safetensors").write_bytes(b"weights")
    (home / "daemon.lock").write_text("the daemon (pid 1)")
    (home / ".outbox.db-half").write_text("half written")
    return load()


def made(config: Config, path: Path, *, keys: bool = True) -> Path:
    assert list(backup(config, path, NOW, keys=keys))
    return path


def put(path: Path, folder: Path, home: Path | None = None) -> tuple[Config, list[str]]:
    place = at(folder / "biobot.toml", home or folder / "state")
    said = list(restore(place, path, NOW))
    return load(folder / "biobot.toml", home or folder / "state"), said


def test_a_backup_that_the_shell_writes_is_closed_to_others_too(config: Config, tmp_path: Path) -> None:
    path = tmp_path / "bot.tar"
    with path.open("wb") as file:
        path.chmod(0o644)
        subprocess.run([sys.executable, "-m", "biobot", "backup", "-"], stdout=file, check=True, cwd=config.folder)
    assert path.stat().st_mode & 0o777 == 0o600
    assert tarfile.is_tarfile(path)


def test_all_of_a_bot_comes_back_elsewhere_as_private_as_it_was(config: Config, tmp_path: Path) -> None:
    path = made(config, tmp_path / "bot.tar")
    assert path.stat().st_mode & 0o777 == 0o600
    again, said = put(path, tmp_path / "new")
    assert "the bot as of 2026-11-22 18:00:00 UTC" in said[0]
    assert again.settings == config.settings
    for name in (".env", "plugins/own.py"):
        assert (again.folder / name).read_bytes() == (config.folder / name).read_bytes()
    assert (again.folder / ".env").stat().st_mode & 0o777 == 0o600
    assert (again.home / "models" / "m1" / "model.safetensors").read_bytes() == b"weights"
    assert again.home.stat().st_mode & 0o777 == 0o700
    assert not (again.home / "daemon.lock").exists()
    assert not (again.home / ".outbox.db-half").exists()
    with Outbox(config.home / "outbox.db", "rehearsal") as old, Outbox(again.home / "outbox.db", "rehearsal") as new:
        assert new.posts() == old.posts()
        assert bot_state.read(new).restored == NOW  # older drafts are looked for before they are sent
        assert bot_state.read(new).paused is None


def test_keys_can_be_left_out_of_a_backup_and_sessions_are_never_in_it(
    config: Config, tmp_path: Path, run: Run, home: Path
) -> None:
    (config.folder / "credentials").mkdir()
    (config.folder / "credentials" / "api_key").write_text("secret-1")
    (config.folder / "biobot.toml").write_text('[post]\nnetwork = "x"\n')
    (home / "bluesky.json").write_text("secret-2")
    for words, names in ((["--no-keys"], set()), ([], {"folder/.env", "folder/credentials/api_key"})):
        path = tmp_path / f"{len(words)}.tar"
        code, out, _ = run("backup", *words, str(path))
        assert code == 0
        assert ("not its keys" in out) == bool(words)
        with tarfile.open(path) as archive:
            held = {each.name for each in archive}
        assert {"folder/biobot.toml", "folder/plugins/own.py", "state/outbox.db"} <= held
        assert {each for each in held if ".env" in each or "credentials" in each or "bluesky" in each} == names
        assert (b"secret" in path.read_bytes()) == bool(names)
        _, said = put(path, tmp_path / f"new{len(words)}")
        assert any("its keys are not in the backup" in each for each in said) == bool(words)


def test_a_database_is_whole_although_somebody_writes_to_it(config: Config, tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        with Outbox(config.home / "outbox.db", "rehearsal") as outbox:
            outbox.ask("PRAGMA synchronous = OFF")
            count = 0
            while not stop.is_set():
                outbox.add([Draft(f"pair {count} a"), Draft(f"pair {count} b")], State.APPROVED, NOW)
                count += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        path = made(config, tmp_path / "bot.tar")
    finally:
        stop.set()
        writer.join()
    again, _ = put(path, tmp_path / "new")
    with Outbox(again.home / "outbox.db", "rehearsal") as outbox:
        assert outbox.ask("PRAGMA integrity_check") == [("ok",)]
        assert len([row for row in outbox.posts() if (row.text or "").startswith("pair")]) % 2 == 0


def test_a_bot_with_an_account_is_paused_until_a_person_resumes_it(config: Config, tmp_path: Path) -> None:
    assert config.file is not None
    config.file.write_text('[post]\nnetwork = "x"\n')
    again, said = put(made(load(), tmp_path / "bot.tar"), tmp_path / "new")
    assert "run `biobot resume` here; two would post twice" in said[-1]
    with Outbox(again.home / "outbox.db", "x") as outbox:
        assert bot_state.read(outbox).paused == NOW


def test_a_home_of_an_older_version_is_backed_up_as_it_is_and_restored(config: Config, tmp_path: Path) -> None:
    (config.home / "outbox.db").unlink()
    with sqlite3.connect(config.home / "outbox.db") as db:
        db.executescript(OLD.read_text())
        db.execute("PRAGMA user_version = 1")
    again, _ = put(made(config, tmp_path / "bot.tar"), tmp_path / "new")
    with Outbox(again.home / "outbox.db", "x") as outbox:
        assert len(outbox.posts()) > 10


def test_settings_and_state_may_go_to_different_folders(config: Config, tmp_path: Path) -> None:
    again, _ = put(made(config, tmp_path / "bot.tar"), tmp_path / "etc", tmp_path / "var")
    assert (again.folder, again.home) == (tmp_path / "etc", tmp_path / "var")
    assert (tmp_path / "var" / "outbox.db").exists()


def test_nothing_is_overwritten(config: Config, tmp_path: Path) -> None:
    path = made(config, tmp_path / "bot.tar")
    with pytest.raises(BiobotError, match="exists already; name another file"):
        list(backup(config, path, NOW))
    with pytest.raises(BiobotError, match="exists already: restore into an empty folder"):
        list(restore(at(config.file, config.home), path, NOW))
    shutil.rmtree(config.home)
    with pytest.raises(BiobotError, match="exists already: restore into an empty folder"):
        list(restore(at(config.file, config.home), path, NOW))


@pytest.mark.parametrize("name", ["../evil", "folder/../../evil", "/etc/evil", "elsewhere/evil", "state"])
def test_an_archive_cannot_write_outside_the_bot(config: Config, tmp_path: Path, name: str) -> None:
    path = made(config, tmp_path / "bot.tar")
    with tarfile.open(path, "a") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(BiobotError, match="which `biobot backup` does not write"):
        list(restore(at(tmp_path / "new" / "biobot.toml", tmp_path / "new" / "state"), path, NOW))
    assert not (tmp_path / "new").exists()


def test_another_file_is_no_backup(config: Config, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with tarfile.open(tmp_path / "other.tar", "w") as archive:
        archive.add(tmp_path / "text", "text")
    for name in ("text", "other.tar"):
        with pytest.raises(BiobotError, match=r"cannot restore|is not a backup"):
            list(restore(at(tmp_path / "new" / "biobot.toml"), tmp_path / name, NOW))
