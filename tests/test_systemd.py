"""The units: nothing for systemd to complain about, well shut in, and the same as the systemd-run line."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from biobot.bundled import bundled

UNITS = ["biobot@.service", "biobot-retrain@.service", "biobot-retrain@.timer", "biobot-notify@.service"]
SERVICES = [name for name in UNITS if name.endswith(".service")]
needed = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze here")

_LEFT_OUT = ("NotifyAccess", "ExecStart", "LoadCredential")
"""What a transient unit does not need, or has as its command."""


def unit(name: str) -> str:
    """Return the text of a shipped unit, such as `biobot@.service`."""
    return (bundled("systemd") / name).read_text(encoding="utf-8")


def properties(text: str) -> list[tuple[str, str]]:
    """Return the settings of a unit's `[Service]` section, in order."""
    section, found = "", []
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif section == "Service" and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.append((key, value))
    return found


def systemd_run(bot: str) -> str:
    """Return the line that runs a bot as `biobot@BOT.service` does, but for the keys."""
    settings = properties(unit("biobot@.service"))
    (command,) = [value for key, value in settings if key == "ExecStart"]
    words = ["systemd-run", f"--unit=biobot-{bot}", "--collect"]
    words += [f"--property={key}={value}" for key, value in settings if key not in _LEFT_OUT]
    return shlex.join([*words, *command.split()]).replace("%i", bot)


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([shutil.which("systemd-analyze") or "", *words], capture_output=True, text=True, check=False)


@needed
def test_verify_finds_nothing() -> None:
    done = analyze("verify", *(str(bundled("systemd") / name) for name in UNITS))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needed
@pytest.mark.parametrize("name", SERVICES)
def test_the_exposure_is_small(name: str) -> None:
    done = analyze("security", "--offline=true", "--threshold=15", str(bundled("systemd") / name))
    said = re.search(r"exposure level for .*: ([\d.]+)", done.stdout)
    assert said, done.stderr
    assert float(said[1]) <= 1.5
    assert done.returncode == 0


@pytest.mark.parametrize("name", SERVICES)
def test_a_failure_of_a_bot_is_told(name: str) -> None:
    text = unit(name)
    assert "OnFailure=biobot-notify@%i.service" in text or name.startswith("biobot-notify")


def test_retraining_shares_the_daemons_user_or_it_would_take_its_state_away() -> None:
    users = {dict(properties(unit(name)))["User"] for name in UNITS[:2]}
    assert users == {"biobot-%i"}


def test_the_daemons_unit_gives_a_call_its_time_and_the_child_its_memory() -> None:
    settings = dict(properties(unit("biobot@.service")))
    assert settings["Type"] == "notify"
    assert settings["TimeoutStopSec"] == "20s"  # 8 s for a call, and some
    assert settings["WatchdogSec"] == "3min"  # x.timeout and 15 s for a call, and some
    assert int(settings["MemoryHigh"].removesuffix("M")) >= 800


def test_the_systemd_run_line_says_what_the_unit_says() -> None:
    line = systemd_run("mybot")
    words = shlex.split(line)
    assert words[0] == "systemd-run"
    assert words[-4:] == ["biobot", "--config", "/etc/biobot/mybot/biobot.toml", "run"]
    assert "%i" not in line
    given = {word.removeprefix("--property=") for word in words if word.startswith("--property=")}
    for key, value in properties(unit("biobot@.service")):
        if key not in ("ExecStart", "LoadCredential", "NotifyAccess"):
            assert f"{key}={value}".replace("%i", "mybot") in given
    document = Path(__file__).parents[1] / "docs" / "systemd.md"
    assert line in document.read_text(encoding="utf-8")
