"""`biobot corpus` as a function, for the tests of this folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from biobot.cli import main

Run = Callable[..., Any]


@pytest.fixture
def corpus(bot: Callable[[str], Path], home: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `biobot corpus …`; give its JSON, else what it printed. Fails on another exit code than `code`."""
    bot("")

    def run(*arguments: str, code: int = 0) -> Any:
        with pytest.raises(SystemExit) as left:
            main(["corpus", *arguments])
        said, run.errors = capsys.readouterr()  # type: ignore[attr-defined]
        assert left.value.code == code, run.errors  # type: ignore[attr-defined]
        return json.loads(said) if "--json" in arguments else said

    return run
