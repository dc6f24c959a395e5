"""The units: accepted by systemd, sandboxed, and in step with the program and the systemd-run line of the docs."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from biobot import config
from biobot.app import service
from biobot.bundled import bundled
from biobot.errors import BiobotError, ConfigError
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


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Somewhere else to install services: etc/, units/, and bin/ with a biobot and a systemctl."""
    for folder in ("etc", "units", "bin"):
        (tmp_path / folder).mkdir()
    for name in ("biobot", "systemctl"):
        (tmp_path / "bin" / name).write_text("#!/bin/sh\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setattr(service, "SERVICES", tmp_path / "etc")
    monkeypatch.setattr(service, "STATES", tmp_path / "states")
    monkeypatch.setattr(service, "UNITS", tmp_path / "units")
    monkeypatch.setattr(service, "HIDDEN", ())
    monkeypatch.setattr("sys.argv", [str(tmp_path / "bin" / "biobot")])
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return tmp_path


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


def test_the_documented_line_has_every_setting_of_the_unit(transient: Path) -> None:
    of_the_unit = [(key, value.replace("%i", "mybot")) for key, value in settings(bundled("systemd") / UNITS[0])]
    assert settings(transient) == sorted(
        (each for each in of_the_unit if each[0] != "NotifyAccess"),  # systemd-run has no use for it
        key=lambda each: each[0] == "ExecStart",
    )


@pytest.mark.parametrize("name", SERVICES[:2])
def test_a_failure_starts_a_unit_that_is_shipped(name: str) -> None:
    started = dict(settings(bundled("systemd") / name, "Unit"))["OnFailure"]
    assert started.replace("@%i", "@") in UNITS


def test_daemon_and_retraining_share_one_user_and_one_state_folder() -> None:
    both = [dict(settings(bundled("systemd") / name)) for name in SERVICES[:2]]
    for key in ("User", "DynamicUser", "StateDirectory"):
        assert both[0][key] == both[1][key]


def test_the_unit_loads_the_folder_of_keys_that_service_install_makes() -> None:
    assert dict(settings(bundled("systemd") / UNITS[0]))["LoadCredential"] == "biobot:/etc/biobot/%i/credentials"


@pytest.mark.parametrize(("version", "loads_folders"), [(247, False), (249, False), (250, True), (257, True)])
def test_an_installed_unit_loads_keys_in_the_words_of_the_systemd_that_is_here(
    version: int, loads_folders: bool, services: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = services / "bin" / "systemctl"
    tool.write_text(f"#!/bin/sh\necho 'systemd {version} ({version}.1-1)'\n")
    tool.chmod(0o755)
    list(service.install("mybot"))
    found = settings(services / "units" / UNITS[0])
    for name in (*POSTING, "bluesky_app_password", "mastodon_access_token"):
        # until there is a key, the credential is a line feed; without SetCredential= the unit would not start
        pair = [("SetCredential", rf"biobot_{name}:\n")]
        pair += [("LoadCredential", f"biobot_{name}:/etc/biobot/%i/credentials/{name}")]
        assert (set(pair) <= set(found)) is not loads_folders
    assert (("LoadCredential", "biobot:/etc/biobot/%i/credentials") in found) is loads_folders


def test_service_install_keeps_what_is_there_but_renews_the_units(services: Path) -> None:
    list(service.install("mybot"))
    place = services / "etc" / "mybot"
    assert {path.name for path in place.iterdir()} == {"biobot.toml", ".gitignore", "plugins", "credentials"}
    assert (place / "credentials").stat().st_mode & 0o777 == 0o700
    (place / "biobot.toml").write_text("# mine\n")
    (services / "units" / UNITS[0]).write_text("# of an older version\n")
    again = list(service.install("mybot"))
    assert (place / "biobot.toml").read_text() == "# mine\n"
    assert f"PATH={services / 'bin'}:" in (services / "units" / UNITS[0]).read_text()
    assert [line for line in again if line.startswith("wrote")] == [f"wrote  {services / 'units' / UNITS[0]}"]


def test_a_program_that_no_service_could_see_is_not_installed(services: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "HIDDEN", (services,))
    with pytest.raises(BiobotError, match="is where no service can see it: install biobot into /opt/biobot"):
        list(service.install("mybot"))


@pytest.mark.parametrize("name", ["", "a/b", "My bot", "-x", "a" * 25])
def test_a_name_that_no_unit_or_user_can_have_is_refused(name: str, services: Path) -> None:
    with pytest.raises(ConfigError, match="cannot name a service"):
        list(service.install(name))


def test_a_command_beside_a_services_config_uses_the_services_state(
    services: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(service.install("mybot"))
    monkeypatch.setattr(config, "SERVICES", services / "etc")
    monkeypatch.chdir(services / "etc" / "mybot")
    assert config.load(environ={}).home == config.STATES / "mybot"
    assert config.load(environ={"STATE_DIRECTORY": "/other"}).home == Path("/other")


def test_systemd_waits_longer_than_a_call_may_take() -> None:
    unit = dict(settings(bundled("systemd") / UNITS[0]))
    assert unit["Type"] == "notify"  # else no watchdog
    assert seconds(unit["TimeoutStopSec"]) >= 2 * GRACE.total_seconds()
    assert seconds(unit["WatchdogSec"]) >= 2 * Settings().x.timeout.total_seconds()
