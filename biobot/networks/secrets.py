"""The secrets: from the environment, `.env` beside biobot.toml, or a service's $CREDENTIALS_DIRECTORY.

Never from biobot.toml. What has been loaded can no longer be logged (`biobot.redact`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from shlex import quote

from dotenv import dotenv_values

from biobot import redact
from biobot.config import A_FILE_EACH, Config
from biobot.errors import SecretsError

PREFIX = "BIOBOT_X_"


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """The keys of an X app and account; an empty string is a missing one. Its repr shows no value."""

    api_key: str = ""
    api_secret: str = ""
    access_token: str = ""
    access_secret: str = ""
    bearer_token: str = ""

    def __post_init__(self) -> None:
        redact.guard(self.values())

    def __repr__(self) -> str:
        have = ", ".join(f"{each.name}={'set' if getattr(self, each.name) else 'missing'}" for each in fields(self))
        return f"Secrets({have})"

    def values(self) -> list[str]:
        """Return the values of the secrets that are set."""
        return [value for each in fields(self) if (value := getattr(self, each.name))]

    def missing(self, *names: str) -> list[str]:
        """Return the variables of the secrets that are missing, such as BIOBOT_X_API_KEY."""
        return [PREFIX + name.upper() for name in names if not getattr(self, name)]

    def require(self, *names: str) -> None:
        """Raise SecretsError if one of these is missing."""
        require({PREFIX + name.upper(): getattr(self, name) for name in names})


POSTING = ("api_key", "api_secret", "access_token", "access_secret")
"""The secrets of OAuth 1.0a: whoever posts needs them."""

COLLECTING = ("bearer_token",)

OPEN = ("_HANDLE", "BIOBOT_CONFIG", "BIOBOT_HOME")
"""How the names of variables end that hold nothing secret."""

FILES = (*POSTING, *COLLECTING)
"""The files of X's keys in a service's folder of credentials; those of other networks begin with its name."""

OTHER_FILES = ("bluesky_handle", "bluesky_app_password", "mastodon_access_token")


def load(config: Config, environ: Mapping[str, str] = os.environ) -> Secrets:
    """Load X's secrets, as `read` does."""
    return of_x(read(config, [PREFIX + each.name.upper() for each in fields(Secrets)], environ))


def of_x(values: Mapping[str, str]) -> Secrets:
    """Return X's secrets from their values by variable."""
    return Secrets(**{each.name: values.get(PREFIX + each.name.upper(), "") for each in fields(Secrets)})


def require(values: Mapping[str, str], place: str = ".env beside biobot.toml") -> None:
    """Raise SecretsError if one of these has no value; `place` is where it belongs."""
    if names := [name for name, value in values.items() if not value]:
        are, them = ("is", "it") if len(names) == 1 else ("are", "them")
        if place.endswith(A_FILE_EACH):
            place += f" ({', '.join(f'{name} in {_short(name)}' for name in names)})"
        raise SecretsError(f"{', '.join(names)} {are} missing: put {them} into {place} (or the environment)")


def read(config: Config, names: Iterable[str], environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Read the secrets of these names, each from the first place that has it; "" where none has.

    Raises SecretsError for a `.env` that others can read (F40), and for a value that no secret looks like.
    """
    beside = _dotenv(config.folder / ".env")
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    found = {}
    for name in names:
        value = environ.get(name) or beside.get(name) or (_credential(Path(credentials), name) if credentials else "")
        value = (value or "").strip()
        if not all("!" <= character <= "~" for character in value):
            raise SecretsError(f"{name} holds a blank or a character that no secret has: copy it again, in one piece")
        found[name] = value
    known = {name: value for name, value in {**environ, **beside}.items() if name.startswith("BIOBOT_") and value}
    redact.guard(value for name, value in (*known.items(), *found.items()) if not name.endswith(OPEN))
    return found


def in_folder(folder: Path) -> dict[str, str]:
    """Return the secrets in a service's folder of credentials, by variable."""
    files = [each.name for each in folder.iterdir() if each.is_file()] if folder.is_dir() else []
    names = (f"{PREFIX if each in FILES else 'BIOBOT_'}{each.upper()}" for each in files)
    return {name: _credential(folder, name) for name in names}


def _dotenv(file: Path) -> Mapping[str, str | None]:
    try:
        with file.open(encoding="utf-8") as stream:
            status = os.fstat(stream.fileno())  # of the file that is read, not of one put there since
            if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise SecretsError(f"{file} can be read by others; keep it to yourself: chmod 600 {quote(str(file))}")
            return dotenv_values(stream=stream, interpolate=False)
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(error, PermissionError) and file.stat().st_uid != os.geteuid():
            return {}  # root's, beside a service's config: the service has credentials
        raise SecretsError(f"cannot read {file}: {error}") from None


def _credential(folder: Path, name: str) -> str:
    """Read a credential: a file called as the variable, or `api_key`, which systemd makes `biobot_api_key`.

    Its permissions are systemd's own affair.
    """
    short = _short(name)
    for file in (folder / each for each in (name, name.lower(), f"biobot_{short}", short)):
        try:
            return file.read_text(encoding="utf-8")
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise SecretsError(f"cannot read the credential {file}: {error}") from None
    return ""


def _short(name: str) -> str:
    """Return the name of a secret's file in a folder of credentials."""
    return name.removeprefix(PREFIX).removeprefix("BIOBOT_").lower()
