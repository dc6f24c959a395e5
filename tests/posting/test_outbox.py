"""The outbox: every change is one of the table's, once, audited, and on disk or not at all."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from biobot.errors import OutboxError
from biobot.posting import bot_state, transitions
from biobot.posting import outbox as module
from biobot.posting.bot_state import BotState
from biobot.posting.budget import Budget, BudgetSpent
from biobot.posting.notices import problems
from biobot.posting.outbox import Outbox, Taken
from biobot.posting.post import Draft, Post, State
from biobot.settings import BudgetSettings, PostSettings

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
SLOT = datetime(2026, 11, 22, 20, tzinfo=UTC)
FREE: dict[str, Any] = {"review": False, "charge": lambda _: None}


@pytest.fixture
def outbox(home: Path) -> Iterator[Outbox]:
    with Outbox(home / "outbox.db", "x") as opened:
        yield opened


def added(outbox: Outbox, text: str = "hello", slot: datetime | None = SLOT, state: State = State.APPROVED) -> Post:
    row = outbox.add([Draft(text, slot)], state, NOW)[0]
    assert row is not None
    return row


def test_f6_a_slot_belongs_to_one_row_until_it_is_released(outbox: Outbox) -> None:
    first = added(outbox)
    assert outbox.add([Draft("another", SLOT)], State.APPROVED, NOW) == [None]
    transitions.reject(outbox, first.id, NOW)
    assert outbox.add([Draft("another", SLOT)], State.APPROVED, NOW) != [None]
    assert outbox.tries(SLOT) == 1


def test_a_refused_text_releases_its_slot_and_never_comes_back(outbox: Outbox) -> None:
    post = added(outbox, "a text", SLOT).id
    transitions.claim(outbox, post, NOW, **FREE)
    transitions.refuse(outbox, post, NOW, "duplicate")
    assert outbox.at(SLOT) is None
    assert outbox.add([Draft("A  TEXT")], State.APPROVED, NOW) == [None]


def test_a_post_that_was_given_up_keeps_its_slot(outbox: Outbox) -> None:
    post = added(outbox)
    transitions.claim(outbox, post.id, NOW, **FREE)
    transitions.lose_track(outbox, post.id, NOW, "?")
    transitions.give_up(outbox, outbox.get(post.id), NOW, "gone")
    assert outbox.add([Draft("another", SLOT)], State.APPROVED, NOW) == [None]


def test_texts_that_look_the_same_are_the_same(outbox: Outbox) -> None:
    added(outbox, "Baker, café owner", None)
    assert outbox.add([Draft("BАKER,  cafe owner")], State.APPROVED, NOW) == [None]  # with a Cyrillic А
    other = added(outbox, "something else", None)
    with pytest.raises(Taken):
        transitions.edit(outbox, other.id, "baker, café owner", NOW)
    assert outbox.get(other.id).text == "something else"


def test_a_stale_revision_changes_nothing(outbox: Outbox) -> None:
    row = added(outbox, state=State.HELD)
    transitions.edit(outbox, row.id, "changed meanwhile", NOW)
    with pytest.raises(OutboxError, match="has changed since"):
        transitions.approve(outbox, row.id, NOW, rev=row.rev)
    assert outbox.get(row.id).state is State.HELD


def test_f12_with_review_on_nothing_is_claimed_that_no_person_approved(outbox: Outbox) -> None:
    row = added(outbox)
    with pytest.raises(OutboxError, match="no person has approved"):
        transitions.claim(outbox, row.id, NOW, review=True, charge=lambda _: None)
    assert outbox.get(row.id).state is State.APPROVED
    transitions.hold(outbox, row.id, NOW)
    transitions.approve(outbox, row.id, NOW)
    assert transitions.claim(outbox, row.id, NOW, review=True, charge=lambda _: None).state is State.SENDING


def test_only_one_of_many_claims_the_same_row(home: Path) -> None:
    with Outbox(home / "outbox.db", "x") as outbox:
        post = added(outbox).id
    won: list[int] = []

    def claim() -> None:
        with Outbox(home / "outbox.db", "x") as mine:
            try:
                transitions.claim(mine, post, NOW, **FREE)
                won.append(1)
            except OutboxError:
                pass

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert won == [1]


def test_rows_swap_their_slots(outbox: Outbox) -> None:
    later = SLOT + timedelta(hours=6)
    first, second = added(outbox, "one", SLOT), added(outbox, "two", later)
    outbox.assign_slot(SLOT, second.id, NOW)
    assert (outbox.get(first.id).slot, outbox.get(second.id).slot) == (later, SLOT)
    outbox.assign_slot(None, second.id, NOW)
    assert outbox.at(SLOT) is None


def test_f44_the_outbox_belongs_to_one_account(outbox: Outbox) -> None:
    row = added(outbox)
    outbox.claim_account("77", NOW)
    assert outbox.get(row.id).account == "77"
    outbox.claim_account("77", NOW)
    with pytest.raises(OutboxError, match=r"belong to account 88.*this outbox to account 77"):
        outbox.claim_account("88", NOW)


def test_f15_a_full_disk_is_said_and_leaves_nothing_half_done(outbox: Outbox) -> None:
    row = added(outbox)
    ((pages,),) = outbox.ask("PRAGMA page_count")
    outbox.ask(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(OutboxError, match=r"does not fit on the disk; free some space"):
        outbox.add([Draft("x" * 9000)], State.APPROVED, NOW)
    outbox.ask("PRAGMA max_page_count = 1000000")
    assert outbox.posts() == [row]
    assert transitions.claim(outbox, row.id, NOW, **FREE).state is State.SENDING


def test_reading_makes_and_changes_nothing(home: Path) -> None:
    with Outbox(home / "none" / "outbox.db", "x", read_only=True) as empty:
        assert empty.posts() == []
    assert not (home / "none").exists()
    with Outbox(home / "outbox.db", "x") as outbox:
        added(outbox)
    before = (home / "outbox.db").read_bytes()
    with Outbox(home / "outbox.db", "x", read_only=True) as reader:
        assert len(reader.posts()) == 1
        with pytest.raises(OutboxError):
            transitions.reject(reader, 1, NOW)
    assert (home / "outbox.db").read_bytes() == before


def test_an_outbox_of_the_first_version_keeps_its_rows_and_the_bots_state(home: Path) -> None:
    path, hour = home / "outbox.db", timedelta(hours=1)
    with closing(sqlite3.connect(path)) as db:
        db.executescript(Path(__file__).with_name("outbox-1.sql").read_text(encoding="utf-8"))
        before = db.execute("SELECT id, text, slot, seed, created, posted, remote_id FROM post").fetchall()
    with Outbox(path, "x") as outbox:
        assert outbox.ask("SELECT id, text, slot, seed, created, posted, remote_id FROM post") == before
        assert bot_state.read(outbox) == BotState(
            paused=NOW,
            blocked="X refused (suspended, HTTP 403): the account is suspended",
            wait_until=NOW + hour,
            wait_reason="X refused (rate-limit, HTTP 429): Too Many Requests",
            strike="rate-limit",
            strikes=2,
            resumed=NOW - hour,
            accounted=NOW,
            schedule="6:00:00 None () local",
            restored=None,
        )
        assert outbox.account == "77"
        assert problems(outbox) == {"drafts": "drawing bios took longer than 30 s"}
        assert outbox.refused() == {"length": 10, "dedupe": 3}
        rows = {row.text: row for row in outbox.posts()}
        alike = ("held", "approved", "rejected", "posted", "deleted", "sending", "unconfirmed")
        assert all(rows[name].state == name for name in alike)
        assert (rows["unconfirmed"].reconcile_misses, rows["unconfirmed"].attempted) == (1, NOW)
        assert {text: (row.state, row.look_from) for text, row in rows.items() if row.in_doubt} == {
            "unconfirmed": (State.UNCONFIRMED, NOW),
            "given up": (State.FAILED, NOW),
            "sent again, waits": (State.APPROVED, NOW),
            "sent again, rejected": (State.UNCONFIRMED, NOW),  # it may be on the network, and was off the books
            "sent again, refused": (State.UNCONFIRMED, NOW),
        }
        assert outbox.audit(rows["sent again, rejected"].id)[-1].state == "unconfirmed"


def test_an_older_outbox_is_brought_up_to_date_and_a_copy_put_aside(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = home / "outbox.db"
    with Outbox(path, "x") as outbox:
        row = added(outbox)
    steps = module.migrations()
    monkeypatch.setattr(module, "migrations", lambda: [*steps, "ALTER TABLE post ADD COLUMN mood TEXT;"])
    with Outbox(path, "x", read_only=True) as reader:
        assert reader.get(row.id) == row
    backup_of = home / f"outbox.db.{len(steps)}.backup"
    assert not backup_of.exists()
    with Outbox(path, "x") as outbox:
        assert outbox.get(row.id) == row
        assert outbox.ask("SELECT mood FROM post") == [(None,)]
    with closing(sqlite3.connect(backup_of)) as backup:
        assert backup.execute("SELECT text FROM post").fetchall() == [("hello",)]
    monkeypatch.undo()
    with pytest.raises(OutboxError, match="newer biobot"):
        Outbox(path, "x")


def test_a_migration_that_fails_changes_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = home / "outbox.db"
    with Outbox(path, "x") as outbox:
        added(outbox)
    steps = module.migrations()
    monkeypatch.setattr(module, "migrations", lambda: [*steps, "CREATE TABLE a (b);\nCREATE TABLE post (c);"])
    with pytest.raises(OutboxError, match="table post already exists"):
        Outbox(path, "x")
    monkeypatch.undo()
    with Outbox(path, "x") as outbox:
        assert len(outbox.posts()) == 1
        assert outbox.ask("SELECT name FROM sqlite_master WHERE name = 'a'") == []


def test_a_file_that_is_no_outbox_is_named(home: Path) -> None:
    (home / "outbox.db").write_bytes(b"not a database, by any means" * 100)
    for read_only in (False, True):
        with pytest.raises(OutboxError, match=r"outbox\.db is no SQLite database"):
            Outbox(home / "outbox.db", "x", read_only=read_only)


def test_old_stories_are_forgotten_and_posts_are_not(outbox: Outbox) -> None:
    post = added(outbox, "a text", None).id
    transitions.claim(outbox, post, NOW, **FREE)
    transitions.confirm(outbox, post, "7", NOW)
    waiting = added(outbox, "waits")
    outbox.skip([SLOT + timedelta(days=1)], "nothing", NOW)
    outbox.prune(NOW + timedelta(days=1))
    assert outbox.audit(post) == []
    assert [row.id for row in outbox.posts()] == [post, waiting.id]
    assert len(outbox.audit(waiting.id)) == 1


# -- the books ---------------------------------------------------------------------------------------


def test_a_post_over_the_budget_is_not_claimed(outbox: Outbox) -> None:
    settings = PostSettings(budget=BudgetSettings(posts_per_day=2, usd_per_month=5.0))
    budget = Budget(outbox, settings)
    for number in range(3):
        row = added(outbox, f"text {number}", None)
        if number < 2:
            transitions.claim(outbox, row.id, NOW, review=False, charge=budget.charge(row.id, "post", NOW))
    with pytest.raises(BudgetSpent, match=r"the day's budget of 2 posts is used up.*next at 2026-11-23 00:00:00 UTC"):
        transitions.claim(outbox, row.id, NOW, review=False, charge=budget.charge(row.id, "post", NOW))
    assert outbox.get(row.id).state is State.APPROVED
    tomorrow = NOW + timedelta(hours=7)
    transitions.claim(outbox, row.id, tomorrow, review=False, charge=budget.charge(row.id, "post", tomorrow))


def test_a_claim_that_is_refused_is_not_paid(outbox: Outbox) -> None:
    budget = Budget(outbox, PostSettings())
    row = added(outbox, state=State.HELD)
    for rev in (row.rev, row.rev + 1):
        with pytest.raises(OutboxError):
            transitions.claim(outbox, row.id, NOW, review=False, charge=budget.charge(row.id, "post", NOW), rev=rev)
    assert (budget.month_spend(NOW), budget.posts_on(NOW)) == (0, 0)


def test_reads_and_posts_share_the_months_dollars_and_refusals_cost_nothing(outbox: Outbox) -> None:
    settings = PostSettings(budget=BudgetSettings(posts_per_day=99, usd_per_month=0.25))
    budget = Budget(outbox, settings)
    assert budget.record("read_user", 2, NOW) == pytest.approx(0.02)
    row = added(outbox, "with a link", None)
    transitions.claim(outbox, row.id, NOW, review=False, charge=budget.charge(row.id, "post_with_url", NOW))
    assert budget.month_spend(NOW) == pytest.approx(0.22)
    other = added(outbox, "another", None)
    with pytest.raises(BudgetSpent, match=r"month's budget of \$0\.25.*next at 2026-12-01 00:00:00 UTC"):
        transitions.claim(outbox, other.id, NOW, review=False, charge=budget.charge(other.id, "post_with_url", NOW))
    budget.record("read_user", 1, NOW)  # another process, during the call
    transitions.refuse(outbox, row.id, NOW, "no")
    assert budget.month_spend(NOW) == pytest.approx(0.03)
    assert budget.left(NOW).until is None
    assert budget.month_spend(NOW + timedelta(days=9)) == 0
    with Outbox(outbox.path, "rehearsal") as rehearsed:
        assert Budget(rehearsed, settings).month_spend(NOW) == 0
