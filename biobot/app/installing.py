"""How this program was installed, and so how a package is added to it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from shlex import join

NAME = "biobot-lstm"
"""The distribution: the name `biobot` on the package index belongs to somebody else's chat bot."""


def adding(packages: Sequence[str], *, index: str | None = None, prefix: Path | None = None) -> str:
    """Return the command that adds packages, from `index` if one is given, to where this program is installed."""
    prefix = prefix or Path(sys.prefix)
    source = ["--upgrade", "--index-url", index] if index else []  # 2.13.0+cpu is newer than 2.13.0
    if (prefix / "uv-receipt.toml").exists():
        return join(["uv", "pip", "install", "--python", str(prefix), *source, *packages])
    if (prefix / "pipx_metadata.json").exists():
        return join(["pipx", "runpip", prefix.name, "install", *source, *packages])
    return join([str(prefix / "bin" / "python"), "-m", "pip", "install", *source, *packages])
