"""The units: accepted by systemd, sandboxed, and in step with the program and the systemd-run line of the docs."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from biobot.bundled import bundled
from biobot.networks.secrets import POSTING
from biobot.networks.watchdog import GRACE
from biobot.settings import Settings

UNITS = ["biobot@.service", "biobot-retrain@.service", "biobot-retrain@.timer", "biobot-notify@.service"]
SERVICES = [name for name in UNITS if name.endswith(".service")]
DOCUMENT = Path(__file__).parents[1] / "docs" / "systemd.md"
needed = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze here")


def settings(unit: Path, section: str = "Service") -> list[tuple[str, str]]:
    """Return the settings of one section of a unit file, in order."""
    found, current = [], ""
    for line in unit.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            current = line.strip("[]")
        elif current == section and "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.append((key, value))
    return found


def seconds(span: str) -> float:
    number, unit = re.fullmatch(r"(\d+)(s|min|h)", span).groups()  # type: ignore[union-attr]
    return float(number) * {"s": 1, "min": 60, "h": 3600}[unit]


@pytest.fixture
def transient(tmp_path: Path) -> Path:
    """The documented systemd-run line, written as the unit that systemd would make of it."""
    lines = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("systemd-run ")]
    assert len(lines) == 1
    words = shlex.split(lines[0])
    command = words[words.index("/usr/bin/env") :]
    properties = [word.removeprefix("--property=") for word in words if word.startswith("--property=")]
    unit = tmp_path / "biobot-mybot.service"
    unit.write_text("\n".join(["[Service]", *properties, f"ExecStart={shlex.join(command)}\n"]), encoding="utf-8")
    return unit


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([shutil.which("systemd-analyze") or "", *words], capture_output=True, text=True, check=False)


def exposure(unit: Path) -> float:
    done = analyze("security", "--offline=true", str(unit))
    said = re.search(r"exposure level for .*: ([\d.]+)", done.stdout)
    assert said, done.stderr
    return float(said[1])


@needed
def test_systemd_accepts_every_unit_and_the_documented_line(transient: Path) -> None:
    done = analyze("verify", *(str(bundled("systemd") / name) for name in UNITS), str(transient))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needed
@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_sandboxed(name: str) -> None:
    assert exposure(bundled("systemd") / name) <= 1.5


@needed
def test_the_documented_line_is_sandboxed_as_the_unit_is(transient: Path) -> None:
    assert exposure(transient) == exposure(bundled("systemd") / "biobot@.service")


def test_the_documented_line_has_every_setting_of_the_unit_but_the_credentials(transient: Path) -> None:
    of_the_unit = [(key, value.replace("%i", "mybot")) for key, value in settings(bundled("systemd") / UNITS[0])]
    left_out = ("NotifyAccess", "LoadCredential")  # systemd-run has no use for the one; the keys are in .env
    assert settings(transient) == sorted(
        (each for each in of_the_unit if each[0] not in left_out), key=lambda each: each[0] == "ExecStart"
    )


@pytest.mark.parametrize("name", SERVICES[:2])
def test_a_failure_starts_a_unit_that_is_shipped(name: str) -> None:
    started = dict(settings(bundled("systemd") / name, "Unit"))["OnFailure"]
    assert started.replace("@%i", "@") in UNITS


def test_daemon_and_retraining_share_one_user_and_one_state_folder() -> None:
    both = [dict(settings(bundled("systemd") / name)) for name in SERVICES[:2]]
    for key in ("User", "DynamicUser", "StateDirectory"):
        assert both[0][key] == both[1][key]


def test_the_units_credentials_are_the_keys_that_posting_requires() -> None:
    loaded = [value.split(":")[0] for key, value in settings(bundled("systemd") / UNITS[0]) if key == "LoadCredential"]
    assert loaded == [f"biobot_x_{name}" for name in POSTING]


def test_systemd_waits_longer_than_a_call_may_take() -> None:
    unit = dict(settings(bundled("systemd") / UNITS[0]))
    assert unit["Type"] == "notify"  # else no watchdog
    assert seconds(unit["TimeoutStopSec"]) >= 2 * GRACE.total_seconds()
    assert seconds(unit["WatchdogSec"]) >= 2 * Settings().x.timeout.total_seconds()
