"""Problems: each reported once, to the operator's command too, which gets no secret and can do no harm."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from biobot.config import Config
from biobot.posting.notices import Notices, problems
from biobot.posting.outbox import Outbox
from biobot.settings import NotifySettings, Settings

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
WRITE = """
import json, os, sys
with open(sys.argv[1], "a") as file:
    print(json.dumps([json.loads(sys.stdin.read()), dict(os.environ)]), file=file)
"""


@pytest.fixture
def outbox(home: Path) -> Iterator[Outbox]:
    with Outbox(home / "outbox.db", "x") as opened:
        yield opened


def notices(outbox: Outbox, *command: str) -> Notices:
    home = outbox.path.parent
    return Notices(Config(Settings(notify=NotifySettings(command=command)), None, home, home), outbox)


def wait() -> None:
    for thread in threading.enumerate():
        if thread.name == "notify":
            thread.join(20)


def test_a_problem_is_reported_once_until_it_is_over(outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    reports = notices(outbox)
    for text in ("no route", "no route", "no route, again"):
        reports.say("posting", text, NOW)
    reports.say("wait", "waiting", NOW + timedelta(seconds=1))
    assert problems(outbox) == {"posting": "no route, again", "wait": "waiting"}
    reports = notices(outbox)  # after a restart
    reports.say("posting", "no route, again", NOW)
    reports.over("posting")
    reports.over("posting")
    reports.say("posting", "no route", NOW)
    assert [record.getMessage() for record in caplog.records] == ["no route", "waiting", "over: posting", "no route"]


def test_each_new_fault_of_one_file_is_logged_and_the_problem_told_once(
    outbox: Outbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reports = notices(outbox, sys.executable, "-c", WRITE, str(tmp_path / "said"))
    for text in ("line 3 is wrong", "line 3 is wrong", "line 9 is wrong"):
        reports.say("config", text, NOW, every=True)
    wait()
    assert [record.getMessage() for record in caplog.records] == ["line 3 is wrong", "line 9 is wrong"]
    assert len((tmp_path / "said").read_text().splitlines()) == 1


def test_the_operators_command_gets_the_problem_and_no_secret(
    outbox: Outbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BIOBOT_X_API_KEY", "BIOBOT_MASTODON_ACCESS_TOKEN", "CREDENTIALS_DIRECTORY"):
        monkeypatch.setenv(name, "a secret")
    monkeypatch.setenv("BIOBOT_HOME", "a home")
    reports = notices(outbox, sys.executable, "-c", WRITE, str(tmp_path / "said"))
    reports.say("blocked", "the account is suspended", NOW)
    reports.say("blocked", "the account is suspended", NOW)
    wait()
    ((notice, environ),) = map(json.loads, (tmp_path / "said").read_text().splitlines())
    assert notice == {
        "problem": "blocked",
        "text": "the account is suspended",
        "at": NOW.isoformat(),
        "home": str(outbox.path.parent),
    }
    assert "a secret" not in environ.values()
    assert environ["BIOBOT_HOME"] == "a home"


@pytest.mark.parametrize("command", [["/nowhere/to/be/found"], [sys.executable, "-c", "raise SystemExit(3)"]])
def test_a_command_that_fails_is_logged_and_nothing_else(
    outbox: Outbox, caplog: pytest.LogCaptureFixture, command: list[str]
) -> None:
    notices(outbox, *command).say("blocked", "suspended", NOW)
    wait()
    assert "the notify command failed" in caplog.text
    assert problems(outbox) == {"blocked": "suspended"}
