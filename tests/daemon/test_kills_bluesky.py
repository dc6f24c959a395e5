"""On Bluesky every slot has exactly one record, whenever the daemon is killed and wherever a connection is cut."""

from __future__ import annotations

import random
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from biobot.posting.post import State
from tests.daemon.test_kills import Victim
from tests.networks.bluesky_hosts import FakeHost, Host, PdsHost

POINTS = ["locked", "claimed", "unanswered", "answered", "settled", "repeated"]
SETTINGS = """
[schedule]
every = "1s"
timezone = "UTC"
[post]
network = "bluesky"
[post.budget]
posts_per_day = 1000000
[bluesky]
service = "{address}"
timeout = "2s"
"""


class Cutter:
    """A proxy that cuts some connections of posts: before the request has passed, after it, or amid the answer.

    Of other calls it cuts none, since the bot waits a minute after one, and no post can be lost or doubled by that.
    """

    def __init__(self, address: str, odds: float, seed: int) -> None:
        url = urlsplit(address)
        self.there, self.odds, self.draw, self.cuts = (str(url.hostname), url.port or 80), odds, random.Random(seed), 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self.listener.accept()[0],), daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        with caller, suppress(OSError), socket.create_connection(self.there) as server:
            caller.settimeout(5)
            while request := _message(caller):
                cuts = b"putRecord" in request[:200] and self.draw.random() < self.odds
                where = self.draw.choice(["before", "after", "amid"]) if cuts else ""
                self.cuts += bool(where)
                if where == "before":
                    server.sendall(request[:-1])
                    break
                server.sendall(request)
                if where == "after":
                    time.sleep(self.draw.choice([0, 0.002, 0.01, 0.05]))
                    break
                answer = _message(server)
                if where == "amid":
                    caller.sendall(answer[: len(answer) // 2])
                    break
                caller.sendall(answer)
            if self.draw.random() < 0.5:
                caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _message(connection: socket.socket) -> bytes:
    """Read one request or answer, whole; nothing at the end."""
    data = b""
    while True:
        head, blank, body = data.partition(b"\r\n\r\n")
        if blank:
            lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            if len(body) >= int(lengths[0].partition(b":")[2] if lengths else 0) and b"chunked" not in head.lower():
                return data
            if b"chunked" in head.lower() and body.endswith(b"0\r\n\r\n"):
                return data
        more = connection.recv(65536)
        if not more:
            return b""
        data += more


class BlueskyVictim(Victim):
    """A daemon that posts to Bluesky."""

    network = "bluesky"

    def __init__(self, folder: Path, host: Host, address: str) -> None:
        self.host, self.address = host, address
        names = {
            "BIOBOT_BLUESKY_HANDLE": host.account.handle,
            "BIOBOT_BLUESKY_APP_PASSWORD": host.account.app_password,
        }
        (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in names.items()))
        (folder / ".env").chmod(0o600)
        super().__init__(folder, self, SETTINGS)  # type: ignore[arg-type]

    def verdict(self) -> Counter[str]:
        """Check that rows and records are the same, one to one."""
        with self.outbox() as outbox:
            rows = outbox.posts()
        records = self.host.records()
        texts = Counter(each["value"]["text"] for each in records)
        assert max(texts.values()) == 1, "a text was posted twice"
        owners = Counter(row.remote_id for row in rows if row.remote_id)
        assert owners == Counter(each["uri"] for each in records), "a record that no row accounts for, or the reverse"
        states = Counter(row.state for row in rows)
        assert not states[State.UNCONFIRMED], "a fate is unknown after a start"
        assert not states[State.SENDING]
        assert states[State.POSTED] == len(records)
        return self.accounts(rows, len(records))


@pytest.fixture(params=["fake", "pds"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    if request.param == "pds":
        yield PdsHost(request.getfixturevalue("pds"))
        return
    fake = FakeHost()
    fake.fake.limits = False  # hundreds of daemons in a few minutes
    yield fake
    fake.fake.stop()


@pytest.mark.parametrize("kills", [20, pytest.param(300, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])])
def test_killed_at_random_moments_and_cut_off_every_slot_has_exactly_one_record(
    host: Host, tmp_path: Path, kills: int
) -> None:
    draw = random.Random(kills)
    cutter = Cutter(host.address, 0.5, kills)
    victim = BlueskyVictim(tmp_path, host, cutter.address)
    for number in range(kills):
        if number % 2:
            victim.die_at(draw.choice(POINTS[:2] + POINTS[3:5]), draw.randrange(2))
        else:
            victim.die_after(draw.uniform(0.2, 1.2))
    cutter.odds = 0
    victim.recover()
    summary = victim.verdict()
    victim.close()
    cutter.close()
    assert summary["kills"] == kills
    assert cutter.cuts > kills / 10
    assert summary["on_the_network"] > kills / 10
    sys.stdout.write(f"\n{type(host).__name__}: {dict(summary)}, {cutter.cuts} connections cut\n")
