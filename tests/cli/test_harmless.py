"""No byte of anybody's text, reason, header or file name acts on a terminal, on whatever way it gets there."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from biobot.cli import main
from biobot.testing import fill_outbox

EVIL = "A baker \x1b]0;owned\x07 who \u202e dreams \x9b31m"
UNSAFE = set("\x1b\x07\x9b\u202e")
Bot = Callable[[str], Path]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def command(*words: str) -> str:
        with pytest.raises(SystemExit):
            main(list(words))
        return "".join(capsys.readouterr())

    return command


def test_texts_reasons_headers_and_file_names_are_shown_by_their_codes(bot: Bot, run: Callable[..., str]) -> None:
    folder = bot("")
    (folder / "plugins" / "evil.py").write_text(
        f"from biobot import hookimpl\n@hookimpl\ndef biobot_filter(candidate):\n    return {EVIL!r}\n"
    )
    (folder / f"{EVIL}.csv").write_text(f"{EVIL},b\nx,y\n")
    (folder / "texts.txt").write_text(f"{EVIL}\n")
    fill_outbox(folder / "state", [EVIL])
    said = [
        run("check", "texts.txt"),
        run("check", "--text", EVIL),
        run("check", "--text", "A lighthouse keeper who collects old maps"),
        run("corpus", "import", f"{EVIL}.csv"),
        run("corpus", "import", f"{EVIL}.jsonl"),
        run("eval", f"{EVIL}.txt"),
        run("--config", EVIL, "status"),
        run("--home", EVIL, "status"),
        run("models", "show", EVIL),
        run("queue", "list"),
        run("why", "1"),
        run("plugins", "list"),
        run(EVIL),
        run("approve", EVIL),
    ]
    assert [each for each in said if UNSAFE & set(each)] == []
    assert all("<1B>]0;owned<07>" in each for each in said[:2])


def test_json_says_the_same_with_escapes(bot: Bot, run: Callable[..., str]) -> None:
    bot("")
    said = run("check", "--json", "--text", EVIL)
    assert not UNSAFE & set(said)
    assert json.loads(said)["text"] == EVIL


def test_a_terminal_gets_our_colours_and_nothing_of_anybody_else(bot: Bot) -> None:
    folder = bot("")
    (folder / "texts.txt").write_text(f"{EVIL}\n")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "biobot", "check", "texts.txt"]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, cwd=folder, env={**os.environ, "TERM": "xterm"}):
        os.close(theirs)
        shown = b""
        while part := _read(ours):
            shown += part
    os.close(ours)
    assert b"<1B>]0;owned<07>" in shown
    assert not UNSAFE & set(shown.decode())


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # how a terminal says that nobody writes to it any more
        return b""


def test_what_is_exported_is_exported_byte_for_byte(bot: Bot, run: Callable[..., str], tmp_path: Path) -> None:
    bot("")
    (tmp_path / "in.jsonl").write_text(json.dumps({"bio": "A baker who \u202e dreams"}) + "\n")
    run("corpus", "import", "in.jsonl")
    run("corpus", "export", "out.jsonl")
    assert json.loads((tmp_path / "out.jsonl").read_text())["bio"] == "A baker who \u202e dreams"


def test_without_a_biobot_toml_a_post_says_so_and_where_it_went(
    tmp_path: Path, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BIOBOT_CONFIG", "BIOBOT_HOME", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    said = run("post", "--text", "A lighthouse keeper who collects old maps")
    assert "no biobot.toml here: every key has its default, so posts go to a built-in fake X" in said


@pytest.mark.parametrize(("start", "words"), [(b"\xff\xfe[\0", "UTF-16"), (b'a = "\xe9"', "not UTF-8")])
def test_a_config_in_another_encoding_is_one_line_that_says_so(
    bot: Bot, run: Callable[..., str], start: bytes, words: str
) -> None:
    (bot("") / "biobot.toml").write_bytes(start)
    assert f"biobot.toml is {words}: save it as UTF-8" in run("status")


def test_a_config_with_a_byte_order_mark_is_read(bot: Bot, run: Callable[..., str]) -> None:
    (bot("") / "biobot.toml").write_bytes(b'\xef\xbb\xbf[post]\nreview = "on"\n')
    assert "review on" in run("status")


def test_hints_are_quoted_for_the_shell(bot: Bot, run: Callable[..., str], tmp_path: Path) -> None:
    bot("")
    said = run("init", "my bot's; rm -rf x")
    assert "cd 'my bot'\"'\"'s; rm -rf x' && biobot preview" in said
    (tmp_path / "my bot's; rm -rf x" / "biobot.toml").chmod(0o666)
    said = run("--config", "my bot's; rm -rf x/biobot.toml", "status")
    assert "chmod go-w '/" in said


@pytest.mark.parametrize("full", ["/dev/full", "a reader that has gone"])
def test_standard_output_that_cannot_be_written_leaves_a_post_unsent(bot: Bot, full: str) -> None:
    folder = bot('[post]\nnetwork = "stdout"\n')
    reader, writer = os.pipe()
    os.close(reader)
    with open("/dev/full", "wb") as device:
        done = subprocess.run(
            [sys.executable, "-m", "biobot", "post", "--text", "A lighthouse keeper who collects old maps"],
            stdout=device if full == "/dev/full" else writer,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            check=False,
        )
    os.close(writer)
    assert "Traceback" not in done.stderr
    assert done.returncode == 1
    assert "post 1 was not sent and is waiting: standard output cannot be written" in done.stderr
