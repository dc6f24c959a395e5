"""`make demo`: what it promises on its last lines is what the fake X saw."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path


def test_the_demo_posts_loses_a_connection_recovers_and_leaves_nothing_behind(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "biobot.demo"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=240,
        env={**os.environ, "TMPDIR": str(tmp_path), "HOME": str(tmp_path)},
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    *shown, last, first_try, second_try, third_try = answer.stdout.splitlines()
    posted, refused, recovered = map(int, re.findall(r"(\d+) (?:posted|refused|recovered)", last))
    assert re.fullmatch(r"demo: \d+ posted, \d+ refused, \d+ recovered, 0 doubles", last)
    assert posted >= 4
    assert recovered == 1
    assert refused == sum(line.startswith("✗") for line in shown)
    assert all("biobot" in line for line in (first_try, second_try, third_try))
    assert list(tmp_path.iterdir()) == []
    assert "\x1b" not in answer.stdout  # colours are for terminals
