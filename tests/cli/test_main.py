"""The program as a person meets it: help at once, one line for an error, the right exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from biobot.cli import COMMANDS, Changing, main
from tests.conftest import Run


def biobot(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "biobot", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, **environment},
        check=False,
    )


def test_help_imports_neither_torch_nor_tweepy_nor_numpy() -> None:
    script = (
        "import sys\nfrom biobot.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = ('torch', 'tweepy', 'numpy', 'rich', 'apscheduler', 'sqlite3', 'requests', 'biobot.networks')\n"
        "print([n for n in heavy if n in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert answer.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_helps_without_importing_anything_heavy(name: str) -> None:
    script = (
        "import sys\nfrom biobot.cli import main\n"
        f"try: main([{name!r}, '--help'])\nexcept SystemExit as end: assert not end.code\n"
        "print([n for n in ('torch', 'tweepy', 'numpy', 'rich', 'starlette') if n in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines()[-1] == "[]"


def test_every_command_has_the_one_line_that_help_shows() -> None:
    listing = biobot("--help").stdout
    for name in COMMANDS:
        assert f"\n  {name} " in listing


@pytest.mark.parametrize("name", ["corpus", "models", "plugins", "queue"])
def test_a_group_shows_the_whole_sentence_of_each_of_its_commands(name: str) -> None:
    listing = biobot(name, "--help").stdout.partition("Commands:")[2]
    assert "..." not in listing
    assert len(listing.split("\n  ")) > 1


OTHERS = {
    *("init", "service install", "restore"),  # they make a bot, and name it
    *("run", "tune"),  # with --once and with --write they name it
    *("preview", "check", "eval", "audit", "rehearse", "doctor", "web", "backup", "completion"),
    *("status", "why", "timeline", "queue list", "models list", "models show", "plugins list", "plugins test"),
    *("networks list", "networks check", "corpus stats", "corpus export", "taste show", "taste export"),
    *("config show", "config check"),
}
"""Commands that change nothing of a bot that is there."""


def test_every_command_that_changes_something_names_the_bot_first(bot: Callable[[str], Path], run: Run) -> None:
    context = click.Context(main)
    found: dict[str, click.Command] = {}
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        inner = command.commands if isinstance(command, click.Group) else {"": command}
        found |= {f"{name} {each}".strip(): command for each, command in inner.items()}
    assert {words for words, command in found.items() if not isinstance(command, Changing)} == OTHERS
    folder = str(bot("").resolve())
    for words in (["corpus", "forget", "@somebody"], ["plugins", "new", "calm"], ["taste", "reset", "--yes"]):
        first = run(*words)[1].splitlines()[0]
        assert first.split(",")[0].endswith(" on rehearsal"), words
        assert folder in first


def test_an_error_is_one_line_and_a_traceback_only_with_v(tmp_path: Path) -> None:
    missing = str(tmp_path / "biobot.toml")
    quiet = biobot("--config", missing, "status")
    assert (quiet.returncode, quiet.stdout) == (2, "")
    fix = "correct its name, or write one with `biobot init FOLDER`"
    assert quiet.stderr == f"biobot: there is no config file {missing}; {fix}\n"
    loud = biobot("-v", "--config", missing, "status")
    assert loud.returncode == 2
    assert "Traceback" in loud.stderr


def test_a_wrong_command_line_is_exit_code_2() -> None:
    assert biobot("preview", "--temperature", "warm").returncode == 2
    assert biobot("previw").returncode == 2


def test_f29_a_console_that_is_not_utf_8_prints_what_it_can(bot: Callable[[str], Path]) -> None:
    bot("")
    answer = biobot("check", "--text", "a baker from 東京 who likes 🌻 and long walks", PYTHONIOENCODING="ascii")
    assert answer.returncode == 0, answer.stderr
    assert "baker" in answer.stdout


def test_a_reader_that_leaves_early_is_no_error(bot: Callable[[str], Path]) -> None:
    bot("")
    reader, writer = os.pipe()
    os.close(reader)  # as `biobot plugins list | true` would, but for certain before the first line
    with os.fdopen(writer, "wb") as out:
        command = [sys.executable, "-m", "biobot", "plugins", "list", "--json"]
        answer = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")
