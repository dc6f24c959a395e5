"""Likes of own posts are read once a day, cost nothing by surprise, and are a weak hint to the taste at most."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from biobot.networks.errors import Unknown
from biobot.networks.network import Engagement
from biobot.posting import bot_state, engagement
from biobot.posting.notices import problems
from biobot.posting.post import Post, State, stamp
from tests.posting.world import World

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, {"post": {"network": "mastodon"}, "mastodon": {"server": "https://example.org"}})


def like(world: World, *counts: int) -> list[Post]:
    """Let the posts have so many likes, the oldest first."""
    rows = world.rows(State.POSTED)
    for row, likes in zip(rows, counts, strict=False):
        world.net.liked[row.remote_id or ""] = Engagement(likes, 1, 2)
    return rows


def test_they_are_read_once_a_day_all_at_once(world: World) -> None:
    world.run(DAY)
    reads = len(world.net.counted)
    assert reads <= 2
    rows = like(world, 5, 0, 7)
    world.run(2 * DAY)
    assert len(world.net.counted) == reads + 2
    assert len(world.net.counted[-1]) > 8
    found = engagement.of_posts(world.outbox, [row.id for row in rows[:3]])
    assert found == {rows[0].id: Engagement(5, 1, 2), rows[1].id: Engagement(0, 1, 2), rows[2].id: Engagement(7, 1, 2)}
    totals = engagement.totals(world.outbox)["mastodon"]
    assert (totals.likes, totals.reposts, totals.replies) == (12, 3, 6)
    assert [row.id for row, _ in engagement.best(world.outbox, 2)] == [rows[2].id, rows[0].id]


def test_a_restart_does_not_read_them_again(world: World) -> None:
    world.run(36 * HOUR)
    reads = len(world.net.counted)
    world.stop()
    world.start()
    world.run(HOUR)
    assert len(world.net.counted) == reads


def test_posts_that_are_gone_or_old_are_not_counted(world: World) -> None:
    world.run(DAY)
    first = like(world, 9)[0]
    world.run(DAY)
    world.poster.undo(first.id)
    world.run(DAY)
    assert first.remote_id not in world.net.counted[-1]
    assert engagement.totals(world.outbox)["mastodon"].likes == 0
    world.outbox.ask("UPDATE post SET posted = '2026-10-01T00:00:00.000Z' WHERE id % 2 = 0 AND posted IS NOT NULL")
    counted = engagement.recent(world.outbox, world.now)
    assert counted
    assert all(row.id % 2 for row in counted)


def test_a_failure_is_no_problem_and_tomorrow_will_do(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Any) -> Any:
        world.net.counted.append([])
        raise Unknown("no answer")

    monkeypatch.setattr(world.net, "engagement", fail)
    world.run(2 * DAY)
    assert 2 <= len(world.net.counted) <= 3
    assert problems(world.outbox) == {}
    assert len(world.rows(State.POSTED)) > 6


def test_a_paused_bot_reads_nothing(world: World) -> None:
    world.run(6 * HOUR)
    bot_state.pause(world.outbox, world.now)
    reads = len(world.net.counted)
    world.run(3 * DAY)
    assert len(world.net.counted) == reads


def test_where_reading_costs_money_the_budget_bounds_it(tmp_path: Path) -> None:
    world = World(
        tmp_path, {"post": {"budget": {"posts_per_day": 99, "usd_per_month": 1.0}}}
    )  # the rehearsal has prices
    world.run(DAY)
    budget = world.poster.budget
    spent = budget.month_spend(world.now)
    before = len(world.net.counted)
    limits = replace(budget.settings.budget, usd_per_month=spent + 0.0025)
    budget.settings = replace(budget.settings, budget=limits)
    assert engagement.read(world.net, world.outbox, budget, world.now) == 2
    assert len(world.net.counted[before]) == 2
    assert budget.month_spend(world.now) == pytest.approx(spent + 0.002)
    assert engagement.read(world.net, world.outbox, budget, world.now) == 0
    assert len(world.net.counted) == before + 1


def test_reactions_are_weak_marks_by_rank_once_they_have_settled(world: World) -> None:
    world.run(DAY)
    like(world, 3, 0, 100, 1)
    world.run(HOUR)
    assert not engagement.weak_marks(world.outbox)
    world.run(4 * DAY)
    marks = dict(engagement.weak_marks(world.outbox))
    texts = [row.text or "" for row in world.rows(State.POSTED)[:4]]
    assert 1.0 < marks[texts[1]] < marks[texts[3]] < marks[texts[0]] < marks[texts[2]] == 2.0
    assert min(marks.values()) == 1.0


def test_weak_marks_are_off_by_default_and_a_persons_word_outweighs_them(world: World) -> None:
    from biobot.worker.known import decisions

    world.run(4 * DAY)
    assert decisions(world.config) == []
    taste = replace(world.config.settings.taste, engagement="on")
    config = replace(world.config, settings=replace(world.config.settings, taste=taste))
    found = decisions(config)
    assert found
    assert {each.source for each in found} == {"engagement"}
    text = found[0].candidate.text
    world.outbox.ask("UPDATE post SET approved_by = 'person' WHERE text = ?", text)
    (only,) = [each for each in decisions(config) if each.candidate.text == text]
    assert (only.source, only.value) == ("approve", 2.0)


def test_a_post_that_the_server_made_twice_is_told(world: World) -> None:
    world.net.key_lasts = timedelta(minutes=50)
    world.run(6 * HOUR)
    row = world.rows(State.POSTED)[0]
    world.net.add(row.text or "")
    world.run(2 * DAY)
    assert "doubled" not in problems(world.outbox)  # it was sent once: somebody else posted the other
    world.outbox.ask("UPDATE audit SET reason = 'sent again under its key' WHERE post = ? AND state = 'posted'", row.id)
    world.outbox.ask("UPDATE post SET posted = (SELECT max(posted) FROM post) WHERE id = ?", row.id)
    world.run(DAY)
    said = problems(world.outbox)["doubled"]
    assert f"post {row.id} as {row.remote_id} and as " in said
    world.net.tweets = [each for each in world.net.tweets if each.id == row.remote_id or each.text != row.text]
    world.run(DAY)
    assert "doubled" not in problems(world.outbox)


def test_the_sums_are_kept_and_cost_the_same_however_many_posts_there_are(world: World) -> None:
    world.run(DAY)
    like(world, 5, 0, 7)
    world.run(2 * DAY)
    first, *_ = like(world, 6, 0, 7)
    world.run(2 * DAY)
    world.poster.undo(first.id)
    counted = world.outbox.ask(
        "SELECT count(*), sum(likes), sum(reposts), sum(replies) FROM engagement JOIN post ON id = post "
        "WHERE state = 'posted'"
    )
    totals = engagement.totals(world.outbox)["mastodon"]
    assert [(totals.posts, totals.likes, totals.reposts, totals.replies)] == counted
    few = steps(world)
    world.outbox.add_posted([(f"post {number}", world.now, f"more-{number}") for number in range(3000)])
    with world.outbox.transaction() as db:
        now = stamp(world.now)
        more = "SELECT id, ?, 1, 1, 1 FROM post WHERE remote_id LIKE 'more-%'"
        db.execute(f"INSERT INTO engagement {more}", (now,))
    assert engagement.totals(world.outbox)["mastodon"].posts == totals.posts + 3000
    assert steps(world) == few


def steps(world: World) -> int:
    """Count the instructions of SQLite's machine that the sums take."""
    made = 0

    def count() -> int:
        nonlocal made
        made += 1
        return 0

    world.outbox._db.set_progress_handler(count, 1)
    engagement.totals(world.outbox)
    engagement.last_read(world.outbox)
    world.outbox._db.set_progress_handler(None, 1)
    return made
