"""Problems, each reported once: in the log, to `[notify]`'s command, and in `status` until it is over."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import threading
from datetime import datetime, timedelta

from biobot.config import Config
from biobot.errors import OutboxError
from biobot.posting.outbox import Outbox
from biobot.posting.post import moment, stamp
from biobot.text.terminal import clean

log = logging.getLogger("biobot")

REVIEW = "review"
"""The notice that drafts wait for a person; it is not a fault, so `status` and `doctor` leave it out."""

REMINDER = timedelta(days=1)
"""After this time it is given again."""

COMMAND_TIMEOUT = 30
"""Seconds that the command may take."""


class Notices:
    """What is wrong now, kept in the outbox, so that a restart does not say it again."""

    def __init__(self, config: Config, outbox: Outbox, prefix: str = "") -> None:
        """Open the notices of a bot, or of one of its networks, whose problems begin with `prefix`."""
        self.config = config
        self.outbox = outbox
        self.prefix = prefix
        self._known = problems(outbox)

    def say(self, problem: str, text: str, now: datetime, *, every: bool = False) -> None:
        """Report a problem, unless it was reported and is not over; `problem` names it, `text` may change.

        With `every`, each new text is logged as well.
        """
        problem, text = self.prefix + problem, clean(self.prefix + text)
        known = self._known.get(problem)
        if known == text:
            return
        self._known[problem] = text
        self._write("INSERT OR REPLACE INTO problem VALUES (?, ?, ?)", problem, text, stamp(now))
        if known is None or every:
            log.warning("%s", text)
        if known is None:
            self._tell({"problem": problem, "text": text, "at": now.isoformat(), "home": str(self.config.home)})

    def remind(self, name: str, text: str, now: datetime) -> None:
        """Report what waits for a person, and again every `REMINDER` while it waits."""
        told = self.outbox.ask("SELECT since FROM problem WHERE name = ?", self.prefix + name)
        if not told or abs(now - moment(told[0][0])) >= REMINDER:
            self._known.pop(self.prefix + name, None)
            self.say(name, text, now)

    def over(self, problem: str) -> None:
        """Note that a problem is over."""
        problem = self.prefix + problem
        if self._known.pop(problem, None) is not None:
            log.info("over: %s", problem)
            self._write("DELETE FROM problem WHERE name = ?", problem)

    def _write(self, query: str, *values: str) -> None:
        try:
            with self.outbox.transaction() as db:
                db.execute(query, values)
        except OutboxError as error:  # a full disk must not silence what is said about it
            log.debug("%s", error)

    def _tell(self, notice: dict[str, str]) -> None:
        if self.config.settings.notify.command:
            threading.Thread(target=self._run, args=(json.dumps(notice),), name="notify", daemon=True).start()

    def _run(self, notice: str) -> None:
        """Run the operator's command; its failure affects nothing else."""
        command = self.config.settings.notify.command
        secret = ("BIOBOT_", "CREDENTIALS_DIRECTORY")
        kept = ("BIOBOT_CONFIG", "BIOBOT_HOME")
        environ = {name: value for name, value in os.environ.items() if name in kept or not name.startswith(secret)}
        try:
            subprocess.run(command, input=f"{notice}\n", text=True, timeout=COMMAND_TIMEOUT, check=True, env=environ)
        except (OSError, subprocess.SubprocessError) as error:
            log.warning("the notify command failed: %s", error)


def problems(outbox: Outbox) -> dict[str, str]:
    """Return the text of every problem that is not over, by its name, the oldest first."""
    return dict(outbox.ask("SELECT name, text FROM problem ORDER BY since, name"))
