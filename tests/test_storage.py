"""What is written survives a crash and stays private; what is read stays as it is; each failure has its own remedy."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from biobot import storage
from biobot.errors import OutboxError
from tests.homes import kill_within_a_transaction, snapshot

STEPS = ("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT) STRICT;",)
NEWER = (*STEPS, "ALTER TABLE note ADD COLUMN stars INTEGER NOT NULL DEFAULT 3;")


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A database with 500 notes."""
    path = tmp_path / "home" / "a#b?c%20d.db"
    with closing(storage.open_read_write(path, STEPS)) as db, storage.transaction(db):
        db.executemany("INSERT INTO note (text) VALUES (?)", [(f"note {number} {'.' * 200}",) for number in range(500)])
    return path


def texts(db: sqlite3.Connection) -> list[str]:
    return [text for (text,) in db.execute("SELECT text FROM note ORDER BY id")]


def test_a_database_is_read_without_a_change_whatever_its_path(notes: Path) -> None:
    before = snapshot(notes.parent)
    with closing(storage.open_read_only(notes, STEPS)) as db:
        assert len(texts(db)) == 500
        with pytest.raises(sqlite3.OperationalError):
            db.execute("DELETE FROM note")
    assert snapshot(notes.parent) == before


def test_a_transaction_that_a_kill_interrupted_is_read_as_rolled_back_and_left_to_the_next_writer(notes: Path) -> None:
    kill_within_a_transaction(notes, "UPDATE note SET text = 'half done ' || hex(randomblob(200))")
    before = snapshot(notes.parent)
    assert storage.is_interrupted(notes)
    with closing(storage.open_read_only(notes, STEPS)) as db:
        assert all(text.startswith("note ") for text in texts(db))
        assert len(texts(db)) == 500
    with closing(storage.open_read_only(notes, NEWER)) as db:
        assert db.execute("SELECT sum(stars) FROM note").fetchone() == (1500,)
    assert snapshot(notes.parent) == before
    with closing(storage.open_read_write(notes, STEPS)) as db:
        assert all(text.startswith("note ") for text in texts(db))
    assert not storage.is_interrupted(notes)


def test_an_older_database_is_read_in_the_shape_of_today_and_stays_old(notes: Path) -> None:
    before = snapshot(notes.parent)
    with closing(storage.open_read_only(notes, NEWER)) as db:
        assert db.execute("SELECT DISTINCT stars FROM note").fetchall() == [(3,)]
        with pytest.raises(sqlite3.OperationalError):
            db.execute("DELETE FROM note")
    assert snapshot(notes.parent) == before


def test_a_missing_database_reads_as_an_empty_one_and_is_not_made(tmp_path: Path) -> None:
    with closing(storage.open_read_only(tmp_path / "home" / "none.db", STEPS)) as db:
        assert texts(db) == []
    assert list(tmp_path.iterdir()) == []


def test_a_migration_puts_a_copy_of_the_old_file_aside_first(notes: Path) -> None:
    storage.open_read_write(notes, NEWER, backup=True).close()
    with closing(storage.open_read_only(notes.with_name(f"{notes.name}.1.backup"), STEPS)) as db:
        assert len(texts(db)) == 500
        assert storage.version(db) == 1


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_folders_files_and_journals_are_private_under_any_umask(tmp_path: Path, mask: int) -> None:
    path = tmp_path / "made" / "home" / "notes.db"
    with umask(mask):
        with closing(storage.open_read_write(path, STEPS)) as db:
            db.execute("INSERT INTO note (text) VALUES ('x')")
        storage.open_read_write(path, NEWER, backup=True).close()
        with storage.atomic_write(path.with_name("plain")) as file:
            file.write(b"x")
    assert {mode(folder) for folder in (path.parent, path.parent.parent)} == {0o700}
    assert {file.name: mode(file) for file in path.parent.iterdir()} == {
        "notes.db": 0o600,
        "notes.db-journal": 0o600,
        "notes.db.1.backup": 0o600,
        "plain": 0o600,
    }


def test_writers_close_what_was_open_to_others_and_readers_leave_it(notes: Path) -> None:
    notes.chmod(0o644)
    notes.parent.chmod(0o755)
    storage.open_read_only(notes, STEPS).close()
    assert (mode(notes), mode(notes.parent)) == (0o644, 0o755)
    storage.open_read_write(notes, STEPS).close()
    assert (mode(notes), mode(notes.parent)) == (0o600, 0o700)


def test_a_folder_that_is_shared_on_purpose_stays_shared(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    storage.make_folder(tmp_path)
    assert mode(tmp_path) == 0o1777


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(TypeError), storage.atomic_write(path) as file:
        file.writelines([b"new", 5])  # type: ignore[list-item]
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


# -- each failure has its own remedy -----------------------------------------------------------------


def remedy(path: Path, statement: str = "INSERT INTO note (text) VALUES ('x')", *, read_only: bool = False) -> str:
    """Open and change a database, and return what the failure says."""

    def change() -> None:
        opened = storage.open_read_only if read_only else storage.open_read_write
        with storage.errors_as(OutboxError, path), closing(opened(path, STEPS)) as db:
            db.create_function("replaced", 0, lambda: path.rename(path.with_name("elsewhere")).name)
            db.execute("PRAGMA max_page_count = 1")  # no more than it has: a full disk
            db.execute(statement)

    with pytest.raises(OutboxError) as caught:
        change()
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_locked_database_asks_for_patience(notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "SQLITE_TIMEOUT", 0.01)
    with closing(sqlite3.connect(notes, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        said = remedy(notes)
    assert "is held by another program (a database browser, a backup); close that, then try again" in said
    assert "move it away" not in said


def test_a_damaged_database_asks_for_a_backup(notes: Path) -> None:
    with notes.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 4000)
    assert "is damaged; restore a backup" in remedy(notes)


def test_a_file_of_another_kind_is_not_taken_for_a_damaged_one(notes: Path) -> None:
    notes.write_text("Dear diary, " * 100, encoding="utf-8")
    said = remedy(notes)
    assert "is no SQLite database; restore a backup" in said
    assert "move it away" not in said


@pytest.mark.parametrize("read_only", [True, False])
def test_an_empty_file_is_not_taken_for_a_new_one(notes: Path, read_only: bool) -> None:
    path = notes.with_name("outbox.db")
    path.touch()
    said = remedy(path, read_only=read_only)
    assert "is empty (0 bytes), so all that it held is gone; restore a backup" in said
    assert "may post the same again" in said
    assert path.stat().st_size == 0


@pytest.mark.parametrize("read_only", [True, False])
def test_a_folder_and_a_dead_link_in_a_databases_place_are_called_that(notes: Path, read_only: bool) -> None:
    notes.unlink()
    notes.symlink_to("elsewhere.db")
    assert "is a link to elsewhere.db, which is not there: correct it" in remedy(notes, read_only=read_only)
    notes.unlink()
    notes.mkdir()
    assert "is a folder, where a database belongs: rename it" in remedy(notes, read_only=read_only)


def test_a_kill_while_a_database_is_made_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(storage, "migrate", kill)
    with pytest.raises(Killed):
        storage.open_read_write(tmp_path / "outbox.db", STEPS)
    assert list(tmp_path.iterdir()) == []


def test_of_two_processes_that_make_a_database_at_once_both_get_the_same(tmp_path: Path) -> None:
    def make(number: int) -> None:
        with closing(storage.open_read_write(tmp_path / "outbox.db", STEPS)) as db:
            db.execute("INSERT INTO note (text) VALUES (?)", (f"{number}",))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(make, range(8)))
    with closing(storage.open_read_only(tmp_path / "outbox.db", STEPS)) as db:
        assert sorted(texts(db)) == [str(number) for number in range(8)]


def test_the_database_of_another_program_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "places.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE moz_places (url TEXT)")
    before = path.read_bytes()
    assert "is a database of another program; move it away" in remedy(path)
    assert path.read_bytes() == before


def test_the_database_of_a_newer_biobot_asks_for_an_update(notes: Path) -> None:
    storage.open_read_write(notes, NEWER).close()
    assert "was written by a newer biobot (version 2); update biobot" in remedy(notes)


def test_a_full_disk_asks_for_space(notes: Path) -> None:
    said = remedy(notes, "INSERT INTO note (text) SELECT hex(randomblob(9000)) FROM note")
    assert "does not fit on the disk; free some space" in said


def test_a_database_that_is_replaced_while_it_is_open_asks_for_a_new_start(notes: Path) -> None:
    said = remedy(notes, "INSERT INTO note (text) VALUES (replaced())")
    assert "was replaced or deleted while it was open; start this process again" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as somebody else")
def test_a_database_of_somebody_else_says_whose_it_is(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with closing(storage.open_read_write(home / "outbox.db", STEPS)):
        pass
    for path in (tmp_path, *tmp_path.parents):
        if path == tmp_path or path.name.startswith("pytest"):
            path.chmod(0o755)
    program = (
        "import os, sys; from pathlib import Path; from biobot import storage; from biobot.errors import OutboxError\n"
        "path = Path(sys.argv[1]); os.setresuid(65534, 65534, 65534)\n"
        "with storage.errors_as(OutboxError, path): storage.open_read_write(path, ())"
    )
    for access in (0o755, 0o700):
        home.chmod(access)
        done = subprocess.run(
            [sys.executable, "-c", program, str(home / "outbox.db")], capture_output=True, text=True, check=False
        )
        assert done.stderr.splitlines()[-1].startswith("biobot.errors.OutboxError"), done.stderr
        assert "belongs to root; act as that user (sudo -u root biobot ...)" in done.stderr


def test_a_database_that_may_only_be_read_asks_for_permissions(notes: Path) -> None:
    assert "cannot be written; correct its permissions" in remedy(notes, read_only=True)
