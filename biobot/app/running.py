"""biobot.toml while a daemon runs: the daemon follows the file, and everyone else can see what it runs with.

The one rule for all sections: some second after the file was last written, the daemon reads it as a whole and begins
anew with it; one that is broken changes nothing until it is fixed. `HOME/running.toml` is the text that holds.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from biobot.config import Config, parse, reread
from biobot.errors import BiobotError, ConfigError
from biobot.posting import locks
from biobot.storage import atomic_write
from biobot.text.terminal import clean

log = logging.getLogger("biobot")

FILE = "running.toml"

SETTLING = timedelta(seconds=1)
"""A file is read when it has been the same for this long: an editor may empty it before it writes it."""

Look = tuple[int, int, int] | None


class Watch:
    """Watches the file of a config for changes."""

    def __init__(self, config: Config) -> None:
        self._file = config.file
        self._read = self._seen = _look(config.file)
        self._since = datetime.min.replace(tzinfo=UTC)

    def changed(self, now: datetime) -> bool:
        """Return whether the file was written to since it was last read."""
        seen = _look(self._file)
        if seen != self._seen:
            self._seen, self._since = seen, now
        return seen != self._read

    def settled(self, now: datetime) -> bool:
        """Return whether the file has been the same for long enough to be read."""
        return not self._since <= now < self._since + SETTLING

    def note_read(self) -> None:
        """Note that the file is being read as it was last seen."""
        self._read = self._seen


def _look(file: Path | None) -> Look:
    if file is not None:
        with suppress(OSError):
            found = file.stat()
            return found.st_mtime_ns, found.st_size, found.st_ino
    return None


def note(config: Config) -> None:
    """Record the settings that the daemon runs with."""
    try:
        with atomic_write(config.home / FILE) as file:
            file.write((config.text or "").encode())
    except OSError as error:  # a full disk; `status` then shows the settings of the file
        log.warning("cannot write %s: %s", config.home / FILE, error.strerror)


def noted(config: Config) -> Config | None:
    """Return a config with the settings that the daemon last ran with; None if that is not on record."""
    try:
        text = (config.home / FILE).read_text(encoding="utf-8")
        return replace(config, settings=parse(text, config.file or config.home / FILE), text=text)
    except (OSError, ValueError, ConfigError):
        return None


def current(config: Config) -> Config:
    """Return a config as its daemon runs with it; without a daemon as its file is now, or was when it could be read."""
    found = noted(config) if _runs(config) else None
    if found is None:
        with suppress(ConfigError):
            found = reread(config)
    return found or noted(config) or config


def name(config: Config) -> str:
    """Return in one line which bot that is: its name, its network and where it lies."""
    bot = config.folder.resolve().name or "biobot"
    apart = "" if config.home in (config.folder / "state", config.folder) else f", state in {config.home}"
    file = "" if config.file else " (no biobot.toml here: every key has its default, so posts go to a built-in fake X)"
    said = f"{bot} on {', '.join(config.settings.post.all)}, {config.folder}{apart}{file}"
    return clean(" ".join(said.split("\n")))


def broken(error: BiobotError) -> str:
    """Return the problem's text for a biobot.toml that cannot be used."""
    return f"{error}; until that is fixed, the settings before it hold"


def difference(config: Config) -> str | None:
    """Return why the daemon does not run with what the file of its config says; None where it does."""
    try:
        there = reread(config).text
    except ConfigError as error:
        return broken(error) if _runs(config) else f"{error}; the bot does not start before that is fixed"
    return None if there == config.text else f"{config.file} has changed; the daemon reads it within seconds"


def _runs(config: Config) -> bool:
    """Return whether the bot's daemon runs."""
    return (locks.holder(config.home, locks.DAEMON) or "").startswith("the daemon")
