"""A bot with plugins of its own, and a model folder that holds only an index."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from biobot.cli import main
from biobot.dedupe import index
from tests.conftest import made_up_bios

Check = Callable[..., dict[str, Any]]


@pytest.fixture
def folder(bot: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """Write a bot's biobot.toml whose model has learnt 300 made-up bios."""
    model = tmp_path / "learnt"
    model.mkdir()
    (model / "model.safetensors").touch()
    index.build(made_up_bios(300), model / "fingerprints.idx")

    def write(text: str = "") -> Path:
        return bot(f'{text}\n[model]\nname = "{model}"\n')

    return write


@pytest.fixture
def plugin(tmp_path: Path) -> Callable[..., Path]:
    """Write a plugin of the bot's own."""

    def write(name: str, body: str) -> Path:
        (tmp_path / "plugins").mkdir(exist_ok=True, mode=0o755)
        path = tmp_path / "plugins" / f"{name}.py"
        path.write_text(f"from biobot import hookimpl\n{body}", encoding="utf-8")
        path.chmod(0o644)
        return path

    return write


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Check:
    """Run `biobot check --json --text TEXT` and give its object; or the exit code and message of a failure."""

    def run(text: str) -> dict[str, Any]:
        with pytest.raises(SystemExit) as left:
            main(["check", "--json", "--text", text])
        out, err = capsys.readouterr()
        if left.value.code:
            return {"code": left.value.code, "message": err}
        found: dict[str, Any] = json.loads(out)
        found["reasons"] = {each["filter"]: each["reason"] for each in found["objections"]}
        return found

    return run
