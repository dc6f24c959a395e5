"""On Mastodon no kill and no lost answer doubles a post; the fakes of its versions are the judges."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from biobot.rehearsal.mastodon import TOKEN, FakeMastodon
from tests.daemon.test_kills import Victim

POINTS = ["locked", "claimed", "answered", "settled"]
SERVERS = ["4.5", "4.6", "4.7.2", "none"]
LOST = ["reset-after", "html-502-after", "html-503", "reset-before", "half-body"]
SETTINGS = """
[schedule]
every = "1s"
timezone = "UTC"
[post]
network = "mastodon"
reconcile_after = ["300ms", "600ms", "1s", "2s"]
[post.budget]
posts_per_day = 1000000
[mastodon]
server = "{address}"
timeout = "2s"
"""


class MastodonVictim(Victim):
    """A daemon that posts to Mastodon, and what the server was sent."""

    network = "mastodon"

    def __init__(self, folder: Path, fake: FakeMastodon) -> None:
        (folder / ".env").write_text(f"BIOBOT_MASTODON_ACCESS_TOKEN={TOKEN}\n")
        (folder / ".env").chmod(0o600)
        super().__init__(folder, fake, SETTINGS)  # type: ignore[arg-type]


@pytest.fixture
def victim(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MastodonVictim]:
    server: Any = request.param
    # hundreds of daemons in a few minutes; a post takes long enough to be killed or repeated meanwhile
    fake = FakeMastodon(lambda: datetime.now(UTC), tmp_path / "m.db", server=server, limits=False, latency=0.03)
    with fake:
        victim = MastodonVictim(tmp_path, fake)
        yield victim
        victim.close()
        assert not fake.crashes


@pytest.mark.parametrize("victim", SERVERS, indirect=True)
@pytest.mark.parametrize("kills", [20, pytest.param(300, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])])
def test_killed_at_random_moments_and_unanswered_it_never_posts_twice(victim: MastodonVictim, kills: int) -> None:
    draw = random.Random(kills)
    faults = Counter[str]()
    for number in range(kills):
        if number % 4 == 0:
            faults[fault := draw.choice(LOST)] += 1
            victim.fake.fault(fault)
        if number % 2:
            victim.die_at(draw.choice(POINTS), draw.randrange(2))
        else:
            victim.die_after(draw.uniform(0.1, 0.7))
    victim.fake.state.clear_faults()
    victim.recover()
    summary = victim.verdict()
    assert summary["kills"] == kills
    assert summary["on_the_network"] > kills / 10
    assert not summary["unconfirmed"]
    sys.stdout.write(f"\n{victim.fake.server}: {dict(summary)}; {dict(faults)}\n")  # type: ignore[attr-defined]
