"""`biobot preview` as people and scripts use it, and the child that the daemon has its drafts from."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from biobot.cli import main
from biobot.config import load
from biobot.errors import SampleError
from biobot.posting.outbox import Outbox
from biobot.posting.post import Draft, State
from biobot.text import terminal
from biobot.worker import server

Write = Callable[[str], Path]
KEYS = [
    *("text", "temperature", "seed", "model", "bits", "bits_per_byte", "entropy", "weighted_length"),
    *("accepted", "objections"),
]
MINUTE = timedelta(minutes=1)


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


@pytest.mark.parametrize(("best_of", "n", "won"), [(1, 50, 9), (3, 50, 12), (3, 4, 9), (3, 8, 12)])
def test_an_order_gets_the_best_of_some_accepted_bios_where_a_plugin_scores(
    preview: Any, folder: Path, tmp_path: Path, best_of: int, n: int, won: int
) -> None:
    (folder / "plugins" / "taste.py").write_text(
        "from biobot import hookimpl\n\n"
        "@hookimpl\ndef biobot_filter(candidate):\n    return 'odd' if candidate.seed % 3 else None\n\n"
        "@hookimpl\ndef biobot_score(candidate):\n    return -abs(candidate.seed - 12)\n"
    )
    off = '["length", "dedupe", "profanity", "links", "mentions", "private"]'
    config = folder / "biobot.toml"
    config.write_text(
        f"{config.read_text()}[filters]\nrequired = []\ndisabled = {off}\n[sample]\nbest_of = {best_of}\n"
    )
    (tmp_path / "orders").write_text(json.dumps(order("a", n=n)))
    code, out, err = preview("--json", "--requests", str(tmp_path / "orders"))
    assert code == 0, err
    found = [json.loads(line) for line in out.splitlines()]
    assert [each["seed"] for each in found if each["accepted"]] == [won]
    assert found[-1]["accepted"]


@pytest.mark.parametrize("answer", ["'fine'", "float('nan')", "None"])
def test_a_score_that_is_no_number_is_one_clear_line(preview: Any, folder: Path, tmp_path: Path, answer: str) -> None:
    (folder / "plugins" / "taste.py").write_text(
        f"from biobot import hookimpl\n\n@hookimpl\ndef biobot_score(candidate):\n    return {answer}\n"
    )
    off = '["length", "dedupe", "profanity", "links", "mentions", "private"]'
    config = folder / "biobot.toml"
    config.write_text(f"{config.read_text()}[filters]\nrequired = []\ndisabled = {off}\n[sample]\nbest_of = 2\n")
    (tmp_path / "orders").write_text(json.dumps(order("a")))
    code, _, err = preview("--json", "--requests", str(tmp_path / "orders"))
    assert code == 1
    assert "the plugin taste cannot score" in err


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


# -- the child ---------------------------------------------------------------------------------------

SPY = """import json, os
from pathlib import Path
from biobot import hookimpl

@hookimpl
def biobot_filter(candidate):
    found = {"pid": os.getpid(), "secrets": [name for name in os.environ if "SECRET" in name or "CRED" in name]}
    here = Path(__file__).parent.parent
    (here / "half").write_text(json.dumps(found))
    (here / "half").rename(here / "spied")
    {more}
"""


def spy(folder: Path, more: str = "return None") -> None:
    (folder / "plugins" / "spy.py").write_text(SPY.replace("{more}", more))


def order(name: str, n: int = 50, temperature: float = 1.0, seed: int = 7) -> dict[str, object]:
    return {"id": name, "temperature": temperature, "seed": seed, "n": n}


def test_the_child_fills_each_order_up_to_its_first_accepted_bio_and_knows_no_secret(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy(folder, "return None if candidate.seed % 3 == 0 else 'not a third one'")
    (folder / "biobot.toml").write_text(
        (folder / "biobot.toml").read_text() + '[filters]\nrequired = []\ndisabled = ["length", "dedupe", "profanity", '
        '"links", "mentions", "private"]\n'
    )
    monkeypatch.setenv("BIOBOT_X_API_SECRET", "do not tell")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials")
    found = list(server.spawn(load(), [order("a", seed=7), order("b", n=2, seed=10), order("c", seed=12)], MINUTE))
    assert [(each["request"], each["seed"], each["accepted"]) for each in found] == [
        *[("a", 7, False), ("a", 8, False), ("a", 9, True)],
        *[("b", 10, False), ("b", 11, False)],
        ("c", 12, True),
    ]
    assert json.loads((folder / "spied").read_text())["secrets"] == []
    assert "torch" in found[0]["controls"]["kind"]


def gone(pid: int) -> bool:
    """Wait, for at most some seconds, until a process has ended (a zombie has)."""
    for _ in range(200):
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").exists() and ") Z " in Path(f"/proc/{pid}/stat").read_text():
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


def test_the_child_dies_with_its_parent_whatever_it_is_doing(folder: Path) -> None:  # F45
    spy(folder, "while True: pass")
    (folder / "biobot.toml").write_text((folder / "biobot.toml").read_text() + '[filters]\ntimeout = "60s"\n')
    lines = "from biobot.app import drafts; from biobot.config import load; from datetime import timedelta\n"
    lines += f"list(server.spawn(load(), [{order('a')}], timedelta(minutes=5)))"
    parent = subprocess.Popen([sys.executable, "-c", lines])
    for _ in range(1200):
        if (folder / "spied").exists():
            break
        time.sleep(0.05)
    child = json.loads((folder / "spied").read_text())["pid"]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert gone(child)


def test_a_child_that_takes_too_long_or_is_not_wanted_any_more_is_killed(folder: Path) -> None:
    spy(folder, "return 'no'")
    with pytest.raises(SampleError, match=r"drawing bios took longer than 0.1 s \(sample.deadline\)"):
        list(server.spawn(load(), [order("a")], timedelta(seconds=0.1)))
    stream = server.spawn(load(), [order("a", n=10**6)], MINUTE)
    next(stream)
    child = json.loads((folder / "spied").read_text())["pid"]
    stream.close()  # type: ignore[attr-defined]
    assert gone(child)


def test_the_child_says_why_it_cannot(folder: Path) -> None:
    with pytest.raises(SampleError, match="there is no model 'nowhere'"):
        list(server.spawn(load(), [order("a")], MINUTE, model="nowhere"))
    with pytest.raises(SampleError, match="is no request such as"):
        list(server.spawn(load(), [{"id": "a"}], MINUTE))


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
