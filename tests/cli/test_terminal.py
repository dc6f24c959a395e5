"""The terminal: width, colour, the bot's time zone, bare groups, misspelt commands, and what a shell completes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from biobot.cli import COMMANDS, main
from biobot.cli.common import table
from biobot.config import load
from biobot.errors import ModelError
from biobot.model.registry import Registry
from biobot.posting.outbox import Outbox
from biobot.posting.post import Draft, State
from biobot.testing import fill_outbox
from biobot.text.humanize import lasting, relative
from biobot.text.terminal import draft

Bot = Callable[[str], Path]
NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)


def run(*words: str, **more: str) -> Result:
    return CliRunner().invoke(main, list(words), env=more)


class Terminal:
    """Standard output as a terminal of some width has it."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass

    def fileno(self) -> int:
        raise OSError


@pytest.mark.parametrize("columns", [40, 60, 100, 200])
def test_a_table_is_as_wide_as_the_terminal_and_breaks_between_words(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    words = [
        "drummer",
        "from",
        "Lisbon",
        "who",
        "collects",
        "umbrellas",
        "and",
        "photographs",
        "pancakes,",
        "mostly",
        "on",
        "rivers",
    ]
    table([("12", "held", "in 27 min", " ".join(words)), ("345", "approved", "no slot", "short")], out)  # type: ignore[arg-type]
    assert max(map(len, out.text.splitlines())) <= columns
    assert out.text.split() == ["12", "held", "in", "27", "min", *words, "345", "approved", "no", "slot", "short"]


def test_states_are_coloured_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    table([("held", "a text with \x1b[31m in it")], out)  # type: ignore[arg-type]
    assert "\x1b[33mheld\x1b[0m" in out.text
    assert "<1B>[31m" in out.text
    table([("held", "a long text " * 30)])
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert said.count("\n") == 1  # a line for a row, wherever it is piped to


@pytest.mark.parametrize(
    ("away", "said"),
    [
        (timedelta(minutes=27), "in 27 min"),
        (-timedelta(hours=2, minutes=5), "2 h 5 min ago"),
        (timedelta(0), "in 0 s"),
        (-timedelta(days=3, hours=1), "3 d 1 h ago"),
    ],
)
def test_times_are_relative_too(away: timedelta, said: str) -> None:
    assert relative(NOW + away, NOW) == said


def test_long_times_are_in_days() -> None:
    assert [lasting(timedelta(hours=each)) for each in (1, 47, 50)] == ["60 min", "47 h 0 min", "2 d 2 h"]


@pytest.mark.parametrize("words", [["status"], ["queue", "list"], ["why", "1"], ["timeline"], ["doctor"]])
def test_times_are_in_the_bots_time_zone(bot: Bot, words: list[str]) -> None:
    bot('[schedule]\ntimezone = "Asia/Kathmandu"\nevery = "24h"\n')
    config = load()
    fill_outbox(config.home, ["a text that was posted"])
    with Outbox(config.home / "outbox.db", "rehearsal") as outbox:
        outbox.add([Draft("a draft", NOW.replace(year=2027))], State.APPROVED, NOW)
    answer = run(*words)
    assert "+0545" in answer.output, answer.output
    assert "UTC" not in answer.output


@pytest.mark.parametrize("group", ["queue", "models", "plugins", "networks"])
def test_a_group_called_bare_lists(bot: Bot, group: str) -> None:
    bot("[schedule]\n")
    bare, full = run(group), run(group, "list")
    assert (bare.exit_code, bare.output) == (full.exit_code, full.output)
    assert bare.exit_code == 0
    assert run(group, "--json").output == run(group, "list", "--json").output
    assert "Usage:" in run(group, "--help").output


@pytest.mark.parametrize(
    ("words", "meant"),
    [(["previw"], "preview"), (["stauts"], "status"), (["models", "us"], "use"), (["queue", "lst"], "list")],
)
def test_a_misspelt_command_gets_a_suggestion(words: list[str], meant: str) -> None:
    answer = run(*words)
    assert answer.exit_code == 2
    assert f"`{meant}`?" in answer.output


def test_every_command_can_be_imported_and_has_a_one_line_help() -> None:
    for name, line in COMMANDS.items():
        answer = run(name, "--help")
        assert answer.exit_code == 0, name
        assert line.endswith(".")


@pytest.mark.parametrize("command", ["queue", "timeline"])
def test_where_no_bot_is_an_empty_list_says_so(
    command: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no biobot.toml here" in run(command).output


def test_the_timeline_shows_what_was_posted_newest_first(bot: Bot) -> None:
    bot("")
    assert "nothing has been posted yet" in run("timeline").output
    fill_outbox(load().home, ["the first text", "the second text", "the third text"])
    with Outbox(load().home / "outbox.db", "rehearsal") as outbox:
        posted = sorted(outbox.posts(State.POSTED), key=lambda row: row.posted or NOW, reverse=True)
    lines = run("timeline", "--limit", "2").output.splitlines()
    assert [line.endswith(str(row.text)) for line, row in zip(lines, posted[:2], strict=True)] == [True, True]
    assert [json.loads(line)["id"] for line in run("timeline", "--json").output.splitlines()] == [
        row.id for row in posted
    ]


def test_config_shows_what_holds_as_toml_that_can_be_read_back(bot: Bot, tmp_path: Path) -> None:
    bot('[schedule]\nevery = "90m"\n[sample]\ntemperatures = {"0.8" = 3, "1.0" = 1}\n[filters.length]\nmin = 7\n')
    said = run("config", "show").output
    assert '\nevery = "90m"' in said
    assert '\n# jitter = "10m"' in said
    (tmp_path / "again.toml").write_text(said.replace("\n# ", "\n"))
    assert load(tmp_path / "again.toml").settings == load().settings
    changed = run("config", "show", "--changed").output
    assert "jitter" not in changed
    assert "min = 7" in changed
    assert run("config", "show", "schedule").output.startswith("[schedule]\n")


def test_config_check_names_file_line_and_key(bot: Bot) -> None:
    folder = bot("")
    assert "fine, with" in run("config", "check").output
    (folder / "other.toml").write_text("[sample]\nmax_tires = 3\n")
    done = subprocess.run(
        [sys.executable, "-m", "biobot", "config", "check", "other.toml"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "line 2: sample.max_tires: there is no such key; did you mean `max_tries`?" in done.stderr


def test_doctor_speaks_json(bot: Bot) -> None:
    bot('[post]\nnetwork = "x"\n')
    lines = [json.loads(line) for line in run("doctor", "--json").stdout.splitlines()]
    assert {each["check"]: each["ok"] for each in lines}["secrets"] is False
    assert set(lines[0]) == {"check", "ok", "found"}


def test_a_rejection_can_have_a_reason(bot: Bot) -> None:
    bot("")
    with Outbox(load().home / "outbox.db", "rehearsal") as outbox:
        outbox.add([Draft("a draft")], State.HELD, NOW)
    assert run("reject", "1", "--reason", "too sad").exit_code == 0
    assert "by person: too sad" in run("why", "1").output


def test_edit_opens_the_editor_and_leaves_an_unchanged_text_alone(bot: Bot) -> None:
    folder = bot("[filters]\nrequired = []\n")
    with Outbox(load().home / "outbox.db", "rehearsal") as outbox:
        outbox.add([Draft("A baker from Lisbon who counts clouds")], State.HELD, NOW)
    (folder / "editor").write_text('#!/bin/sh\nsed -i s/clouds/lanterns/ "$1"\n')
    (folder / "editor").chmod(0o755)
    done = run("edit", "1", EDITOR=str(folder / "editor"))
    assert done.exit_code == 0, done.output
    with Outbox(load().home / "outbox.db", "rehearsal", read_only=True) as outbox:
        assert outbox.get(1).text == "A baker from Lisbon who counts lanterns"
    unchanged = run("edit", "1", EDITOR=str(folder / "editor"))
    assert unchanged.exit_code == 1


def test_models_are_deleted_and_named_by_a_prefix(bot: Bot, tiny_model: Path) -> None:
    import shutil

    bot("")
    registry = Registry(load().home)
    for name in ("20261122-one", "20261123-two", "20261123-three"):
        shutil.copytree(tiny_model, registry.folder / name)
    assert registry.find("20261122").id == "20261122-one"
    with pytest.raises(ModelError, match="there is no model '20261123'"):
        registry.find("20261123")  # two begin like that
    assert run("models", "use", "20261123-tw").exit_code == 0
    assert run("models", "rm", "20261122").exit_code == 0
    assert not (registry.folder / "20261122-one").exists()
    for name, why in (("20261123-two", "is active"), ("starter", "is not among")):
        with pytest.raises(ModelError, match=why):
            registry.remove(name)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("biobot approve ", {"2"}),
        ("biobot why ", {"1", "2"}),
        ("biobot models use st", {"starter"}),
        ("biobot plugins test pro", {"profanity"}),
        ("biobot timel", {"timeline"}),
    ],
)
def test_a_shell_completes_commands_ids_models_and_plugins(bot: Bot, line: str, offered: set[str]) -> None:
    bot("")
    with Outbox(load().home / "outbox.db", "rehearsal") as outbox:
        outbox.add([Draft("one draft")], State.APPROVED, NOW)
        outbox.add([Draft("another draft")], State.HELD, NOW)
    words = line.split(" ")
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), "_BIOBOT_COMPLETE": "bash_complete"}
    program = "from biobot.cli import main; main(prog_name='biobot')"
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **asked}, capture_output=True, text=True, check=False
    )
    assert {each.partition(",")[2] for each in done.stdout.splitlines()} == offered, done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_script_of_a_shell(shell: str) -> None:
    assert f"_BIOBOT_COMPLETE={shell}_complete" in run("completion", shell).output


def test_no_line_ends_in_blanks(bot: Bot, home: Path) -> None:
    bot("")
    fill_outbox(home, ["A text that ends in blanks  ", "One \n \nof three lines\t"])
    for words in ("status", "timeline", "queue list", "networks list", "plugins list", "why 1", "doctor", "config"):
        said = run(*words.split()).output
        assert said
        assert [line for line in said.splitlines() if line != line.rstrip()] == [], words
    assert "\n\n" in draft("One  \n \nof three words", [0.0] * 30, "label", None, colour=False)
    for columns in (12, 40):
        lines = draft("One  \n \nof three words or more", [0.0] * 40, "label", None, colour=False, columns=columns)
        assert [line for line in lines.splitlines() if line != line.rstrip()] == []
