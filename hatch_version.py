"""The version of a build: the release's, and between releases with the commits since, as in 1.0.0.post12+g1a2b3c4."""

import re
import subprocess
from pathlib import Path

HERE = Path(__file__).parent


def version() -> str:
    """Return the version in biobot/__init__.py, with what was committed since it was set; without git as it stands."""
    info = HERE / "PKG-INFO"  # in a source distribution, which was built with its version
    if info.is_file() and (found := re.search(r"^Version: (\S+)$", info.read_text("utf-8"), re.MULTILINE)):
        return found[1]
    file = HERE / "biobot" / "__init__.py"
    released = re.search(r'^__version__ = "(.+)"$', file.read_text("utf-8"), re.MULTILINE)[1]
    try:
        since = _git("log", "-1", "--format=%H", "-G^__version__ = ", "--", "biobot/__init__.py")
        count = int(_git("rev-list", "--count", f"{since}..HEAD")) if since else 0
        return f"{released}.post{count}+g{_git('rev-parse', '--short', 'HEAD')}" if count else released
    except (OSError, subprocess.CalledProcessError):
        return released


def _git(*words: str) -> str:
    command = ["git", "-C", str(HERE), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
