"""The shipped systemd units, and the `systemd-run` line that does the same without installing one."""

from __future__ import annotations

import shlex

from biobot.bundled import bundled

_LEFT_OUT = ("NotifyAccess", "ExecStart", "LoadCredential")
"""What a transient unit does not need, or has as its command."""


def unit(name: str) -> str:
    """Give the text of a shipped unit, such as `biobot@.service`."""
    return (bundled("systemd") / name).read_text(encoding="utf-8")


def properties(text: str) -> list[tuple[str, str]]:
    """Give the settings of a unit's `[Service]` section, in order."""
    section, found = "", []
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif section == "Service" and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.append((key, value))
    return found


def systemd_run(bot: str) -> str:
    """Give the line that runs a bot as `biobot@BOT.service` does, but for the keys."""
    settings = properties(unit("biobot@.service"))
    (command,) = [value for key, value in settings if key == "ExecStart"]
    words = ["systemd-run", f"--unit=biobot-{bot}", "--collect"]
    words += [f"--property={key}={value}" for key, value in settings if key not in _LEFT_OUT]
    return shlex.join([*words, *command.split()]).replace("%i", bot)
