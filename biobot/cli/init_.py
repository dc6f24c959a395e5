"""`biobot init`: creates a bot's folder."""

from __future__ import annotations

import os
from pathlib import Path

import click

from biobot.bundled import bundled
from biobot.errors import BiobotError
from biobot.storage import make_folder

EXAMPLE = '''"""An example filter: remove the # signs and try `biobot preview`.

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


@click.command("init")
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path, file_okay=False))
def command(folder: Path) -> None:
    """Create a bot's folder: biobot.toml with every key explained, .env for the keys, plugins/ with an example.

    Existing files are not changed.
    """
    files = {
        folder / "biobot.toml": ((bundled("config") / "biobot.toml").read_text(encoding="utf-8"), 0o644),
        folder / ".env": ((bundled("config") / ".env.example").read_text(encoding="utf-8"), 0o600),
        folder / "plugins" / "example.py": (EXAMPLE, 0o644),
    }
    try:
        make_folder(folder / "plugins", 0o755)  # a plugin that others could write is not loaded
        for path, (text, mode) in files.items():
            click.echo(f"{'wrote' if _write_new(path, text, mode) else 'kept '}  {path}")
    except OSError as error:
        raise BiobotError(f"cannot write {error.filename}: {error.strerror}; choose another folder") from None
    there = "" if folder == Path() else f"cd {folder} && "
    click.echo(f"next: {there}biobot preview")
    click.echo(f"then: {there}biobot run (posts to a built-in fake X until you change biobot.toml)")


def _write_new(path: Path, text: str, mode: int) -> bool:
    """Create a file with `mode` from the start; return False, and leave it alone, if it exists."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    return True
