"""`biobot preview` as people and scripts use it, and how a bio looks in a terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from biobot.cli import main
from biobot.posting.outbox import Outbox
from biobot.posting.post import Draft, State
from biobot.text import terminal

Write = Callable[[str], Path]
KEYS = [
    *("text", "temperature", "seed", "model", "bits", "bits_per_byte", "entropy", "weighted_length"),
    *("accepted", "objections", "score"),
]


@pytest.fixture
def folder(bot: Write, tiny_model: Path) -> Path:
    return bot(f'[model]\nname = "{tiny_model}"\n')


@pytest.fixture
def preview(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["preview", *arguments])
        out, err = capsys.readouterr()
        return int(str(ended.value.code)), out, err

    return run


def test_json_holds_the_contracts_keys_and_each_bio_its_own_seed(preview: Any) -> None:
    code, out, _ = preview("--json", "-t", "0.8", "-t", "0", "-n", "3", "--seed", "40")
    found = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [list(each) for each in found] == [KEYS] * 6
    assert [(each["temperature"], each["seed"]) for each in found] == [(t, s) for t in (0.8, 0) for s in (40, 41, 42)]
    assert all(each["model"] == "tiny" and each["accepted"] == (not each["objections"]) for each in found)
    again = preview("--json", "-t", "0.8", "-n", "1", "--seed", "42")[1]
    assert json.loads(again) == found[2]


def test_per_byte_names_every_byte_of_the_text(preview: Any) -> None:
    _, out, _ = preview("--json", "--per-byte", "-t", "1", "-n", "4", "--seed", "1", "--no-filters", "--prefix", "Mo")
    found = [json.loads(line) for line in out.splitlines()]
    assert len(found) == 4
    for each in found:
        assert bytes(one["byte"] for one in each["bytes"]).decode() == each["text"]
        assert each["text"].startswith("Mo")
        assert all(0 < one["probability"] <= 1 and one["entropy"] >= 0 for one in each["bytes"])
        assert not each["objections"]


def test_changes_nothing_on_the_disk(preview: Any, folder: Path) -> None:  # F9
    def state() -> dict[Path, tuple[int, bytes]]:
        files = (each for each in folder.rglob("*") if each.is_file() and "__pycache__" not in each.parts)
        return {each: (each.stat().st_mtime_ns, each.read_bytes()) for each in files}

    with Outbox(folder / "state" / "outbox.db", "rehearsal") as outbox:
        outbox.add([Draft("a draft that waits")], State.HELD, datetime.now(UTC))
    before = state()
    assert preview("-n", "2", "--max-bytes", "60")[0] == 0
    assert state() == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("-t", "nan"),
        ("-t", "-1"),
        ("-t", "inf"),
        ("-t", "101"),
        ("--top-p", "0"),
        ("--min-p", "2"),
        ("--max-bytes", "0"),
    ],
)
def test_a_wrong_wish_is_a_wrong_command_line(preview: Any, arguments: tuple[str, str]) -> None:  # F27
    code, out, err = preview(*arguments)
    assert (code, out) == (2, "")
    assert arguments[1].lstrip("-") in err


def test_a_prefix_with_a_byte_never_seen_is_one_clear_line(preview: Any) -> None:  # F28
    code, _, err = preview("--prefix", "ж")
    assert code == 1
    assert "never seen in training" in err
    assert len(err.splitlines()) == 1


def test_a_filter_of_ones_own_changes_the_verdicts(preview: Any, folder: Path) -> None:
    (folder / "plugins" / "never.py").write_text(
        "from biobot import hookimpl\n\n@hookimpl\ndef biobot_filter(candidate):\n    return 'I like nothing'\n"
    )
    _, out, _ = preview("--json", "-t", "1", "-n", "3")
    found = [json.loads(line) for line in out.splitlines()]
    assert len(found) == 3
    for each in found:
        assert {"filter": "never", "reason": "I like nothing"} in each["objections"]
    shown = preview("-t", "1", "-n", "1")[1]
    assert "✗" in shown
    assert "never: I like nothing" in shown


def test_prints_what_it_can_on_a_console_that_is_not_utf8(folder: Path) -> None:  # F29
    ran = subprocess.run(
        [sys.executable, "-m", "biobot", "preview", "-t", "1", "-n", "3", "--no-filters"],
        env=os.environ | {"PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert b"\\U" in ran.stdout or b"\\u" in ran.stdout
    assert len(ran.stdout.decode("latin-1").splitlines()) >= 6


# -- the terminal ------------------------------------------------------------------------------------


def test_no_control_character_of_a_text_reaches_the_terminal() -> None:
    nasty = "a\x1b]0;owned\x07b\x9b31m\u202ec\r\x00"
    for colour in (False, True):
        shown = terminal.draft(nasty, [1.0] * len(nasty.encode()), "T 1", ["why: \x1b[2J"], colour=colour, columns=60)
        ours = shown.replace("\x1b[0m", "").replace("\x1b[31m", "").replace("\x1b[2m", "")
        left = [each for each in ours if (each < " " and each not in "\n\x1b") or each in "\x07\x9b\u202e"]
        assert left == []
        assert "owned" in shown
        assert "\x1b]0" not in shown
        assert "\x1b[2J" not in shown


def test_each_sign_is_tinted_by_its_entropy_and_no_sign_is_torn() -> None:
    text = "a👩‍🌾é"
    sure = terminal.tint(text, [0.0] * len(text.encode()))
    assert sure == f"\x1b[38;5;27m{text}\x1b[0m"
    bold = terminal.tint(text, [0.0, 9.0, *[0.0] * (len(text.encode()) - 2)])
    assert bold == "\x1b[38;5;27ma\x1b[38;5;196m👩‍🌾\x1b[38;5;27mé\x1b[0m"


def test_wide_text_wraps_by_its_columns_and_right_to_left_text_keeps_the_margin() -> None:
    shown = terminal.draft("東京" * 10 + " שלום", [], "T 1", None, colour=False, columns=22)
    head, *lines = shown.splitlines()
    assert head == "· T 1"
    assert lines[0] == "  " + "東京" * 5
    assert lines[-1].startswith("\u200e  ")
