"""Where the files that ship with the code are: in the wheel, or in the checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

PACKAGE = Path(__file__).parent
STARTER = PACKAGE / "starter"
"""The folder of the starter model."""


def bundled(folder: Literal["plugins", "config", "systemd"]) -> Path:
    """Return the path of `folder`: inside an installed wheel, or beside the package in a checkout."""
    installed = PACKAGE / "_bundled" / folder
    return installed if installed.is_dir() else PACKAGE.parent / folder
