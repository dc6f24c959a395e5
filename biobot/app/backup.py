"""All of a bot in one file, and back: a tar archive of its folder and its state, taken while the daemon may run.

Databases are copied by SQLite itself, each as it is at one moment; every other file of a home is replaced whole when it
changes, so that a copy of it is whole, too. What a process makes anew is left out: locks, links, files half written.
"""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
from collections.abc import Iterator
from contextlib import closing, nullcontext
from datetime import datetime
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from biobot import __version__, storage
from biobot.app import running
from biobot.config import Config, read
from biobot.errors import BiobotError
from biobot.posting import bot_state
from biobot.posting.outbox import Outbox
from biobot.text.humanize import counted, when

MANIFEST = "biobot-backup.json"
FOLDER, HOME = "folder", "state"
UNREAL = ("rehearsal", "stdout")
"""Networks without an account that two copies of a bot could both post to."""

_LEFT_OUT = (running.FILE, "web", "bluesky.json")  # the last two hold sessions
_PASSING = (".backup", ".lock")
KEYS = (".env", "credentials")
_OF_THE_FOLDER = ("biobot.toml", *KEYS, ".gitignore", "plugins", "on-failure")


def backup(config: Config, path: Path | None, now: datetime, *, keys: bool = True) -> Iterator[str]:
    """Write all of a bot to a new file that only its owner can read, and yield a line about each part of it.

    None is standard output; its keys are in it only if `keys` is true. Raises BiobotError for a file that exists, and
    for what cannot be read or written.
    """
    if path is not None and path.exists():
        raise BiobotError(f"{path} exists already; name another file, or move that one away")
    if not (config.home / "outbox.db").exists() and config.file is None:
        raise BiobotError(f"there is no bot in {config.home}; see --config and --home")
    manifest = {"biobot": __version__, "at": now.isoformat(), "networks": config.settings.post.all, "keys": keys}
    settings = config.file.name if config.file else None
    try:
        with (
            TemporaryDirectory(prefix="biobot-backup-") as scratch,
            nullcontext(sys.stdout.buffer) if path is None else storage.atomic_write(path) as file,
            tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as archive,
        ):
            _add_bytes(archive, MANIFEST, json.dumps(manifest).encode(), now)
            for name in _OF_THE_FOLDER if config.file else ():
                if name in KEYS and not keys:
                    continue
                source = config.folder / (settings or name) if name == "biobot.toml" else config.folder / name
                if source.exists() and not os.access(source, os.R_OK):
                    yield f"left out {source}, which this user cannot read"
                    continue
                for each in _files(source):
                    archive.add(each, str(PurePosixPath(FOLDER, name, *each.relative_to(source).parts)))
            parts = f"settings and plugins, {'and its keys' if keys else 'not its keys (--no-keys)'}"
            yield f"{config.folder}: {parts}" if config.file else "no biobot.toml: the defaults"
            count = size = 0
            home = config.home.resolve()  # a service's is a link
            for each in _files(home):
                inside = each.relative_to(home)
                if inside.parts[0] in _LEFT_OUT or each.suffix in _PASSING or (path and each == path.absolute()):
                    continue
                _add_state(archive, each, f"{HOME}/{inside.as_posix()}", Path(scratch))
                count, size = count + 1, size + each.stat().st_size
            yield f"{config.home}: {counted(count, 'file')}, {size / 1e6:.1f} MB"
    except OSError as error:
        raise BiobotError(f"cannot back up: {error.filename or path}: {error.strerror}") from None


def restore(config: Config, path: Path, now: datetime) -> Iterator[str]:
    """Put a backup into a folder and a home that hold no bot yet, and yield a line about each part of it.

    A bot with an account is paused, since the one that was backed up may be running still; its drafts are looked for on
    the timeline before any is sent. Raises BiobotError for any other file, and where there is a bot already.
    """
    target = config.file or config.folder / "biobot.toml"
    for there in (target, config.home / "outbox.db"):
        if there.exists():
            raise BiobotError(f"{there} exists already: restore into an empty folder, or move that bot away first")
    try:
        with tarfile.open(path) as archive:
            first = archive.next()
            if first is None or first.name != MANIFEST:
                raise BiobotError(f"{path} is not a backup made by `biobot backup`")
            manifest = json.loads(_content(archive, first))
            _extract(archive, target, config.home)
    except (OSError, tarfile.TarError, ValueError) as error:
        raise BiobotError(f"cannot restore {path}: {error}") from None
    yield f"{config.folder} and {config.home}: the bot as of {when(datetime.fromisoformat(manifest['at']))}"
    networks = read(target).post.all if target.exists() else ("rehearsal",)
    for network in networks:
        with closing(Outbox(config.home / "outbox.db", network)) as outbox:
            bot_state.note_restored(outbox, now)
            if not set(networks) <= set(UNREAL):
                bot_state.pause(outbox, now)
    if not set(networks) <= set(UNREAL):
        if not manifest.get("keys", True):
            yield "its keys are not in the backup: put them where they were (.env, or a service's credentials/)"
        yield "paused: stop the bot that was backed up, for good, then run `biobot resume` here; two would post twice"


def _files(path: Path) -> Iterator[Path]:
    """Yield a file, or the files under a folder in order, without those that are being written and without links."""
    if path.is_symlink() or (path.name.startswith(".") and path.name not in (".env", ".gitignore")):
        return
    if path.is_dir():
        for each in sorted(path.iterdir()):
            if each.name != "__pycache__":
                yield from _files(each)
    elif path.is_file() and not path.name.endswith(("-journal", "-wal", "-shm")):
        yield path


def _add_state(archive: tarfile.TarFile, source: Path, name: str, scratch: Path) -> None:
    with source.open("rb") as file:
        is_database = file.read(16) == b"SQLite format 3\0"
        file.seek(0)
        if not is_database:
            archive.addfile(_member(name, os.fstat(file.fileno())), file)
            return
    copy = scratch / "copy.db"
    copy.unlink(missing_ok=True)
    with storage.errors_as(BiobotError, source):
        storage.copy_database(source, copy)
    with copy.open("rb") as file:
        archive.addfile(_member(name, os.fstat(file.fileno())), file)


def _member(name: str, status: os.stat_result) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = status.st_size, int(status.st_mtime), 0o600
    return member


def _add_bytes(archive: tarfile.TarFile, name: str, content: bytes, now: datetime) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = len(content), int(now.timestamp()), 0o600
    archive.addfile(member, io.BytesIO(content))


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return b"" if file is None else file.read()


def _extract(archive: tarfile.TarFile, settings: Path, home: Path) -> None:
    """Write every file of a backup to its place; nothing outside these two, whatever the archive's names say."""
    places: list[tuple[tarfile.TarInfo, Path, bool]] = []
    for member in archive.getmembers()[1:]:
        kind, *parts = PurePosixPath(member.name).parts
        if kind not in (FOLDER, HOME) or not parts or ".." in parts or not member.isfile():
            raise BiobotError(f"the backup holds {member.name!r}, which `biobot backup` does not write")
        target = (settings.parent if kind == FOLDER else home).joinpath(*parts)
        private = kind == HOME or parts[0] in (".env", "credentials")
        places.append((member, settings if kind == FOLDER and parts == ["biobot.toml"] else target, private))
    for member, target, private in places:
        storage.make_folder(target.parent, 0o700 if private and target.parent != settings.parent else 0o755)
        source = archive.extractfile(member)
        with storage.atomic_write(target, 0o600 if private else member.mode & 0o755) as file:
            while source is not None and (block := source.read(1 << 20)):
                file.write(block)
        os.utime(target, (member.mtime, member.mtime))
