"""Collecting from a fake X that was written from X's documentation alone: everybody is stored, and paid for once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from biobot.corpus.store import Store
from biobot.networks.errors import Refused
from tests.collect.documented import LIMITS, DocumentedX
from tests.collect.people import World
from tests.collect.test_collect import Stage, public, through_kills

TOKEN = "AAAAAAAAAAAAAAAAAAAAAdocumented"


@pytest.fixture
def stage(tmp_path: Path, bot: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    folder = bot("")
    monkeypatch.setenv("BIOBOT_X_BEARER_TOKEN", TOKEN)
    stage: Stage
    with DocumentedX(World.invent(3000, seed=3), lambda: stage.now, TOKEN) as x:
        stage = Stage(x.world, x, folder)
        yield stage
        assert not x.crashes


def x_of(stage: Stage) -> DocumentedX:
    assert isinstance(stage.fake, DocumentedX)
    return stage.fake


def test_every_source_is_read_over_short_and_empty_pages_in_trouble(stage: Stage) -> None:
    x = x_of(stage)
    x.trouble = 0.2
    one, two, three = (public(stage, place) for place in range(3))
    x.world.followers[one] = stage.ids[10:1500]
    x.world.following |= {two: stage.ids[1400:1700], three: []}
    x.world.lists[77] = stage.ids[1700:2000]
    authors = [stage.ids[2000 + number % 50] for number in range(130)]
    x.world.posts = [(10**6 + number, author, "Fresh coffee") for number, author in enumerate(authors)]
    (stage.folder / "ids.txt").write_text("\n".join(map(str, stage.ids[2100:2350])), encoding="utf-8")
    handle = x.world.users[one].handle.upper()
    stage.configure(
        f'followers = ["@{handle}"]\nfollowing = ["{two}", "{three}"]\n'
        'lists = ["77"]\nids = ["ids.txt"]\nsearch = ["coffee"]'
    )
    tally, end = stage.collect()
    everyone = [one, *stage.ids[10:2050], *stage.ids[2100:2350]]
    assert end.why == "every source was read"
    assert stage.stored() == stage.may_be_stored(everyone)
    assert x.usd == pytest.approx(stage.world.usd)
    assert tally.usd <= stage.world.usd + 1e-9


def test_people_who_start_to_follow_meanwhile_hide_nobody(stage: Stage) -> None:
    x, one = x_of(stage), public(stage, 0)
    x.world.followers[one] = stage.ids[100:2500]
    x.arrivals[one] = stage.ids[50:60]
    stage.configure(f'followers = ["{one}"]')
    stage.collect()
    assert stage.may_be_stored(stage.ids[100:2500]).items() <= stage.stored().items()


def test_a_protected_a_missing_and_a_suspended_source_are_given_up_and_the_others_read(stage: Stage) -> None:
    x = x_of(stage)
    hidden, gone, suspended = (public(stage, place) for place in range(3))
    x.world.users[hidden].protected = True
    x.world.users[gone].deleted = True
    x.world.users[suspended].suspended = True
    x.world.lists[77] = stage.ids[10:50]
    handle = x.world.users[suspended].handle
    stage.configure(f'lists = ["1", "77"]\nfollowers = ["{hidden}", "{gone}", "@{handle}", "@nobody_at_all"]')
    _, end = stage.collect()
    assert end.why == "every source was read, 5 sources given up"
    assert stage.stored() == stage.may_be_stored(stage.ids[10:50])


def test_an_exhausted_window_is_waited_for_as_the_headers_say(stage: Stage) -> None:
    x = x_of(stage)
    x.limits = {**LIMITS, "members": 2}
    x.world.lists[77] = stage.ids[:300]
    stage.configure('lists = ["77"]')
    stage.collect()
    assert stage.stored() == stage.may_be_stored(stage.ids[:300])
    assert stage.waits
    assert all(timedelta(minutes=14) < wait <= timedelta(minutes=15) for wait in stage.waits)


def test_tokens_that_have_expired_start_a_source_again_without_doubles(stage: Stage) -> None:
    x = x_of(stage)
    x.world.lists[77] = stage.ids[:500]
    stage.configure('lists = ["77"]')
    stage.collect(limit=150)
    x.tokens.clear()
    stage.collect()
    assert stage.stored() == stage.may_be_stored(stage.ids[:500])
    assert stage.world.usd == pytest.approx(5.0)


def test_a_recheck_removes_who_is_gone_and_updates_who_has_changed(stage: Stage) -> None:
    x = x_of(stage)
    x.world.lists[77] = stage.ids[:250]
    stage.configure('lists = ["77"]')
    stage.collect()
    deleted, suspended, hidden, changed = list(stage.stored())[:4]
    x.world.users[deleted].deleted = x.world.users[suspended].suspended = x.world.users[hidden].protected = True
    x.world.users[changed].bio = "another & better <bio>"
    stage.now += timedelta(days=1)
    tally, _ = stage.recheck()
    left = [each for each in stage.ids[:250] if each not in (deleted, suspended, hidden)]
    assert stage.stored() == stage.may_be_stored(left)
    assert (tally.removed, tally.updated, tally.unanswered) == (3, 1, 0)


def test_a_revoked_token_ends_the_run_and_keeps_what_came(stage: Stage) -> None:
    x = x_of(stage)
    x.world.lists[77] = stage.ids[:300]
    stage.configure('lists = ["77"]')
    stage.collect(limit=100)
    before = stage.stored()
    x.token = "another"
    with pytest.raises(Refused, match="revoked"):
        stage.collect()
    assert stage.stored() == before


def test_loses_nobody_and_pays_for_nobody_twice_through_kills_and_trouble(stage: Stage) -> None:
    x_of(stage).trouble = 0.02
    through_kills(stage, people=2000, kills=4, pages=4)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_collects_fifty_thousand_people_of_the_documented_x_through_two_hundred_kills(stage: Stage) -> None:
    x = x_of(stage)
    x.trouble = 0.01
    x.world.users.update(World.invent(50_000, seed=2).users)
    x.world.users = dict(list(x.world.users.items())[:50_000])
    through_kills(stage, people=50_000, kills=200, pages=3)
    with Store(stage.config.home / "corpus.db") as store:
        assert store.db.execute("SELECT count(*) FROM source WHERE state != 'done'").fetchone() == (0,)
