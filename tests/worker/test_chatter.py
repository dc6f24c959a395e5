"""A plugin that prints, starts a process that prints, or prints from a thread changes nothing about any command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from biobot.posting.outbox import Outbox
from biobot.posting.post import State

CHATTER = """import os, subprocess, threading, time
from pathlib import Path
from biobot import hookimpl

with open(Path(__file__).parent.parent / "pids", "a") as file:
    file.write(f"{os.getpid()} ")
os.chdir("/")
print("hello from the import")
subprocess.run(["echo", "hello from a child"])
threading.Thread(target=lambda: [print("late") or time.sleep(0.01) for _ in range(1000)], daemon=True).start()

@hookimpl
def biobot_filter(candidate):
    print("hello from the call")
"""
SAID = {f"plugin chatty: hello from {where}" for where in ("the import", "a child", "the call")}


@pytest.fixture
def folder(bot: Callable[[str], Path], tiny_model: Path) -> Path:
    quiet = 'required = []\ndisabled = ["length", "dedupe", "profanity", "links", "mentions", "private"]'
    toml = f'[schedule]\nevery = "2s"\njitter = "0s"\n[filters]\n{quiet}\n[model]\nname = "{tiny_model}"\n'
    folder = bot(f"{toml}[sample]\ntemperatures = [1.0]\n")
    (folder / "plugins" / "chatty.py").write_text(CHATTER)
    return folder


def biobot(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "biobot", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=120)


def said(text: str) -> set[str]:
    return {each for each in SAID if each in text}


def test_check_preview_plugins_and_post_print_what_they_print_without_it(folder: Path) -> None:
    done = biobot(folder, "check", "--json", "--text", "some words", "--text", "other words")
    assert [json.loads(line)["accepted"] for line in done.stdout.splitlines()] == [True, True]
    assert said(done.stderr) == SAID
    done = biobot(folder, "preview", "--json", "-n", "3")
    assert [json.loads(line)["accepted"] for line in done.stdout.splitlines()] == [True, True, True]
    assert said(done.stderr) == SAID
    done = biobot(folder, "plugins", "list", "--json")
    assert "chatty" in [json.loads(line)["name"] for line in done.stdout.splitlines()]
    done = biobot(folder, "post")
    assert done.stdout.splitlines()[1].startswith("posted 1 as ")  # after the line that names the bot
    assert "hello from" not in done.stdout
    assert "late\n" not in done.stdout
    assert said(done.stderr) == SAID


def test_the_daemon_loads_no_plugin_and_none_moves_its_state(folder: Path) -> None:
    command = [sys.executable, "-m", "biobot", "--home", "here", "run"]
    log = []
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as daemon:
        assert daemon.stderr is not None
        for line in daemon.stderr:
            log.append(line)
            if sum(" posted " in each for each in log) == 2:  # the second row may be a slot that was missed
                break
        daemon.send_signal(signal.SIGTERM)
        log += daemon.stderr
    assert said("".join(log)) == SAID, log
    assert str(daemon.pid) not in (folder / "pids").read_text().split()
    with Outbox(folder / "here" / "outbox.db", "rehearsal", read_only=True) as outbox:
        assert outbox.counts()[State.POSTED] >= 1
    assert not (folder / "plugins" / "here").exists()
    assert not Path("/here").exists()


@pytest.mark.parametrize(
    ("toml", "code", "words"),
    [
        ('[filters]\nrequired = ["profanty"]\n', 1, "the filter 'profanty' is required"),
        ("[filters.length]\nmni = 3\n", 2, "filters.length.mni: there is no such key"),
    ],
)
def test_f22_run_refuses_to_start_with_what_a_worker_finds_wrong_about_filters(
    bot: Callable[[str], Path], toml: str, code: int, words: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "biobot", "run"], cwd=bot(toml), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == code
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert os.listdir(bot(toml) / "state") in ([], ["daemon.lock"])
