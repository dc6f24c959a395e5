"""What a plugin's author needs: a first file with its test, and the settings that it has."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Mapping
from pathlib import Path

from biobot.errors import PluginError
from biobot.filters.loader import RESERVED, Plugin
from biobot.storage import atomic_write, make_folder

PLUGIN = '''"""Refuses texts with too many exclamation marks: change this to what you want."""

from __future__ import annotations

from dataclasses import dataclass

from biobot import Candidate, hookimpl


@dataclass(frozen=True)
class Settings:
    """`[filters.{name}]` in biobot.toml; every key needs a default."""

    most: int = 3


@hookimpl
def biobot_settings() -> type[Settings]:
    """Return the keys of `[filters.{name}]`."""
    return Settings


@hookimpl
def biobot_filter(candidate: Candidate, settings: Settings) -> str | None:
    """Say why the candidate must not be posted, or return None to let it pass."""
    count = candidate.text.count("!")
    return f"too loud ({{count}} exclamation marks)" if count > settings.most else None
'''

TEST = '''"""Run with pytest; `judge` gives the filter's objection to a text, or None."""

from pathlib import Path

from biobot.testing import judge

PLUGIN = Path(__file__).parent.parent / "plugins" / "{name}.py"


def test_lets_a_calm_text_pass() -> None:
    assert judge(PLUGIN, "A baker from Lisbon. Probably asleep!") is None


def test_refuses_a_loud_text() -> None:
    assert judge(PLUGIN, "A baker!!!! From Lisbon!") == "too loud (5 exclamation marks)"


def test_can_be_set_to_allow_more() -> None:
    assert judge(PLUGIN, "A baker!!!! From Lisbon!", settings={{"most": 5}}) is None
'''


def write_new(name: str, folder: Path, taken: Mapping[str, str]) -> tuple[Path, Path]:
    """Write `plugins/NAME.py` and `tests/test_NAME.py` into a bot's folder.

    Raises PluginError if one is there, or if `name` is among the plugins that are `taken`: where each of them is.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in RESERVED:
        raise PluginError(f"{name!r} cannot be a plugin's name; use lowercase letters, digits and _, as in no_shouting")
    if name in taken:
        raise PluginError(f"there is a plugin {name!r} already: {taken[name]}; choose another name")
    files = (folder / "plugins" / f"{name}.py", PLUGIN), (folder / "tests" / f"test_{name}.py", TEST)
    for path, _ in files:
        if path.exists():
            raise PluginError(f"{path} is already there; choose another name")
    try:
        for path, text in files:
            make_folder(path.parent, 0o755)  # a plugin that others could write is not loaded
            with atomic_write(path, 0o644) as file:
                file.write(text.format(name=name).encode())
    except OSError as error:
        files[0][0].unlink(missing_ok=True)  # both or none
        raise PluginError(f"cannot write {path}: {error.strerror}") from None
    return files[0][0], files[1][0]


def settings_of(plugin: Plugin) -> dict[str, object]:
    """Return a plugin's keys in biobot.toml with their present values."""
    if plugin.kind is None:
        return {}
    return {
        each.name: getattr(plugin.settings, each.name)
        for each in dataclasses.fields(typing.cast(typing.Any, plugin.kind))
    }
