"""The daemon follows biobot.toml, which `status` tells apart from what it runs with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from biobot import daemon
from biobot.app import health, running
from biobot.cli import main
from biobot.config import Config, load
from biobot.posting.outbox import Outbox
from biobot.posting.post import State
from biobot.posting.poster import Poster
from biobot.worker.double import FakeWorker
from tests.posting.world import Net

FAST = """[schedule]
every = "1s"
jitter = "0s"
[post]
review = "{review}"
[post.budget]
posts_per_day = 100000
usd_per_month = 100000
"""


class Daemon:
    """The daemon in a thread of this process, with cheap drafts and a network in memory."""

    def __init__(self, folder: Path) -> None:
        self.file, self.home = folder / "biobot.toml", folder / "state"
        self.net = Net(lambda: datetime.now(UTC))
        self.stop: threading.Event | None = None
        self.thread = threading.Thread(target=self._run)

    def write(self, text: str) -> None:
        self.file.write_text(text)

    def _opened(self, config: Config, clock: Any, **named: Any) -> Poster:
        self.stop = named["stop"]
        outbox = Outbox(config.home / "outbox.db", config.settings.post.first)
        return Poster(config, outbox, lambda: self.net, lambda _: [], clock, **named)

    def _run(self) -> None:
        daemon.run(load(self.file, self.home), opened=self._opened, worker=FakeWorker)

    def wait(self, until: Callable[[], bool], seconds: float = 20) -> None:
        """Wait until something holds, which then must."""
        waited = threading.Event()
        end = datetime.now(UTC) + timedelta(seconds=seconds)
        while not until() and datetime.now(UTC) < end:
            waited.wait(0.05)
        assert until()

    def count(self, state: State) -> int:
        with Outbox(self.home / "outbox.db", "rehearsal", read_only=True) as outbox:
            return outbox.counts()[state]

    def status(self) -> dict[str, Any]:
        config = running.current(load(self.file, self.home)) if self.thread.is_alive() else load(self.file, self.home)
        return health.status_json(config, health.status(config, datetime.now(UTC)))


@pytest.fixture
def bot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    monkeypatch.setattr(signal, "signal", lambda *_: signal.SIG_DFL)  # only the main thread may set handlers
    made = Daemon(tmp_path)
    yield made
    if made.stop is not None:
        made.stop.set()
        made.thread.join(20)


def test_it_follows_the_file_and_nothing_is_posted_that_review_would_hold(bot: Daemon) -> None:
    bot.write(FAST.format(review="off"))
    bot.thread.start()
    bot.wait(lambda: len(bot.net.texts) >= 2)
    bot.write(FAST.format(review="on"))
    before = len(bot.net.texts)
    bot.wait(lambda: bot.count(State.HELD) > 0)
    assert len(bot.net.texts) <= before + 1  # what was under way
    assert bot.status()["review"] == "on"
    bot.write(FAST.format(review="off"))
    posted = len(bot.net.texts)
    bot.wait(lambda: len(bot.net.texts) > posted)


def test_a_broken_file_changes_nothing_and_is_a_problem_until_it_is_fixed(bot: Daemon) -> None:
    bot.write(FAST.format(review="off"))
    bot.thread.start()
    bot.wait(lambda: bool(bot.net.texts))
    bot.write(FAST.format(review="nonsense"))

    def problem() -> str:
        with Outbox(bot.home / "outbox.db", "rehearsal", read_only=True) as outbox:
            found = outbox.ask("SELECT text FROM problem WHERE name = 'config'")
        return str(found[0][0]) if found else ""

    bot.wait(lambda: 'post.review: "nonsense" is not one of' in problem())
    posted = len(bot.net.texts)
    bot.wait(lambda: len(bot.net.texts) > posted + 1)
    paused = CliRunner().invoke(main, ["--config", str(bot.file), "--home", str(bot.home), "pause"])
    assert paused.exit_code == 0, paused.output
    shown = CliRunner().invoke(main, ["--config", str(bot.file), "--home", str(bot.home), "status"])
    assert shown.exit_code == 0, shown.output
    assert "paused" in shown.output
    assert "until that is fixed, the settings before it hold" in shown.output
    bot.write(FAST.format(review="off") + "[sample]\nmax_tries = 7\n")
    bot.wait(lambda: problem() == "")


def test_a_file_that_was_emptied_for_a_moment_is_not_believed(tmp_path: Path) -> None:
    file = tmp_path / "biobot.toml"
    file.write_text("")
    watch, now = running.Watch(load(file)), datetime(2026, 11, 22, tzinfo=UTC)
    assert not watch.changed(now)
    file.write_text("[post]\n")
    assert watch.changed(now)
    assert not watch.settled(now)
    file.write_text('[post]\nreview = "on"\n')
    assert watch.changed(now + running.SETTLING)
    assert not watch.settled(now + running.SETTLING)
    assert watch.changed(now + 2 * running.SETTLING)
    assert watch.settled(now + 2 * running.SETTLING)
    watch.note_read()
    assert not watch.changed(now + 3 * running.SETTLING)


def test_status_and_commands_have_what_the_daemon_runs_with(bot: Daemon) -> None:
    bot.write(FAST.format(review="off"))
    bot.thread.start()
    bot.wait(lambda: bool(bot.net.texts))
    os.utime(bot.file, (0, 0))  # the same text: nothing to take over
    config = load(bot.file, bot.home)
    assert running.difference(running.current(config)) is None
    bot.write('[schedule]\nevery = "7d"\n')
    config = load(bot.file, bot.home)
    assert running.current(config).settings.schedule.every in (timedelta(seconds=1), timedelta(days=7))
    bot.wait(lambda: running.current(config).settings.schedule.every == timedelta(days=7))


def test_reload_has_the_daemon_read_the_file_at_once_and_says_so(tmp_path: Path) -> None:
    file, home = tmp_path / "biobot.toml", tmp_path / "state"
    file.write_text('[schedule]\nevery = "24h"\n[filters]\nrequired = []\n')
    biobot = [sys.executable, "-m", "biobot", "--config", str(file), "--home", str(home)]

    def reload() -> tuple[int, str]:
        done = subprocess.run([*biobot, "reload"], capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    code, said = reload()
    assert (code, "no daemon runs in" in said) == (1, True)
    with subprocess.Popen([*biobot, "run"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any("the next slot is" in line for line in process.stderr)
        code, said = reload()
        assert (code, f"(pid {process.pid}" in said, "again" in said) == (0, True, True), said
        plugin = tmp_path / "plugins" / "typo.py"
        plugin.parent.mkdir()
        plugin.write_text("def biobot_filtre(candidate): ...")
        code, said = reload()
        assert (code, "typo" in said) == (1, True)
        plugin.unlink()  # what was wrong before is not what is said of the daemon now
        code, said = reload()
        assert (code, "again" in said) == (0, True), said
        file.write_text("[schedule]\nevery = 3\n")
        code, said = reload()
        assert (code, "schedule.every" in said) == (2, True)
        process.terminate()
        assert process.wait(30) == 0
