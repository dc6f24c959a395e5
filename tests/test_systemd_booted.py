"""The README's words on a booted systemd: a container over this machine's own files, thrown away afterwards."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from biobot.app.service import HIDDEN

ROOT = Path(__file__).parents[1]
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
SLOW_TO_WAIT_FOR = ("systemd-networkd-wait-online", "NetworkManager-wait-online", "ifupdown-wait-online")
BOOT = """
set -e
mount -t tmpfs tmpfs "$0"
mkdir "$0/upper" "$0/work" "$0/root"
cp -r "$0.files/." "$0/upper"
mount -t overlay overlay -o "lowerdir=/,upperdir=$0/upper,workdir=$0/work" "$0/root"
exec systemd-nspawn --quiet --boot --register=no --keep-unit --private-network --console=pipe \
    --directory="$0/root" "$@" systemd.unit=basic.target
"""


def interpreter() -> Path | None:
    """Return a Python of this version that a service can see."""
    found = (Path(sys.executable).resolve(), Path("/usr/bin") / PYTHON)
    return next((each for each in found if each.is_file() and not set(HIDDEN) & set(each.parents)), None)


def lacking() -> str:
    """Return why no systemd can be booted here; empty if one can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "booting a systemd needs Linux and root"
    for tool in ("systemd-nspawn", "nsenter", "unshare", "/usr/lib/systemd/systemd"):
        if not shutil.which(tool):
            return f"there is no {tool} here"
    return "" if interpreter() else f"there is no {PYTHON} outside of home folders"


pytestmark = pytest.mark.skipif(bool(lacking()), reason=lacking() or "can be booted")


class Machine:
    """A booted systemd with biobot in /opt/biobot; its network is a loopback device and nothing else."""

    def __init__(self, leader: int) -> None:
        self._enter = ["nsenter", f"--target={leader}", "--all", "env", "-i", "HOME=/root", "LANG=C.UTF-8"]
        self._enter += ["PATH=/opt/biobot/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "sh", "-c"]

    def __call__(self, script: str, *, fails: bool = False) -> str:
        """Run a script as root; return what it says on both streams."""
        done = subprocess.run(
            [*self._enter, f"exec 2>&1\n{script}"], stdout=subprocess.PIPE, text=True, timeout=60, check=False
        )
        assert (done.returncode != 0) == fails, done.stdout
        return done.stdout

    def until(self, script: str, pattern: str, seconds: float) -> str:
        """Run a script again and again until its answer matches; return the answer."""
        deadline = time.monotonic() + seconds
        while not re.search(pattern, said := self(f"{script} || true")):
            assert time.monotonic() < deadline, said
            time.sleep(0.3)
        return said

    def install(self, name: str, **settings: str) -> None:
        """Set a bot up; `settings` change lines of its biobot.toml."""
        self(f"biobot service install {name}")
        for key, value in settings.items():
            self(f"sed -i 's|^{key} = .*|{key} = \"{value}\"|' /etc/biobot/{name}/biobot.toml")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Boot a systemd; its /opt/biobot is a virtual environment with the packages that the tests themselves use."""
    place = tmp_path_factory.mktemp("machine") / "boot"
    place.mkdir()
    files = place.with_name("boot.files")
    python = interpreter()
    assert python is not None
    packages = [each for each in sys.path if each.endswith("-packages") or each == str(ROOT)]
    shown = [f"/opt/packages/{number}" for number in range(len(packages))]
    written = {
        "opt/biobot/pyvenv.cfg": f"home = {python.parent}\nversion = {PYTHON[6:]}\n",
        f"opt/biobot/lib/{PYTHON}/site-packages/tests.pth": "".join(f"{each}\n" for each in shown),
        "opt/biobot/bin/biobot": "#!/opt/biobot/bin/python\nfrom biobot.cli import main\nmain()\n",
        "etc/machine-id": "",  # else it would have this machine's journal
    }
    for name, text in written.items():
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        (files / name).write_text(text)
    (files / "opt/biobot/bin/biobot").chmod(0o755)
    (files / "opt/biobot/bin/python").symlink_to(python)
    (files / "etc/systemd/system").mkdir(parents=True)
    for name in SLOW_TO_WAIT_FOR:
        (files / f"etc/systemd/system/{name}.service").symlink_to("/dev/null")
    (files / "etc").chmod(0o755)
    binds = [f"--bind-ro={there}:{here}" for there, here in zip(packages, shown, strict=True)]
    with (place.with_name("boot.log")).open("w+b") as log:
        command = ["unshare", "--mount", "sh", "-c", BOOT, str(place), *binds]
        nspawn = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            yield _booted(nspawn, Path(log.name))
        finally:
            nspawn.terminate()
            nspawn.wait(20)


def _booted(nspawn: subprocess.Popen[bytes], log: Path) -> Machine:
    deadline = time.monotonic() + 60
    children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children")
    while time.monotonic() < deadline and nspawn.poll() is None:
        for leader in children.read_text().split():
            enter = ["nsenter", f"--target={leader}", "--all", "systemctl", "is-system-running"]
            done = subprocess.run(enter, capture_output=True, text=True, check=False)
            if done.stdout.strip() in ("running", "degraded"):
                return Machine(int(leader))
        time.sleep(0.2)
    pytest.skip(f"no systemd can be booted here: {log.read_text(errors='replace')[-300:]}")


def roots(machine: Machine, name: str) -> str:
    """Return what root left in a bot's state."""
    return machine(f"find /var/lib/private/biobot/{name} -user root")


def test_the_readme_alone_makes_a_bot_that_posts_without_a_key_and_stops_at_once(machine: Machine) -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Running under systemd")[2]
    commands = page.partition("```sh\n")[2].partition("```")[0].splitlines()
    venv, install, *then = commands
    assert venv.startswith("python3 -m venv /opt/biobot")  # no network here: the packages are already there
    machine(install)
    machine("sed -i 's/^every = .*/every = \"2s\"/' /etc/biobot/mybot/biobot.toml")
    for command in then:
        machine(command)
    assert machine("systemctl is-enabled biobot@mybot").strip() == "enabled"
    machine.until("journalctl -u biobot@mybot", r"(?s)(biobot\[\d+\]: posted \d+ as .*){5}", 40)
    began = time.monotonic()
    machine("systemctl stop biobot@mybot")
    assert time.monotonic() - began <= 1
    assert "error" not in machine("journalctl -u biobot@mybot -p warning -q --no-pager").lower()


def test_root_acts_on_the_services_state_and_leaves_nothing_that_the_service_cannot_write(machine: Machine) -> None:
    machine.install("kept", review="on")
    machine("echo A retired pirate with seagulls > /tmp/a.txt && biobot --bot kept corpus import /tmp/a.txt")
    machine("systemctl start biobot@kept")
    assert roots(machine, "kept") == ""  # what was there before the first start is the service's since
    assert re.search(r"\nrunning:?\s+the daemon", machine("biobot --bot kept status"))
    assert "posted 1 as" in machine("biobot --bot kept post --text 'A lighthouse keeper who collects old maps'")
    held = re.search(r"(\d+)  held ", machine.until("biobot --bot kept queue list", "held ", 30))
    assert held
    assert f"approved {held[1]}" in machine(f"biobot --bot kept approve {held[1]}")
    assert "outbox" in machine("biobot --bot kept doctor")
    machine("systemctl reload biobot@kept")  # fails where the daemon does not follow
    ours = "cd /root && umask 077 && echo A quiet cook of loud soups > /root/b.txt"
    assert re.search(r"added +1\n", machine(f"{ours} && biobot --bot kept corpus import - < /root/b.txt"))
    assert "paused" in machine("cd /etc/biobot/kept && biobot pause")
    assert re.search(r"\npaused:?\s+the daemon", machine("biobot --bot kept status"))  # no phantom beside the config
    assert "state" not in machine("ls /etc/biobot/kept")
    assert roots(machine, "kept") == ""
    refused = machine("setpriv --reuid=nobody --clear-groups biobot --bot kept pause", fails=True)
    assert "sudo biobot --bot kept" in refused


def test_a_service_comes_back_from_its_backup_with_its_keys_or_without(machine: Machine) -> None:
    machine.install("moved")
    machine("echo hidden-key > /etc/biobot/moved/credentials/api_key; systemctl start biobot@moved")
    assert "posted 1 as" in machine("biobot --bot moved post --text 'A lighthouse keeper who collects old maps'")
    machine("cd /tmp && biobot --bot moved backup --no-keys moved.tar && biobot --bot moved backup keys.tar")
    assert roots(machine, "moved") == ""
    machine("systemctl stop biobot@moved && ! grep -q hidden-key /tmp/moved.tar")
    for archive in ("moved.tar", "keys.tar"):
        machine("rm -rf /etc/biobot/moved /var/lib/biobot/moved /var/lib/private/biobot/moved")
        machine(f"biobot --bot moved restore /tmp/{archive} && biobot service install moved")
        machine("systemctl start biobot@moved")
        assert "lighthouse keeper" in machine("biobot --bot moved timeline")
        assert roots(machine, "moved") == ""
        machine("systemctl stop biobot@moved")
    assert machine("cat /etc/biobot/moved/credentials/api_key").strip() == "hidden-key"
    assert machine("stat -c '%a %U' /etc/biobot/moved/credentials /etc/biobot/moved/credentials/api_key").split() == [
        *("700", "root", "600", "root")
    ]


@pytest.mark.parametrize("version", [None, 247])
def test_keys_that_are_added_later_take_effect_at_the_next_start(machine: Machine, version: int | None) -> None:
    machine("rm -rf /etc/biobot/later /tmp/tools && mkdir /tmp/tools")
    machine.install("later", network="x", api_base="http://127.0.0.1:9")
    if version:  # whose unit names each key, as it knows no folders of them
        machine(f"printf '#!/bin/sh\necho systemd {version}' > /tmp/tools/systemctl && chmod +x /tmp/tools/systemctl")
        machine("PATH=/tmp/tools:$PATH biobot service install later && systemctl daemon-reload")
        assert "SetCredential=biobot_api_key" in machine("systemctl cat biobot@later")
    machine("systemctl start biobot@later", fails=True)
    assert "put them into /etc/biobot/later/credentials, each into a file of its own" in machine(
        "journalctl -u biobot@later --no-pager"
    )
    names = ("api_key", "api_secret", "access_token", "access_secret")
    machine("cd /etc/biobot/later/credentials\n" + "\n".join(f"echo a-{each} > {each}" for each in names))
    machine("systemctl restart biobot@later")
    assert re.search(r"ok +secrets +all there", machine("biobot --bot later doctor || true"))
    machine("systemctl stop biobot@later && biobot service install later")


def test_a_loop_that_hangs_is_killed_and_started_again(machine: Machine) -> None:
    machine.install("hung")
    folder = "/etc/systemd/system/biobot@hung.service.d"
    machine(f"mkdir -p {folder} && printf '[Service]\\nWatchdogSec=7s\\nRestartSec=100ms\\n' > {folder}/quick.conf")
    machine("systemctl daemon-reload && systemctl start biobot@hung")
    first = machine("systemctl show -P MainPID biobot@hung").strip()
    machine(f"kill -STOP {first}")
    machine.until("systemctl show -P NRestarts -P ActiveState biobot@hung", r"active\n1|1\nactive", 30)
    assert machine("systemctl show -P MainPID biobot@hung").strip() != first
    machine("systemctl stop biobot@hung")


def test_retraining_needs_no_key_and_a_failure_of_it_reaches_the_notifier(machine: Machine) -> None:
    machine.install("old")
    machine(
        "printf '#!/bin/sh\\necho $1 needs you\\n' > /etc/biobot/old/on-failure && chmod +x /etc/biobot/old/on-failure"
    )
    machine("systemctl start biobot-retrain@old", fails=True)
    said = machine.until("journalctl --no-pager", "old needs you", 10)
    assert re.search(r"biobot\[\d+\]: biobot: there are no bios to learn from", said), said
