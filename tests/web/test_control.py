"""The console stops and starts the bot, posts nothing itself, shows the settings, and can be reached over SSH."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from biobot.app import console
from biobot.posting import bot_state, locks
from biobot.posting.post import Draft, State
from biobot.web.middleware import Origin
from tests.web.conftest import Site

HOUR = timedelta(hours=1)


def test_pause_and_resume_are_a_click_and_the_queue_says_which(site: Site) -> None:
    browser = site.browser()
    assert "Pause posting" in browser.get("/").text
    answer = browser.post("/pause")
    assert json.loads(answer.headers["hx-trigger"]) == {"settled": "paused"}
    with console.open_outbox(site.config) as outbox:
        assert bot_state.read(outbox).paused is not None
    assert "Resume posting" in browser.get("/").text
    assert browser.post("/resume").status_code == 204
    with console.open_outbox(site.config) as outbox:
        assert bot_state.read(outbox).paused is None


def test_post_now_leaves_the_posting_to_the_daemon(site: Site) -> None:
    (approved,) = site.add("a draft that is approved", state=State.APPROVED)
    (held,) = site.add("a draft that nobody approved")
    browser = site.browser()
    stopped = browser.post(f"/queue/{approved.id}/now")
    assert (stopped.status_code, "start it with `biobot run`" in stopped.text) == (409, True)
    with locks.lock(site.config.home, locks.DAEMON, "the daemon", datetime.now(UTC)):
        assert "Post now" in browser.get("/").text
        assert browser.post(f"/queue/{held.id}/now").status_code == 409
        assert browser.post(f"/queue/{approved.id}/now").status_code == 204
    with console.open_outbox(site.config) as outbox:
        assert (outbox.get(approved.id).slot, outbox.get(approved.id).state) == (None, State.APPROVED)


def test_the_settings_that_hold_are_shown_and_no_key(site: Site) -> None:
    assert site.config.file is not None
    site.config.file.write_text(site.config.file.read_text() + "\n[sample]\nmax_tries = 77\n")
    page = site.browser().get("/settings").text
    assert "max_tries = 77" in page
    assert "# jitter" in page


def test_the_history_is_in_the_order_of_the_times_that_it_shows(site: Site) -> None:
    now = datetime(2026, 11, 22, 18, tzinfo=UTC)
    with console.open_outbox(site.config, read_only=False) as outbox:
        for hours in (5, 1, 9, 3):
            outbox.add([Draft(f"for slot {hours}", now + hours * HOUR)], State.APPROVED, now)
        views, below = [], 0
        while True:
            ids = console._ids(outbox, ["rehearsal"], [State.APPROVED], 2, below)  # a page of two
            if not ids:
                break
            views += [outbox.get(each).text for each in ids]
            below = ids[-1]
    assert views == ["for slot 9", "for slot 5", "for slot 3", "for slot 1"]


def test_the_starters_curve_does_not_squeeze_ones_own() -> None:
    starter = [(k, k * 1_000_000, 2.5, 2.4) for k in range(1, 105)]
    own = [(k, k * 100_000, 3.0, 2.9) for k in range(1, 11)]
    found = console.learning_curves([("mine", own), ("starter", starter)])
    assert max(found["data"][0]) <= 1.5
    alone = console.learning_curves([("starter", starter)])
    assert max(alone["data"][0]) == 104


@pytest.mark.parametrize(("tunnel", "code"), [(True, 401), (False, 421)])
def test_localhost_is_accepted_at_the_end_of_a_tunnel_only(tunnel: bool, code: int) -> None:
    origin = Origin("http://127.1.2.3:4280", tunnel)
    assert ("localhost:4280" in origin.hosts) is (code == 401)
    assert "localhost:4281" not in origin.hosts
    assert "evil.example" not in origin.hosts


def test_over_ssh_it_prints_the_line_that_reaches_it(site: Site, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    environ = {**os.environ, "SSH_CONNECTION": "198.51.100.7 50000 192.0.2.5 22", "BIOBOT_HOME": str(tmp_path / "home")}
    (tmp_path / "biobot.toml").write_text("")
    process = subprocess.Popen(
        [sys.executable, "-m", "biobot", "web", "--port", "0"], cwd=tmp_path, env=environ, stdout=theirs, stderr=theirs
    )
    said = b""
    try:
        while b"localhost" not in said:
            said += os.read(ours, 4096)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
    line = next(each for each in said.decode().splitlines() if "ssh -L" in each)
    port = line.split(":")[-1].split(" ")[0]
    assert f"ssh -L {port}:127." in line
    assert line.endswith("@192.0.2.5")
