"""A bot that systemd runs, `biobot@NAME`: setting it up, and reaching its state from root's shell.

The state belongs to a user that systemd makes up for the unit (DynamicUser=), below /var/lib/private, which only root
can enter. What root wrote there the service could not change; so root becomes that user before it touches anything.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from biobot import storage
from biobot.app import folder
from biobot.bundled import bundled
from biobot.config import SERVICES, STATES, Config
from biobot.errors import BiobotError, ConfigError
from biobot.networks import secrets

UNITS = Path("/etc/systemd/system")
HIDDEN = (Path("/home"), Path("/root"), Path("/run/user"))
"""What the units cannot see (ProtectHome=)."""
FOLDERS_SINCE = 250
"""The systemd whose LoadCredential= takes a folder."""

_PRIVATE = Path("/var/lib/private")
_CLONE_NEWNS = 0x20000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000


def install(name: str) -> Iterator[str]:
    """Write a bot's folder, the folder for its keys, and the units; yield a line for each file.

    What exists is kept, but for the units, which follow the installed version. Raises ConfigError for a name that
    no unit can have, BiobotError where something cannot be written or the units could not see this program.
    """
    if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,23}", name):  # the user is biobot-NAME, and 31 characters are the most
        raise ConfigError(f"{name!r} cannot name a service: use up to 24 of a-z, 0-9, _ and -, a letter first")
    place, program = SERVICES / name, _program()
    try:
        yield from folder.write(place, with_env=False)
        storage.make_folder(STATES, 0o755)  # before a command makes it, which lets nobody but root through
        storage.make_folder(place / "credentials")
        yield f"ready  {place / 'credentials'}"
        for unit in sorted(bundled("systemd").iterdir()):
            text = _fitted(unit.read_text(encoding="utf-8"), program)
            target = UNITS / unit.name
            if target.is_file() and target.read_text(encoding="utf-8") == text:
                yield f"kept   {target}"
            else:
                with storage.atomic_write(target, 0o644) as file:
                    file.write(text.encode())
                yield f"wrote  {target}"
    except PermissionError as error:
        raise BiobotError(f"cannot write {error.filename}: only root can install a service; try it with sudo") from None
    except OSError as error:
        raise BiobotError(f"cannot write {error.filename or place}: {error.strerror}") from None
    if Path("/run/systemd/system").is_dir():
        subprocess.run(["systemctl", "daemon-reload"], check=False)  # noqa: S607


def enter(config: Config) -> None:
    """Become the owner of a service's state, if this is root; the keys, which only root can read, are read first.

    Nobody is there to become until the service has run: what root leaves until then, systemd hands over at the
    first start. Raises BiobotError for everybody else who cannot enter, and SecretsError.
    """
    name, root = config.home.name, os.geteuid() == 0
    if root and "CREDENTIALS_DIRECTORY" not in os.environ:
        for variable, value in secrets.in_folder(SERVICES / name / "credentials").items():
            os.environ.setdefault(variable, value)
    try:
        owner = config.home.stat()
        if not root or owner.st_uid == 0:
            return
        _uncover(config.home.resolve())
        os.setgroups([])
        os.setresgid(owner.st_gid, owner.st_gid, owner.st_gid)
        os.setresuid(owner.st_uid, owner.st_uid, owner.st_uid)
    except FileNotFoundError:
        return
    except PermissionError as error:
        raise BiobotError(
            f"{config.home} cannot be entered ({error.strerror}): only root can reach a service's state; "
            f"try `sudo biobot --bot {name} …`"
        ) from None


def _uncover(home: Path) -> None:
    """Show this process alone a /var/lib/private that everybody can enter, with `home` in it and nothing else."""
    if _PRIVATE not in home.parents:
        return
    libc = ctypes.CDLL(None, use_errno=True)

    def call(function: str, *arguments: bytes | int | None) -> None:
        if getattr(libc, function)(*arguments) != 0:
            raise PermissionError(ctypes.get_errno(), f"{function}: {os.strerror(ctypes.get_errno())}")

    call("unshare", _CLONE_NEWNS)
    call("mount", None, b"/", None, _MS_REC | _MS_PRIVATE, None)
    handle = os.open(home, os.O_PATH)
    call("mount", b"tmpfs", bytes(_PRIVATE), b"tmpfs", 0, b"mode=0755")
    umask = os.umask(0o022)
    home.mkdir(parents=True)
    os.umask(umask)
    call("mount", f"/proc/self/fd/{handle}".encode(), bytes(home), None, _MS_BIND, None)
    os.close(handle)


def _program() -> Path:
    """Return the path of this program; raise BiobotError if no unit could see it."""
    found = (Path(sys.argv[0]).absolute(), Path(sys.executable).with_name("biobot"), Path(shutil.which("biobot") or ""))
    program = next((each for each in found if each.name == "biobot" and each.is_file()), None)
    if program is None:
        raise BiobotError("this biobot is not installed: python3 -m venv /opt/biobot && /opt/biobot/bin/pip install .")
    for path in (program.resolve(), Path(sys.executable).resolve()):
        if any(each in path.parents for each in HIDDEN):
            raise BiobotError(
                f"{path} is where no service can see it: install biobot into /opt/biobot "
                "(python3 -m venv /opt/biobot && /opt/biobot/bin/pip install .) with a Python outside of home folders"
            )
    return program


def _fitted(unit: str, program: Path) -> str:
    """Return a unit that starts this program, in the words of the systemd that is here."""
    unit = unit.replace("PATH=/opt/biobot/bin:", f"PATH={program.parent}:")
    said = subprocess.run(["systemctl", "--version"], capture_output=True, text=True, check=False)  # noqa: S607
    version = re.match(r"systemd (\d+)", said.stdout)
    if version and int(version[1]) < FOLDERS_SINCE:
        line = re.compile(r"^LoadCredential=biobot:(.*)$", re.MULTILINE)
        pairs = (
            f"SetCredential=biobot_{each}:\\\\n\nLoadCredential=biobot_{each}:\\1/{each}"
            for each in secrets.FILES + secrets.OTHER_FILES
        )
        unit = line.sub("\n".join(pairs), unit)
    return unit
