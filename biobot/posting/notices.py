"""Problems, each said once: in the log, to `[notify]`'s command, and in `status` until it is over."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import threading
from collections.abc import Collection
from datetime import datetime

from biobot.config import Config
from biobot.errors import OutboxError
from biobot.posting.outbox import Outbox

log = logging.getLogger("biobot")

PATIENCE = 30
"""Seconds that the command may take."""


class Notices:
    """What is wrong now, kept in the outbox, so that a restart does not say it again."""

    def __init__(self, config: Config, outbox: Outbox) -> None:
        self.config = config
        self.outbox = outbox
        self._known = outbox.flags("_problem:")

    def say(self, problem: str, text: str, now: datetime) -> None:
        """Say a problem, unless it was said and is not over; `problem` names it, `text` may change."""
        flag = f"_problem:{problem}"
        new = flag not in self._known
        if self._known.get(flag) != text:
            self._known[flag] = text
            self._keep(flag, text, now)
        if new:
            log.warning("%s", text)
            self._tell({"problem": problem, "text": text, "at": now.isoformat(), "home": str(self.config.home)})

    def over(self, problem: str, now: datetime) -> None:
        """Note that a problem is over."""
        if self._known.pop(f"_problem:{problem}", None) is not None:
            log.info("over: %s", problem)
            self._keep(f"_problem:{problem}", None, now)

    def _keep(self, flag: str, text: str | None, now: datetime) -> None:
        try:
            self.outbox.set_flag(flag, text, now)
        except OutboxError as error:  # a full disk must not silence what is said about it
            log.debug("%s", error)

    def _tell(self, notice: dict[str, str]) -> None:
        if self.config.settings.notify.command:
            threading.Thread(target=self._run, args=(json.dumps(notice),), name="notify", daemon=True).start()

    def _run(self, notice: str) -> None:
        """Run the operator's command; whatever becomes of it touches nothing else."""
        command = self.config.settings.notify.command
        environ = {name: value for name, value in os.environ.items() if not name.startswith("BIOBOT_X_")}
        try:
            subprocess.run(command, input=f"{notice}\n", text=True, timeout=PATIENCE, check=True, env=environ)
        except (OSError, subprocess.SubprocessError) as error:
            log.warning("the notify command failed: %s", error)


def problems(outbox: Outbox, but: Collection[str] = ()) -> list[str]:
    """Return the texts of all problems that are not over, `but` for those of these names."""
    said = outbox.flags("_problem:")
    return [text for flag, text in said.items() if flag.removeprefix("_problem:") not in but]
