"""Files that survive a crash and stay private: atomic writes, private folders, and how SQLite files are opened."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO

from biobot.errors import BiobotError

SQLITE_TIMEOUT = 15.0
"""Seconds to wait for another process's transaction: with a rollback journal they have been seen to take 6."""

_COPY_ATTEMPTS = 5

# -- files and folders -------------------------------------------------------------------------------


@contextmanager
def atomic_write(path: Path, mode: int = 0o600) -> Iterator[BinaryIO]:
    """Yield a file that takes the place of `path`, whole, when the block ends; after an error nothing has changed.

    The bytes reach the disk before the new name does, and the name before this returns: after a power cut there
    is the old file or the new one. A missing folder is made; a device or a pipe is written to. Raises OSError.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    path = Path(os.path.realpath(path))  # a link stays one
    if not path.parent.is_dir():
        make_folder(path.parent)
    name = path.with_name(f".{path.name}-{os.urandom(6).hex()}")  # known before it exists: Ctrl-C may come at once
    try:
        with os.fdopen(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        name.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def make_folder(folder: Path, mode: int = 0o700) -> None:
    """Make a folder and the missing ones above it with `mode`, under any umask; limit one that exists to it.

    A shared folder (sticky, as /tmp is) and one of another owner stay as they are. Raises OSError.
    """
    if not folder.is_dir():
        if not folder.parent.exists():
            make_folder(folder.parent, mode)
        folder.mkdir(mode=mode, exist_ok=True)
        folder.chmod(mode)
        _sync_folder(folder.parent)
    elif is_exposed(folder, mode):
        folder.chmod(folder.stat().st_mode & mode)


def make_file(path: Path) -> None:
    """Make an empty file that only its owner can use, or take everybody else's permissions from one that exists.

    SQLite gives a database's journals the permissions of the database. Raises OSError.
    """
    try:
        path.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        if is_exposed(path):
            path.chmod(0o600)


def is_exposed(path: Path, mode: int = 0o700) -> bool:
    """Return whether a file or folder of ours allows others more than `mode`; sticky folders may."""
    found = path.stat()
    return bool(found.st_mode & 0o077 & ~mode and found.st_uid == os.geteuid() and not found.st_mode & stat.S_ISVTX)


def others_can_write(path: Path) -> bool:
    """Return whether anyone but the owner may change a file or folder, by its mode; a group of one is the owner."""
    found = path.stat()
    return bool(found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and not _is_own_group(found.st_gid)))


def _is_own_group(group: int) -> bool:
    """Return whether a group bears this user's name and has no other member."""
    import grp
    import pwd

    try:
        found, user = grp.getgrgid(group), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return found.gr_name == user.pw_name and set(found.gr_mem) <= {user.pw_name}


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# -- opening SQLite files ----------------------------------------------------------------------------


class WrongFile(sqlite3.DatabaseError):
    """A database that is sound but not for this biobot: of a newer one, or of another program."""


def open_read_write(path: Path, steps: Sequence[str], *, backup: bool = False) -> sqlite3.Connection:
    """Open a database, private to its owner, and bring its tables up to date; make it if there is none.

    `steps` are the SQL scripts that lead from each version to the next. With `backup`, a copy of a file of an
    older version is put beside it first. Raises sqlite3.Error and OSError.
    """
    make_folder(path.parent)
    if not path.exists():
        _make_database(path, steps)
    _check_size(path)
    make_file(path)
    db = _connect(path)
    try:
        found = _check_version(db, steps)
        if 0 < found < len(steps) and backup:
            copy = path.with_name(f"{path.name}.{found}.backup")
            make_file(copy)
            with closing(sqlite3.connect(copy)) as target:
                db.backup(target)
        if found < len(steps):
            with transaction(db):
                migrate(db, steps)
    except BaseException:
        db.close()
        raise
    return db


def _connect(path: Path) -> sqlite3.Connection:
    # a network's bot steps in a thread of its own, but always in one at a time
    db = sqlite3.connect(path, timeout=SQLITE_TIMEOUT, isolation_level=None, check_same_thread=False)
    try:
        # TRUNCATE, not WAL: Debian 12's SQLite has the WAL-reset bug, and a bot needs no thousands of commits
        for pragma in ("journal_mode = TRUNCATE", "synchronous = FULL", "foreign_keys = ON"):
            db.execute(f"PRAGMA {pragma}")
    except BaseException:
        db.close()
        raise
    return db


def _make_database(path: Path, steps: Sequence[str]) -> None:
    """Make a database under another name first, so that a file of 0 bytes is one that has lost everything."""
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        new = Path(folder) / path.name
        make_file(new)
        with closing(_connect(new)) as db, transaction(db):
            migrate(db, steps)
        try:
            os.link(new, path)
        except FileExistsError:
            pass  # another process was faster
        except OSError:  # a file system without links
            new.rename(path)
    _sync_folder(path.parent)


def open_read_only(path: Path, steps: Sequence[str]) -> sqlite3.Connection:
    """Open a database to read it, changing no byte of it and making no file beside it.

    No file reads like an empty database, and one of an older version as if brought up to date (in memory).
    SQLite cannot read a file whose writer was killed within a transaction without rolling it back in place;
    a private copy is rolled back and read instead. Raises sqlite3.Error and OSError.
    """
    db = _connect_read_only(path)
    try:
        if _check_version(db, steps) < len(steps):
            with closing(db) as old:
                db = sqlite3.connect(":memory:", isolation_level=None)
                old.backup(db)
            with transaction(db):
                migrate(db, steps)
        db.execute("PRAGMA query_only = ON")
    except BaseException:
        db.close()
        raise
    return db


def copy_database(path: Path, copy: Path) -> None:
    """Copy a database as it is at one moment, whoever writes to it. Raises sqlite3.Error and OSError."""
    with closing(_connect_read_only(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


def is_unfinished(path: Path) -> bool:
    """Return whether a transaction is under way, or was when its process was killed."""
    try:
        return path.with_name(f"{path.name}-journal").stat().st_size > 0
    except FileNotFoundError:
        return False


def is_interrupted(path: Path) -> bool:
    """Return whether a process was killed while it wrote: the next one that writes rolls the transaction back."""
    try:
        _read_in_place(path).close()
    except (sqlite3.Error, OSError) as error:
        return _code(error) == sqlite3.SQLITE_READONLY_ROLLBACK
    return False


def _connect_read_only(path: Path) -> sqlite3.Connection:
    for _ in range(_COPY_ATTEMPTS):
        try:
            return _read_in_place(path)
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_READONLY_ROLLBACK:
                raise
        if copy := _rolled_back_copy(path):
            return copy
    raise sqlite3.OperationalError(f"it changed {_COPY_ATTEMPTS} times while it was copied")


def _read_in_place(path: Path) -> sqlite3.Connection:
    if not os.path.lexists(path):
        return sqlite3.connect(":memory:", isolation_level=None)
    _check_size(path)
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=SQLITE_TIMEOUT, isolation_level=None)
    try:
        version(db)  # connecting reads nothing yet
    except BaseException:
        db.close()
        raise
    return db


def _rolled_back_copy(path: Path) -> sqlite3.Connection | None:
    """Open a copy of a database and its journal; None if they changed meanwhile."""
    files = path, path.with_name(f"{path.name}-journal")
    with tempfile.TemporaryDirectory(prefix="biobot-") as folder:
        try:
            before = [each.stat().st_mtime_ns for each in files]
            # another process copies: closing a descriptor here would end the locks of all our own connections
            subprocess.run(["cp", "--", *map(str, files), folder], check=True, capture_output=True)  # noqa: S607
            if before != [each.stat().st_mtime_ns for each in files]:
                return None
        except FileNotFoundError:
            return None
        except subprocess.CalledProcessError as error:
            raise OSError(errno.EIO, os.fsdecode(error.stderr).strip()) from None
        db = sqlite3.connect(Path(folder) / path.name, isolation_level=None)
        version(db)  # rolls back; afterwards the open file needs no name any more
        return db


# -- tables ------------------------------------------------------------------------------------------


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Do everything under the `with`, or nothing; for a connection with `isolation_level=None`.

    Inside another transaction it is part of that one.
    """
    if db.in_transaction:
        yield
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def migrations(package: str) -> list[str]:
    """Return the SQL scripts in `package`/migrations, the oldest first: each leads from one version to the next."""
    folder = Path(__file__).with_name(package) / "migrations"
    return [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.sql"))]


def version(db: sqlite3.Connection) -> int:
    """Return the number of migrations that were applied to a database."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def migrate(db: sqlite3.Connection, steps: Sequence[str]) -> None:
    """Apply the SQL scripts of `steps` that the database lacks; within a transaction of the caller's.

    The version is read anew here: another process may have been faster.
    """
    for number in range(version(db), len(steps)):
        for statement in _statements(steps[number]):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {number + 1}")


def _check_size(path: Path) -> None:
    if path.stat().st_size == 0:
        raise WrongFile(f"is empty (0 bytes), so all that it held is gone; restore a backup{_cost(path)}")


def _cost(path: Path) -> str:
    """Return what it means to go on without a file."""
    cost = _COSTS.get(path.name)
    return f": {cost}" if cost else ""


_COSTS = {
    "outbox.db": "without it the bot knows none of its posts, and may post the same again",
    "corpus.db": "without it the bot knows no bios, and nobody who opted out",
    "marks.db": "without it the bot no longer knows your taste",
}


def _check_version(db: sqlite3.Connection, steps: Sequence[str]) -> int:
    has_tables = db.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone() is not None  # before the version:
    found = version(db)  # another process may be making both
    if found > len(steps):
        raise WrongFile(f"was written by a newer biobot (version {found}); update biobot")
    if found == 0 and has_tables:
        raise WrongFile("is a database of another program; move it away, or choose another --home")
    return found


def _statements(script: str) -> Iterator[str]:
    """Split a script into statements: `executescript` would commit first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


# -- errors ------------------------------------------------------------------------------------------

_REMEDIES = {
    sqlite3.SQLITE_BUSY: "is held by another program (a database browser, a backup); close that, then try again",
    sqlite3.SQLITE_CORRUPT: "is damaged; restore a backup",
    sqlite3.SQLITE_NOTADB: "is no SQLite database; restore a backup",
    sqlite3.SQLITE_FULL: "does not fit on the disk; free some space, then try again",
    sqlite3.SQLITE_READONLY_DBMOVED: "was replaced or deleted while it was open; start this process again",
    sqlite3.SQLITE_READONLY: "cannot be written; correct its permissions and its folder's, or choose another --home",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; correct its permissions and its folder's, or choose another --home",
    sqlite3.SQLITE_IOERR: "cannot be read or written: the disk fails; look at the system's log",
}
"""What is wrong with a file and what to do about it, by SQLite's error code: the extended one, else the primary."""

_SYSTEM_CODES = {
    errno.ENOSPC: sqlite3.SQLITE_FULL,
    errno.EDQUOT: sqlite3.SQLITE_FULL,
    errno.EACCES: sqlite3.SQLITE_CANTOPEN,
    errno.EPERM: sqlite3.SQLITE_CANTOPEN,
    errno.EROFS: sqlite3.SQLITE_READONLY,
    errno.EIO: sqlite3.SQLITE_IOERR,
}


@contextmanager
def errors_as(kind: type[BiobotError], path: Path) -> Iterator[None]:
    """Raise what SQLite or the system says about `path` as `kind`, in one line that says how to fix it.

    IntegrityError passes: it is about the rows, not about the file.
    """
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except UnicodeDecodeError as error:  # from Python's own reading of what SQLite says about a damaged file
        raise kind(f"{path} {_REMEDIES[sqlite3.SQLITE_CORRUPT]} ({error})") from error
    except WrongFile as error:
        raise kind(f"{path} {error}") from error
    except (sqlite3.Error, OSError) as error:
        if os.path.isdir(path):  # which raises nothing
            raise kind(f"{path} is a folder, where a database belongs: rename it") from error
        if os.path.islink(path) and not os.path.exists(path):
            raise kind(f"{path} is a link to {path.readlink()}, which is not there: correct it") from error
        code = _code(error)
        remedy = _REMEDIES.get(code) or _REMEDIES.get(code & 0xFF, "cannot be used")
        if code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            remedy += _cost(path)
        elif code & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            remedy = _barrier(path) or remedy
        raise kind(f"{path} {remedy} ({error})") from error


def _barrier(path: Path) -> str | None:
    """Return why a file cannot be opened or written where its permissions are not what is wrong."""
    import pwd

    try:
        there = next(each for each in (path, *path.parents) if os.access(each, os.F_OK))
        if os.statvfs(there).f_flag & os.ST_RDONLY:
            return "lies on a disk that can only be read; mount it for writing, or choose another --home"
        owner = there.stat().st_uid
        if owner != os.geteuid() and (there == path or not os.access(there, os.W_OK | os.X_OK)):
            name = pwd.getpwuid(owner).pw_name
            return f"belongs to {name}; act as that user (sudo -u {name} biobot ...), or choose another --home"
    except (OSError, KeyError):
        pass  # not even that can be seen
    return None


def _code(error: sqlite3.Error | OSError) -> int:
    if isinstance(error, OSError):
        return _SYSTEM_CODES.get(error.errno or 0, 0)
    return getattr(error, "sqlite_errorcode", 0)  # absent where Python itself raised it
