"""The daemon as a process: small, alone in its home, told of by systemd, and quick to stop."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from biobot.posting import locks
from biobot.posting.outbox import Outbox
from biobot.posting.post import State
from biobot.rehearsal.server import FakeX
from tests.daemon.test_kills import SETTINGS

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running: list[subprocess.Popen[str]] = []

    def begin(*words: str, **environ: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "BIOBOT_HOME": str(tmp_path / "state"), **environ},
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def line(process: subprocess.Popen[str], holding: str) -> str:
    """Wait for a line on standard error."""
    assert process.stderr is not None
    seen = []
    for each in process.stderr:
        seen.append(each)
        if holding in each:
            return each
    raise AssertionError("".join(seen))


def stop(process: subprocess.Popen[str], within: float) -> None:
    begun = time.monotonic()
    process.terminate()
    assert process.wait(30) == 0
    assert time.monotonic() - begun < within


def idle(tmp_path: Path) -> list[str]:
    (tmp_path / "biobot.toml").write_text('[schedule]\nevery = "24h"\n[filters]\nrequired = []\n')
    return ["biobot", "--config", str(tmp_path / "biobot.toml"), "run"]


def test_the_idle_daemon_is_small_and_stops_at_once(tmp_path: Path, start: Start) -> None:
    process = start(*idle(tmp_path))
    line(process, "the next slot is")
    time.sleep(1)
    if sys.platform == "linux":
        rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        pss = next(int(each.split()[1]) for each in rollup.splitlines() if each.startswith("Pss:"))
        assert pss < 60 * 1024
        maps = Path(f"/proc/{process.pid}/maps").read_text()
        assert "torch" not in maps
        assert "numpy" not in maps
    stop(process, 3)


def test_the_daemon_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'numpy', 'rich', 'starlette'} & {name.split('.')[0] for name in sys.modules}"
    script = f"import sys; import biobot.daemon, biobot.networks.x.client, biobot.rehearsal.network; print({heavy})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_daemon_that_posts_to_bluesky_stays_small() -> None:
    script = """
import sys
import biobot.daemon, biobot.networks.bluesky.client
from apscheduler.schedulers.background import BackgroundScheduler
from datetime import UTC, datetime
from biobot.networks.bluesky.record import record
BackgroundScheduler(timezone=UTC).start()
assert record("The cat is on the mat, and it is my cat: see example.com", datetime.now(UTC))["langs"] == ["en"]
assert not {"fasttext", "numpy", "tweepy", "wcwidth", "torch"} & set(sys.modules), sorted(sys.modules)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS")))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 42 * 1024


def test_f5_the_second_daemon_says_who_holds_the_home(tmp_path: Path, start: Start) -> None:
    first = start(*idle(tmp_path))
    line(first, "the next slot is")
    second = start(*idle(tmp_path))
    assert second.wait(30) == 1
    assert f"the daemon (pid {first.pid}" in line(second, "holds")
    assert locks.holder(tmp_path / "state", locks.DAEMON) is not None


def test_systemd_is_told_of_readiness_and_life_and_the_end(tmp_path: Path, start: Start) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(30)
        process = start(*idle(tmp_path), NOTIFY_SOCKET=str(tmp_path / "notify"))
        assert channel.recv(100) == b"READY=1"
        assert channel.recv(100) == b"WATCHDOG=1"
        stop(process, 3)
        while (said := channel.recv(100)) != b"STOPPING=1":
            assert said == b"WATCHDOG=1"


def test_f52_an_outbox_that_is_deleted_under_the_daemon_ends_it_with_one_line(tmp_path: Path, start: Start) -> None:
    process = start(*idle(tmp_path))
    line(process, "the next slot is")
    (tmp_path / "state" / "outbox.db").unlink()
    assert process.wait(30) == 1
    assert process.stderr is not None
    (said,) = process.stderr.read().splitlines()
    assert said.startswith("biobot: ")
    assert "outbox.db was replaced or deleted while it was in use" in said


@pytest.mark.parametrize("fault", ["timeout-after", "slow-drip"])
def test_f18_a_post_under_way_gets_its_grace_and_is_unconfirmed_then(tmp_path: Path, start: Start, fault: str) -> None:
    with FakeX(lambda: datetime.now(UTC)) as fake:
        (tmp_path / "biobot.toml").write_text(SETTINGS.format(address=fake.address))
        fake.fault(fault, seconds=60)
        process = start("tests.daemon.one", str(tmp_path), "1.5")
        deadline = time.monotonic() + 30
        while not _sending(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.05)
        begun = time.monotonic()
        stop(process, 3.5)
        assert time.monotonic() - begun > 1.4
        with Outbox(tmp_path / "state" / "outbox.db", "rehearsal", read_only=True) as outbox:
            assert not outbox.posts(State.SENDING)
            assert len(outbox.posts(State.UNCONFIRMED)) == 1


def _sending(folder: Path) -> bool:
    path = folder / "state" / "outbox.db"
    with Outbox(path, "rehearsal", read_only=True) as outbox:
        return bool(outbox.posts(State.SENDING))


def test_a_network_that_hangs_holds_nobody_up_and_does_not_keep_the_daemon_from_stopping(
    tmp_path: Path, start: Start
) -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, FakeX(lambda: datetime.now(UTC)) as fake:
        both = SETTINGS.format(address=fake.address).replace("[post]", '[post]\nnetworks = ["bluesky", "rehearsal"]')
        service = f'[bluesky]\nservice = "http://127.0.0.1:{silent.getsockname()[1]}"\ntimeout = "1h"\n'
        (tmp_path / "biobot.toml").write_text(both + service)
        secrets = {"BIOBOT_BLUESKY_HANDLE": "a.test", "BIOBOT_BLUESKY_APP_PASSWORD": "a-password"}
        process = start("tests.daemon.one", str(tmp_path), "0", **secrets)
        for _ in range(4):
            line(process, "posted")
        with Outbox(tmp_path / "state" / "outbox.db", "rehearsal", read_only=True) as outbox:
            late = [row.posted - row.slot for row in outbox.posts(State.POSTED) if row.posted and row.slot]
        assert len(late) >= 4
        assert max(late[1:]) < timedelta(seconds=2.5), "it is posted a second after its slot, not an hour"
        stop(process, 3)


def test_it_goes_on_where_it_was(tmp_path: Path, start: Start) -> None:
    with FakeX(lambda: datetime.now(UTC)) as fake:
        (tmp_path / "biobot.toml").write_text(SETTINGS.format(address=fake.address))
        for _ in range(2):
            process = start("tests.daemon.one", str(tmp_path))
            line(process, "posted")
            line(process, "posted")
            stop(process, 3)
        tweets = fake.report()["posts"]
        assert len({tweet["text"] for tweet in tweets}) == len(tweets) >= 4
        with Outbox(tmp_path / "state" / "outbox.db", "rehearsal", read_only=True) as outbox:
            assert len(outbox.posts(State.POSTED)) == len(tweets)
