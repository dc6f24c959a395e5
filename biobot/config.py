"""Finding and reading biobot.toml: what is wrong in it becomes one line that names file, line and key.

A table becomes a section of `biobot.settings`, and a plugin's table the plugin's own dataclass, in the same way.
"""

from __future__ import annotations

import math
import os
import shlex
import sys
import tomllib
import types
import typing
from collections import Counter
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from datetime import timedelta
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal, TypeVar

from biobot.errors import ConfigError, say
from biobot.settings import NETWORKS, Settings, duration
from biobot.text.terminal import clean

T = TypeVar("T")

SERVICES, STATES = Path("/etc/biobot"), Path("/var/lib/biobot")
"""The folders of the bots that systemd runs, and of their state: `biobot@NAME` has NAME in both."""

_NAMES = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}


A_FILE_EACH = "each into a file of its own"
"""How `Config.keys` ends for a service."""


@dataclass(frozen=True, slots=True)
class Config:
    """One bot: its settings, the file they came from (None: all defaults) with its text, its folder and its home."""

    settings: Settings
    file: Path | None
    folder: Path
    home: Path
    text: str | None = None

    @property
    def keys(self) -> str:
        """Return where its keys belong: into .env, or for a service each into a file of its own."""
        if self.folder.parent == SERVICES:
            return f"{self.folder / 'credentials'}, {A_FILE_EACH}"
        return ".env beside biobot.toml"


# -- finding and reading -----------------------------------------------------------------------------


def load(file: Path | None = None, home: Path | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """Read the settings of a bot and find its home.

    The file is `file`, else BIOBOT_CONFIG, else ./biobot.toml; the home is `home`, else BIOBOT_HOME, else
    STATE_DIRECTORY, else the service's state for a file in /etc/biobot/NAME, else `state` beside the file, else the
    platform's data folder. Raises ConfigError for a file that was named and does not exist, and as `read` does.
    """
    return reread(find(file, home, environ))


def find(file: Path | None = None, home: Path | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """Return where a bot's file and home are, with every setting's default: the file is not read."""
    named = file or (Path(environ["BIOBOT_CONFIG"]) if environ.get("BIOBOT_CONFIG") else None)
    found = named or Path("biobot.toml")
    if found.is_file():
        found = found.resolve()
        return Config(Settings(), found, found.parent, (home or _home(environ, found.parent)).absolute())
    if os.path.lexists(found):
        raise ConfigError(_no_file(found))
    if named is not None:
        service = named.absolute().parent
        writer = f"service install {service.name}" if service.parent == SERVICES else "init FOLDER"
        raise ConfigError(f"there is no config file {named}; correct its name, or write one with `biobot {writer}`")
    folder = (home or _home(environ, None)).absolute()
    return Config(Settings(), None, folder, folder)


def _no_file(path: Path) -> str:
    """Say what a config is that is there, and no file, and what to do."""
    inside = path / "biobot.toml"
    if inside.is_file():
        return f"{path} is a folder; name the file in it: {shlex.quote(str(inside))}"
    if path.is_dir():
        return f"{path} is a folder without a biobot.toml; write one with `biobot init {shlex.quote(str(path))}`"
    if path.is_symlink() and not path.exists():
        return f"{path} is a link to {path.readlink()}, which is not there; correct it, or remove it"
    return f"{path} is no regular file; name one, as it is read again whenever it changes"


def at(file: Path | None = None, home: Path | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """Return where a bot is to be that need not be there yet: by default in this folder."""
    found = (file or Path(environ.get("BIOBOT_CONFIG") or "biobot.toml")).absolute()
    return Config(Settings(), found, found.parent, (home or _home(environ, found.parent)).absolute())


def reread(config: Config) -> Config:
    """Return a config with the settings that its file has now; raise ConfigError as `read` does."""
    if config.file is None:
        return config
    text = _text(config.file)
    return replace(config, settings=parse(text, config.file), text=text)


def read(file: Path) -> Settings:
    """Read and check one biobot.toml.

    Raises ConfigError for a file that cannot be read, that others can write, or that is not TOML, and for an unknown
    key or a wrong value, with its line.
    """
    return parse(_text(file), file)


def _text(file: Path) -> str:
    from biobot import storage  # which loads SQLite; `biobot --help` reads no config

    try:
        if storage.others_can_write(file):
            fix = f"chmod go-w {shlex.quote(str(file))}"
            raise ConfigError(f"others can write {file}, which names programs to run; fix it with: {fix}")
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        words = "UTF-16" if error.object[:2] in (b"\xff\xfe", b"\xfe\xff") else "not UTF-8"
        raise ConfigError(f"{file} is {words}: save it as UTF-8") from None


def parse(text: str, file: Path) -> Settings:
    """Return the settings in the text of a biobot.toml; raise ConfigError, which names `file`, as `read` does."""
    try:
        table = tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"{file} is not valid TOML: its values are nested too deeply") from None
    except ValueError as error:  # no TOML, or a number of thousands of digits
        raise ConfigError(f"{file} is not valid TOML: {error}") from None
    settings, where = build(Settings, table, Where(str(file))), Where(str(file))
    for name in settings.post.all:
        if name not in NETWORKS and not _has_plugin(file.parent, name):
            place = where.at("post").at("network" if settings.post.networks is None else "networks")
            raise place.error(f"there is no network {name!r}, built in or a plugin; {nearest(name, NETWORKS)}")
    if "mastodon" in settings.post.all and not settings.mastodon.server:
        raise where.at("mastodon").at("server").error('name the account\'s server, as in "https://mastodon.social"')
    for name in settings.tables:
        if name not in settings.post.all and not _has_plugin(file.parent, name):
            known = [each.name for each in fields(Settings)]
            raise where.at(name).error(f"there is no such key; {nearest(name, known)}")
    return settings


def _has_plugin(folder: Path, name: str) -> bool:
    """Return whether there is a plugin of that name, which may bring a network."""
    from importlib.metadata import entry_points  # here, since few bots have one

    return (folder / "plugins" / f"{name}.py").is_file() or any(entry_points(group="biobot", name=name))


def _home(environ: Mapping[str, str], folder: Path | None) -> Path:
    if named := environ.get("BIOBOT_HOME"):
        return Path(named)
    if systemds := environ.get("STATE_DIRECTORY"):
        return Path(systemds.split(":")[0])  # systemd joins several with colons; ours is the first
    if folder is not None:  # beside a service's config there is no state but a phantom
        return STATES / folder.name if folder.parent == SERVICES else folder / "state"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "biobot"
    return Path(environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "biobot"


# -- a table into a dataclass ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a config file: the file's name, and the path of keys."""

    file: str
    keys: tuple[str, ...] = ()

    def at(self, key: str) -> Where:
        """Return the place of `key` under this one."""
        return Where(self.file, (*self.keys, key))

    def error(self, message: str) -> ConfigError:
        """Return the error that names file, line and key."""
        line = self._line()
        what = clean(" ".join(f"{'.'.join(self.keys)}: {message}".split()))  # TOML may quote anything, line feeds too
        return ConfigError(f"{self.file}{f', line {line}' if line else ''}: {what}")

    def _line(self) -> int | None:
        """Return the line of this key, or else of its section: the first that changes together with it."""
        import tomlkit  # here, since only an error needs it

        try:
            text = Path(self.file).read_text(encoding="utf-8-sig")
            for depth in range(len(self.keys), 0, -1):
                document = tomlkit.parse(text)
                if _change(document, self.keys[:depth]):
                    lines = zip_longest(text.splitlines(), tomlkit.dumps(document).splitlines())
                    return next((number for number, (old, new) in enumerate(lines, start=1) if old != new), None)
        except Exception:  # noqa: BLE001, S110 - the file is gone or odd: a message without a line is better than none
            pass
        return None


def _change(table: Any, keys: tuple[str, ...]) -> bool:
    """Change a value, or delete a section; return whether it was there."""
    try:
        for key in keys[:-1]:
            table = table[key]
        if isinstance(table[keys[-1]], dict):
            del table[keys[-1]]
        else:
            table[keys[-1]] = "\0"
    except (KeyError, TypeError):
        return False
    return True


def build(kind: type[T], table: Mapping[str, Any], where: Where) -> T:
    """Return the dataclass `kind` with the values of `table`; ConfigError for an unknown key or a wrong value.

    The `__post_init__` of `kind` may raise ValueError("key: what is wrong").
    """
    assert is_dataclass(kind)
    hints = typing.get_type_hints(kind)
    known = {each.name: each for each in fields(kind) if each.name != "tables"}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key in known:
            values[key] = _value(hints[key], value, where.at(key))
        elif "tables" in hints and isinstance(value, dict):
            values.setdefault("tables", {})[key] = value
        else:
            raise where.at(key).error(f"there is no such key; {nearest(key, known)}")
    for name, each in known.items():
        if name not in values and each.default is MISSING and each.default_factory is MISSING:
            raise where.at(name).error("this key has no default; set it")
    try:
        return kind(**values)
    except ValueError as error:
        key, colon, message = str(error).partition(": ")
        raise (where.at(key).error(message) if colon and key in known else where.error(str(error))) from None


def known_types(kind: type) -> None:
    """Raise ValueError for a field of a dataclass whose type `build` does not know."""
    try:
        hints = typing.get_type_hints(kind)
    except Exception as error:  # noqa: BLE001 - evaluating an annotation can raise anything
        raise ValueError(f"the types of its settings cannot be read: {say(error)}") from None
    for each in fields(kind):
        if not _is_known(hints[each.name]):
            raise ValueError(f"the type of {each.name}, {each.type}, is not known here; take one of {_KNOWN}")


_KNOWN = "str, int, float, bool, timedelta, Literal, tuple[T, ...], list[T], dict[str, T], T | None, a dataclass"


def _is_known(hint: Any) -> bool:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return len(arguments) == 2 and type(None) in arguments and _is_known(_some(arguments))
    if origin is tuple:
        return len(arguments) == 2 and arguments[1] is Ellipsis and _is_known(arguments[0])
    if origin in (list, dict, Mapping):
        return _is_known(arguments[-1]) and (origin is list or arguments[0] in (str, float))
    if isinstance(hint, type) and is_dataclass(hint):
        return all(map(_is_known, typing.get_type_hints(hint).values()))
    return origin is Literal or hint in (*_NAMES, timedelta)


def _some(arguments: tuple[Any, ...]) -> Any:
    """Return T of T | None."""
    return next(each for each in arguments if each is not type(None))


def nearest(name: str, known: typing.Iterable[str]) -> str:
    """Return a hint at what a misspelt name may have meant."""
    import difflib  # here, since only an error needs it

    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(names) or 'none'}"


def _value(hint: Any, value: Any, where: Where) -> Any:
    """Convert one TOML value to the type that `hint` names."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if is_dataclass(hint):
        if not isinstance(value, dict):
            raise where.error(f"this is a section, not {_show(value)}")
        return build(typing.cast(type[Any], hint), value, where)
    if origin in (typing.Union, types.UnionType):
        return _value(_some(arguments), value, where)
    if origin is Literal:
        if value not in arguments or isinstance(value, bool):
            raise where.error(f"{_show(value)} is not one of {', '.join(map(_show, arguments))}")
        return value
    if origin in (tuple, list):
        if not isinstance(value, list):
            raise where.error(f"{_show(value)} is not a list")
        return origin(_value(arguments[0], each, where) for each in value)
    if origin in (Mapping, dict):
        if arguments[0] is float:
            return _weights(value, where)
        if not isinstance(value, dict):
            raise where.error(f"this is a section, not {_show(value)}")
        return {key: _value(arguments[1], each, where.at(key)) for key, each in value.items()}
    if hint is timedelta:
        try:
            return duration(value)
        except ValueError as error:
            raise where.error(str(error)) from None
    if type(value) is int and abs(value) >= 2**63:
        raise where.error("this number is too large")
    if hint is float and type(value) is int:
        value = float(value)
    if type(value) is not hint:
        raise where.error(f"{_show(value)} is not {_NAMES.get(hint, hint)}")
    if hint is float and not math.isfinite(value):
        raise where.error(f"{value} is not a finite number")
    return value


def _weights(value: Any, where: Where) -> dict[float, float]:
    """Convert `[0.6, 0.8]` or `{"0.8" = 3, "1.0" = 1}` to number -> weight."""
    if isinstance(value, list):
        counts = Counter(_value(float, each, where) for each in value)  # a temperature named twice weighs twice
        return {number: float(count) for number, count in counts.items()}
    if not isinstance(value, dict):
        raise where.error(f"{_show(value)} is neither a list nor a table of weights")
    if any(isinstance(weight, dict) for weight in value.values()):
        raise where.error('put the numbers in quotes, as in {"0.8" = 3}: TOML takes 0.8 for two keys')
    try:
        return {float(key): _value(float, weight, where.at(key)) for key, weight in value.items()}
    except ValueError:
        raise where.error(f"a key of {_show(value)} is not a number") from None


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return shown if len(shown) <= 80 else f"{shown[:79]}…"
