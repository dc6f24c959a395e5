"""A bot's folder: biobot.toml with every key explained, .env for the keys, plugins/ with an example."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from biobot.bundled import bundled
from biobot.storage import atomic_write, make_folder
from biobot.text.language import LANGUAGES

EXAMPLE = b'''"""An example filter: remove the # signs and try `biobot preview`.

More in docs/plugins.md; `biobot plugins new NAME` writes a filter with settings and a test.
"""

# from biobot import hookimpl
#
#
# @hookimpl
# def biobot_filter(candidate):
#     if "crypto" in candidate.text.lower():
#         return "talks about crypto"
'''


IGNORE = b"""# keys, and other people's bios
.env
state/
credentials/
"""

_ALIASES = {"nb": "no", "nn": "no", "tl": "fil", "iw": "he", "in": "id"}


def write(folder: Path, *, with_env: bool = True) -> Iterator[str]:
    """Write a bot's folder, and keep what is there; yield a line for each file. Raises OSError."""
    language = _language()
    settings = (bundled("config") / "biobot.toml").read_text(encoding="utf-8")
    for commented, line in (
        ("# [filters.language]  ", "[filters.language]"),
        ('# languages = ["en"]  ', f'languages = ["{language}"]'),
    ):
        settings = settings.replace(commented, line)
    files = {
        "biobot.toml": (settings.encode(), 0o644),
        ".gitignore": (IGNORE, 0o644),
        ".env": ((bundled("config") / ".env.example").read_bytes(), 0o600),
        "plugins/example.py": (EXAMPLE, 0o644),
    }
    make_folder(folder / "plugins", 0o755)  # a plugin that others could write is not loaded
    for name, (text, mode) in files.items():
        path = folder / name
        if name == ".env" and not with_env:
            continue
        if path.exists():
            yield f"kept   {path}"
        else:
            with atomic_write(path, mode) as file:
                file.write(text)
            yield f"wrote  {path}"
            if name == "biobot.toml":
                yield f'       language: "{language}", from your locale; `[filters.language]` there changes it'


def _language() -> str:
    """Return the code of the locale's language; English where it has none."""
    named = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    code = named[:3].rstrip("_.@-")
    return _ALIASES.get(code, code) if _ALIASES.get(code, code) in LANGUAGES else "en"
