"""Collecting over real HTTP from the fake X, whose books are the judge of what was paid for."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from biobot.app import collecting, health, training
from biobot.app.corpus import forget
from biobot.cli import main
from biobot.collect.collector import MAX_EMPTY_PAGES, Step, Tally
from biobot.config import Config, load
from biobot.corpus.readers import Bio
from biobot.corpus.store import Store
from biobot.errors import ConfigError, NetworkError
from biobot.networks.errors import Refused
from biobot.rehearsal.faults import Answer
from biobot.rehearsal.server import KEYS, FakeX, Request
from tests.collect.documented import DocumentedX
from tests.collect.people import User, World

START = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)


@dataclass
class Stage:
    """A fake X full of people, a bot that collects there, and a clock that moves only when somebody waits."""

    world: World
    fake: FakeX | DocumentedX
    folder: Path
    now: datetime = START
    waits: list[timedelta] = field(default_factory=list)

    @property
    def ids(self) -> list[int]:
        return list(self.world.users)

    def configure(self, text: str, *, enabled: bool = True) -> None:
        (self.folder / "biobot.toml").write_text(
            f'[x]\napi_base = "{self.fake.address}"\n[collect]\nenabled = {str(enabled).lower()}\nlimit = 100_000\n'
            f"usd_per_month = 1e6\n{text}",
            encoding="utf-8",
        )

    @property
    def config(self) -> Config:
        return load(self.folder / "biobot.toml")

    def pause(self, wait: timedelta) -> bool:
        if wait:
            self.waits.append(wait)
            self.now += wait
        return False

    def collect(self, **options: float) -> tuple[Tally, Step]:
        return self._last(collecting.collect(self.config, lambda: self.now, self.pause, **options))  # type: ignore[arg-type]

    def recheck(self, **options: float) -> tuple[Tally, Step]:
        return self._last(collecting.recheck(self.config, lambda: self.now, self.pause, **options))  # type: ignore[arg-type]

    @staticmethod
    def _last(steps: Iterator[tuple[Step, Tally]]) -> tuple[Tally, Step]:
        *_, (step, tally) = steps
        return tally, step

    def stored(self) -> dict[int, str]:
        with Store(self.config.home / "corpus.db") as store:
            return {bio.author: bio.text for bio in store.rows() if bio.author is not None}

    def may_be_stored(self, ids: list[int]) -> dict[int, str]:
        users = (self.world.users[number] for number in ids)
        return {user.id: user.bio for user in users if user.bio and not user.protected and not user.withheld}

    @property
    def charged(self) -> float:
        return self.fake.usd if isinstance(self.fake, DocumentedX) else self.fake.state.tally("usd")

    @property
    def faulty(self) -> FakeX:
        assert isinstance(self.fake, FakeX)
        return self.fake

    def calls(self, route: str) -> int:
        rows = self.faulty.state._db.execute("SELECT route, count FROM calls")
        return sum(int(count) for name, count in rows if name == route)


@pytest.fixture
def stage(tmp_path: Path, bot: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    folder = bot("")
    monkeypatch.setenv("BIOBOT_X_BEARER_TOKEN", KEYS.bearer_token)
    world = World.invent(3000, seed=1)
    stage: Stage
    with FakeX(lambda: stage.now, routes=world.routes()) as fake:
        stage = Stage(world, fake, folder)
        yield stage
        assert not fake.crashes


def public(stage: Stage, place: int) -> int:
    """Take a person and make them public."""
    user = stage.world.users[stage.ids[place]]
    user.protected = user.withheld = False
    return user.id


# -- the sources -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "pages"), [("followers", 3), ("following", 3)])
def test_reads_who_follows_and_who_is_followed_by_thousands(stage: Stage, kind: str, pages: int) -> None:
    account = public(stage, 0)
    getattr(stage.world, kind)[account] = stage.ids[1:2502]
    stage.configure(f'{kind} = ["@{stage.world.users[account].handle.upper()}"]')
    tally, end = stage.collect()
    assert stage.stored() == stage.may_be_stored([account, *stage.ids[1:2502]])
    assert stage.calls(kind) == pages
    assert stage.calls("users-by") == 1
    assert end.why == "every source was read"
    assert tally.usd == pytest.approx(stage.world.usd) == pytest.approx(25.02)


def test_reads_the_members_of_a_list_by_hundreds(stage: Stage) -> None:
    stage.world.lists[77] = stage.ids[:250]
    stage.configure('lists = ["77"]')
    stage.collect()
    assert stage.stored() == stage.may_be_stored(stage.ids[:250])
    assert stage.calls("lists") == 3


def test_reads_the_authors_of_a_search_and_pays_for_the_posts_too(stage: Stage) -> None:
    authors = [stage.ids[number % 100] for number in range(250)]
    stage.world.posts = [(10**6 + number, author, "Fresh coffee") for number, author in enumerate(authors)]
    stage.configure('search = ["coffee"]')
    tally, _ = stage.collect()
    assert stage.stored() == stage.may_be_stored(stage.ids[:100])
    assert stage.calls("search") == 3
    assert tally.usd == pytest.approx(stage.world.usd) == pytest.approx(250 * 0.005 + 100 * 0.01)


def test_reads_the_people_of_an_archive_a_hundred_a_request(stage: Stage) -> None:
    people = stage.ids[:250]
    (stage.folder / "follower.js").write_text(
        "window.YTD.follower.part0 = ["
        + ",".join(f'{{"follower": {{"accountId": "{each}"}}}}' for each in people)
        + "]",
        encoding="utf-8",
    )
    stage.configure('ids = ["follower.js"]')
    stage.collect()
    assert stage.stored() == stage.may_be_stored(people)
    assert stage.calls("users") == 3


def test_goes_on_when_a_file_of_ids_has_grown_and_pays_for_nobody_twice(stage: Stage) -> None:
    file = stage.folder / "ids.txt"
    file.write_text("\n".join(map(str, stage.ids[:150])), encoding="utf-8")
    stage.configure('ids = ["ids.txt"]')
    stage.collect()
    stage.now += timedelta(days=1)
    stage.collect()
    assert stage.calls("users") == 2
    file.write_text("\n".join(map(str, stage.ids[:250])), encoding="utf-8")
    stage.collect()
    assert stage.stored() == stage.may_be_stored(stage.ids[:250])
    again = [key for key in stage.world.paid if key[2] in stage.stored()]
    assert len(again) == len(stage.stored())


def test_walks_breadth_first_over_friends_but_not_through_the_protected(stage: Stage) -> None:
    start, near, hidden = (public(stage, place) for place in range(3))
    stage.world.users[hidden].protected = True
    far, unseen, farther = stage.ids[10:40], stage.ids[40:50], stage.ids[50:60]
    stage.world.following |= {start: [near, hidden], near: far, hidden: unseen, far[0]: farther}
    public(stage, 10)
    stage.configure(f'friends = ["{start}"]\ndepth = 2')
    stage.collect()
    assert stage.stored() == stage.may_be_stored([near, *far])
    assert stage.calls("following") == 2, "nobody may ask whom the protected follow"
    stage.configure(f'friends = ["{start}"]\ndepth = 3\nagain = "1s"')
    stage.now += timedelta(days=1)
    stage.collect()
    assert stage.stored().keys() == stage.may_be_stored([near, *far, *farther]).keys()


def test_a_source_that_is_not_there_or_hidden_is_given_up_and_the_others_go_on(stage: Stage) -> None:
    hidden, gone = public(stage, 0), public(stage, 1)
    stage.world.users[hidden].protected = True
    stage.world.users[gone].deleted = True
    stage.world.lists[77] = stage.ids[10:20]
    stage.configure(f'lists = ["1", "77"]\nfollowers = ["{hidden}", "{gone}", "@nobody_at_all"]')
    _, end = stage.collect()
    assert end.event == "end"
    assert stage.stored() == stage.may_be_stored(stage.ids[10:20])
    with Store(stage.config.home / "corpus.db") as store:
        failed = dict(store.db.execute("SELECT target, why FROM source WHERE state = 'failed'"))
    assert failed.keys() == {"1", str(hidden), str(gone), "@nobody_at_all"}
    assert "not authorized" in failed[str(hidden)]


# -- who must not be stored --------------------------------------------------------------------------


def test_f41_whoever_opted_out_is_never_stored_nor_followed_nor_looked_up(stage: Stage) -> None:
    start, near = public(stage, 0), public(stage, 1)
    by_id, by_handle, by_text = (public(stage, place) for place in (2, 3, 4))
    for each in (by_id, by_handle, by_text):
        stage.world.users[each].bio = f"the words of {each}"
    stage.world.following |= {start: [near, by_id, by_handle, by_text], by_handle: stage.ids[50:60]}
    (stage.folder / "ids.txt").write_text(str(by_id), encoding="utf-8")
    stage.configure(f'friends = ["{start}"]\nids = ["ids.txt"]')
    with Store(stage.config.home / "corpus.db") as store:
        handle = stage.world.users[by_handle].handle
        forget(store, [str(by_id), f"@{handle}"], [f"THE words of {by_text}"], stage.now)
    tally, _ = stage.collect()
    assert stage.stored() == stage.may_be_stored([near])
    assert tally.left_out["forgotten"] == 3
    assert stage.calls("users") == 0


def test_f41_opting_out_holds_while_collecting_goes_on(stage: Stage) -> None:
    stage.world.lists[77] = stage.ids[:300]
    stage.configure('lists = ["77"]')
    late = next(iter(stage.may_be_stored(stage.ids[250:300])))
    steps = collecting.collect(stage.config, lambda: stage.now, stage.pause)
    next(steps)
    with Store(stage.config.home / "corpus.db") as store:
        first = next(iter(stage.may_be_stored(stage.ids[:100])))
        forget(store, [str(first), str(late)], [], stage.now)
    list(steps)
    assert stage.stored().keys() == stage.may_be_stored(stage.ids[:300]).keys() - {first, late}


def test_f41_forgetting_leaves_neither_a_persons_words_nor_their_id_nor_the_way_through_their_friends(
    stage: Stage,
) -> None:
    start, gone, other = public(stage, 0), public(stage, 1), public(stage, 2)
    stage.world.users[gone].bio = "seldom words that only one person wrote"
    near = [gone, other, *stage.ids[100:120]]
    stage.world.following |= {start: near, gone: stage.ids[50:60], other: stage.ids[60:70]}
    stage.configure(f'friends = ["{start}"]')
    stage.collect(limit=len(near))
    stage.configure(f'friends = ["{start}"]', enabled=False)
    learnt(stage)
    training_files = list((stage.config.home / "training").iterdir())
    assert any(b"seldom words" in path.read_bytes() for path in training_files)
    with pytest.raises(SystemExit) as left:
        main(["corpus", "forget", str(gone)])
    assert left.value.code == 0
    stage.configure(f'friends = ["{start}"]')
    stage.collect()
    assert stage.stored().keys() == stage.may_be_stored([*near[1:], *stage.ids[60:70]]).keys()
    for path in stage.config.home.rglob("*"):
        if path.is_file():
            held = path.read_bytes()
            assert b"seldom words" not in held, path
            assert str(gone).encode() not in held, path
    with Store(stage.config.home / "corpus.db") as store:
        assert store.db.execute("SELECT 1 FROM paid WHERE user = ?", (gone,)).fetchone() is None
        assert store.db.execute("SELECT 1 FROM source WHERE account = ?", (gone,)).fetchone() is None


def test_f41_a_source_whose_person_opted_out_is_not_read(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    by_id, by_handle, by_other_id = public(stage, 0), public(stage, 1), public(stage, 2)
    handle, other_handle = (f"@{stage.world.users[each].handle}" for each in (by_handle, by_other_id))
    with Store(stage.config.home / "corpus.db") as store:
        forget(store, [str(by_id), str(by_other_id), handle], [], stage.now)
    monkeypatch.setattr(stage.world, "_circle", lambda *_: pytest.fail("nobody may ask who follows them"))
    stage.configure(f'followers = ["{by_id}", "{handle}", "{other_handle}"]')
    assert stage.collect()[1].why == "every source was read"
    assert stage.stored() == {}
    with Store(stage.config.home / "corpus.db") as store:
        assert store.db.execute("SELECT count(*) FROM source").fetchone() == (0,)


def test_the_friends_of_withheld_people_are_not_asked_for(stage: Stage) -> None:
    start, withheld = public(stage, 0), public(stage, 1)
    stage.world.users[withheld].withheld = True
    stage.world.following |= {start: [withheld], withheld: stage.ids[50:60]}
    stage.configure(f'friends = ["{start}"]')
    stage.collect()
    assert stage.calls("following") == 1


def test_who_hides_or_empties_a_bio_is_dropped_when_met_again(stage: Stage) -> None:
    stage.world.lists[77] = stage.ids[:50]
    stage.configure('lists = ["77"]\nagain = "1h"')
    stage.collect()
    hides, empties, changes = list(stage.stored())[:3]
    stage.world.users[hides].protected = True
    stage.world.users[empties].bio = ""
    stage.world.users[changes].bio = "a new one"
    stage.now += timedelta(hours=2)
    tally, _ = stage.collect()
    assert stage.stored() == stage.may_be_stored(stage.ids[:50])
    assert (tally.removed, tally.updated) == (2, 1)


# -- interruptions -----------------------------------------------------------------------------------


def crowd(stage: Stage, people: int) -> None:
    """Spread people over a list, two accounts' followers and a file; everyone is public."""
    ids = stage.ids
    one, two = public(stage, 0), public(stage, 1)
    half, third = people // 2, people // 4
    stage.world.lists[77] = ids[2:half]
    stage.world.followers |= {one: ids[half - 100 : half + third], two: ids[half + third - 50 : people - 200]}
    (stage.folder / "ids.txt").write_text("\n".join(map(str, ids[people - 300 : people])), encoding="utf-8")
    stage.configure(f'lists = ["77"]\nfollowers = ["{one}", "{two}"]\nids = ["ids.txt"]')


def through_kills(stage: Stage, people: int, kills: int, pages: int) -> None:
    """Collect in a process of its own that is killed at random moments, some `pages` apart, until it is through."""
    crowd(stage, people)
    draw = random.Random(7)
    command = [sys.executable, "-m", "biobot", "collect", "--json"]
    done = 0
    while True:
        process = subprocess.Popen(command, cwd=stage.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done == kills:
            said, errors = process.communicate()
            assert process.returncode == 0, errors
            assert json.loads(said.splitlines()[-1])["why"] == "every source was read"
            break
        goal = sum(stage.world.paid.values()) + draw.randrange(1, 100 * pages)
        while sum(stage.world.paid.values()) < goal and process.poll() is None:
            time.sleep(0.001)
        time.sleep(draw.random() * 0.02)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            done += 1
        process.communicate()
    assert stage.charged == pytest.approx(stage.world.usd)
    everyone = stage.ids[2:people]
    assert stage.stored() == stage.may_be_stored(everyone)
    # X charges once a UTC day: who came on a page that was read twice was paid for once
    days = {day for day, _, _ in stage.world.paid}
    charged = [number for _, _, number in stage.world.paid]
    assert sorted(charged) == sorted(everyone) or len(days) > 1
    # and no kill cost more than the page that was under way; 250 stand in two sources
    assert sum(stage.world.paid.values()) - len(stage.world.paid) <= 250 + 1000 * kills
    with Store(stage.config.home / "corpus.db") as store:
        booked = store.db.execute("SELECT sum(usd) FROM spend").fetchone()[0]
    assert booked == pytest.approx(stage.world.usd)


def test_loses_nobody_and_pays_for_nobody_twice_through_kills(stage: Stage) -> None:
    through_kills(stage, people=3000, kills=6, pages=4)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_collects_fifty_thousand_people_through_two_hundred_kills(stage: Stage) -> None:
    stage.world.users.update(World.invent(50_000, seed=2).users)
    stage.world.users = dict(list(stage.world.users.items())[:50_000])
    through_kills(stage, people=50_000, kills=200, pages=3)


def test_an_expired_token_starts_its_source_again_without_doubles(stage: Stage) -> None:
    stage.world.lists[77] = stage.ids[:500]
    stage.configure('lists = ["77"]')
    _, end = stage.collect(limit=200)
    assert end.why == "the limit of people is reached"
    stage.world.expire()
    stage.collect()
    assert stage.stored() == stage.may_be_stored(stage.ids[:500])
    assert stage.world.usd == pytest.approx(5.0)


def test_a_source_whose_tokens_never_last_is_given_up(stage: Stage) -> None:
    stage.world.lists[77] = stage.ids[:500]
    stage.configure('lists = ["77"]')
    steps = []
    for step, _ in collecting.collect(stage.config, lambda: stage.now, stage.pause):
        steps.append(step)
        stage.world.expire()
    assert [step.why[:8] for step in steps if step.event == "source"] == ["its toke"] * 3 + ["given up"]


@pytest.mark.parametrize("fault", ["html-503", "reset-before", "reset-after", "half-body", "html-200", "list-200"])
def test_asks_again_after_an_answer_that_cannot_be_trusted(stage: Stage, fault: str) -> None:
    stage.world.lists[77] = stage.ids[:300]
    stage.configure('lists = ["77"]')
    stage.faulty.fault(fault, times=3, route="lists")
    stage.collect()
    assert stage.stored() == stage.may_be_stored(stage.ids[:300])
    assert [wait.total_seconds() for wait in stage.waits] == [1, 2, 5]
    assert stage.world.usd == pytest.approx(3.0)


def test_gives_up_when_x_stays_silent_and_goes_on_another_time(stage: Stage) -> None:
    (stage.folder / "ids.txt").write_text("\n".join(map(str, stage.ids[:300])), encoding="utf-8")
    stage.configure('ids = ["ids.txt"]')
    stage.collect(limit=100)
    stage.faulty.fault("html-503", times=100, route="users")
    with pytest.raises(NetworkError):
        stage.collect()
    assert len(stage.waits) == 5
    stage.faulty.state.clear_faults()
    stage.collect()
    assert stage.stored() == stage.may_be_stored(stage.ids[:300])


@pytest.mark.parametrize("fault", ["no-credits", "usage-cap", "revoked", "suspended", "not-enrolled"])
def test_what_concerns_everything_stops_at_once_and_keeps_what_came(stage: Stage, fault: str) -> None:
    stage.world.lists[77] = stage.ids[:300]
    stage.configure('lists = ["77"]')
    stage.collect(limit=100)
    before = stage.stored()
    stage.faulty.fault(fault, times=1, route="lists")
    with pytest.raises(Refused):
        stage.collect()
    assert not stage.waits
    assert stage.stored() == before
    stage.collect()
    assert stage.stored() == stage.may_be_stored(stage.ids[:300])


# -- limits ------------------------------------------------------------------------------------------


def test_heeds_the_headers_so_that_x_never_has_to_say_too_many(stage: Stage) -> None:
    stage.faulty.routes = stage.world.routes({"lists": 2, "followers": 1})
    account = public(stage, 0)
    stage.world.lists[77] = stage.ids[:500]
    stage.world.followers[account] = stage.ids[500:600]
    stage.configure(f'lists = ["77"]\nfollowers = ["{account}"]')
    stage.collect()
    assert stage.stored() == stage.may_be_stored(stage.ids[:600])
    assert stage.faulty.state.tally("rate-limited") == 0
    # two pages a window: five pages take two waits, and the followers were read while the list had to wait
    assert [wait <= timedelta(minutes=15) for wait in stage.waits] == [True, True]


@pytest.mark.parametrize("fault", ["429", "429-past", "429-missing", "429-nonsense"])
def test_f1_a_429_is_waited_for_with_floor_and_ceiling_and_asked_once(stage: Stage, fault: str) -> None:
    stage.world.lists[77] = stage.ids[:50]
    stage.configure('lists = ["77"]')
    stage.faulty.fault(fault, times=2, route="lists")
    stage.collect()
    assert stage.calls("lists") == 3
    assert [timedelta(minutes=1) <= wait <= timedelta(minutes=15) for wait in stage.waits] == [True, True]
    assert stage.stored() == stage.may_be_stored(stage.ids[:50])


def test_a_limit_of_a_day_ends_the_run_instead_of_waiting_for_hours(stage: Stage) -> None:
    stage.world.lists[77] = stage.ids[:50]
    stage.configure('lists = ["77"]')
    stage.faulty.fault("429-daily", route="lists")
    _, end = stage.collect()
    assert "5 h" in end.why
    assert not stage.waits


def test_sigterm_is_answered_while_waiting(stage: Stage) -> None:
    stage.world.lists[77] = stage.ids[:50]
    stage.configure('lists = ["77"]')
    stage.faulty.fault("429", route="lists")
    command = [sys.executable, "-m", "biobot", "collect", "--json"]
    process = subprocess.Popen(command, cwd=stage.folder, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["event"] == "wait"
    begin = time.monotonic()
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=30)
    assert time.monotonic() - begin < 3
    assert process.returncode == 0
    assert json.loads(said)["why"].startswith("stopped")


# -- money -------------------------------------------------------------------------------------------


def test_the_budget_is_never_passed_and_pages_shrink_to_what_is_left(stage: Stage) -> None:
    account = public(stage, 0)
    stage.world.followers[account] = stage.ids[1:2500]
    stage.configure(f'followers = ["{account}"]')
    tally, end = stage.collect(budget=12.34)
    assert end.why == "the budget is used up"
    assert stage.world.usd == pytest.approx(12.34) == pytest.approx(tally.usd)


def test_the_months_budget_holds_over_runs_and_begins_anew_with_the_month(stage: Stage) -> None:
    stage.world.lists[77] = stage.ids[:2500]
    stage.configure('lists = ["77"]')
    text = (
        (stage.folder / "biobot.toml").read_text(encoding="utf-8").replace("usd_per_month = 1e6", "usd_per_month = 3")
    )
    (stage.folder / "biobot.toml").write_text(text, encoding="utf-8")
    stage.collect(budget=2)
    stage.collect()
    stage.now += timedelta(days=3)
    stage.collect()
    assert stage.world.usd == pytest.approx(3)
    stage.now = datetime(2026, 12, 1, tzinfo=UTC)
    stage.collect()
    assert stage.world.usd == pytest.approx(6)


def test_a_search_is_not_begun_when_the_money_is_not_enough_for_its_smallest_page(stage: Stage) -> None:
    stage.world.posts = [(10**6 + number, stage.ids[number], "coffee") for number in range(100)]
    stage.configure('search = ["coffee"]')
    assert stage.collect(budget=0.14)[1].why == "the budget is used up"
    assert stage.calls("search") == 0
    stage.collect(budget=0.15)
    assert stage.world.usd == pytest.approx(0.15)


def test_a_dry_run_asks_nobody_and_changes_nothing(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    (stage.folder / "ids.txt").write_text("\n".join(map(str, stage.ids[:250])), encoding="utf-8")
    stage.configure('ids = ["ids.txt"]')
    for _ in range(2):
        with pytest.raises(SystemExit) as left:
            main(["collect", "--dry-run", "--json"])
        assert left.value.code == 0
        said = json.loads(capsys.readouterr().out)
        assert (said["people"], said["requests"], said["usd"]) == (250, 3, 2.5)
        assert not (stage.config.home / "corpus.db").exists()
    assert not stage.world.paid
    stage.collect()
    assert stage.world.usd <= 2.5


@pytest.mark.parametrize("text", ["", 'lists = ["1"]'])
def test_nothing_is_collected_that_was_not_turned_on(stage: Stage, text: str) -> None:
    stage.configure(text, enabled=not text)
    with pytest.raises(ConfigError, match="enabled" if text else "has no source"):
        stage.collect()
    with pytest.raises(SystemExit) as left:
        main(["collect"])
    assert left.value.code == 2
    assert not stage.world.paid


# -- looking again -----------------------------------------------------------------------------------


def test_recheck_drops_who_is_gone_takes_over_what_changed_and_resumes(stage: Stage) -> None:
    stage.world.lists[77] = stage.ids[:400]
    stage.configure('lists = ["77"]')
    stage.collect()
    stored = sorted(stage.stored())
    deleted, suspended, hidden, withheld, changed = stored[0], stored[90], stored[150], stored[250], stored[300]
    stage.world.users[deleted].deleted = True
    stage.world.users[suspended].suspended = True
    stage.world.users[hidden].protected = True
    stage.world.users[withheld].withheld = True
    stage.world.users[changed].bio = "a new one"
    with Store(stage.config.home / "corpus.db") as store:
        store.add([Bio("nobody signed this")], stage.now)
    stage.now += timedelta(days=1)
    first, _ = stage.recheck(limit=150)
    second, end = stage.recheck()
    assert end.why == "every source was read"
    assert first.people + second.people == len(stored) - 2
    assert first.removed + second.removed == 4
    gone = {deleted, suspended, hidden, withheld}
    assert stage.stored().keys() == set(stored) - gone
    assert stage.stored()[changed] == "a new one"
    with Store(stage.config.home / "corpus.db") as store:
        assert "nobody signed this" in {bio.text for bio in store.bios()}
        assert store.db.execute("SELECT count(*) FROM audit").fetchone()[0] >= 2


def test_recheck_keeps_everyone_when_x_answers_nonsense(stage: Stage) -> None:
    stage.world.lists[77] = stage.ids[:50]
    stage.configure('lists = ["77"]')
    stage.collect()
    before = stage.stored()
    stage.faulty.fault("null-data", times=1, route="users")
    stage.recheck()
    assert stage.stored() == before


def test_recheck_tells_about_whom_x_said_nothing_and_keeps_them(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.world.lists[77] = stage.ids[:50]
    stage.configure('lists = ["77"]')
    stage.collect()
    before = stage.stored()
    show = stage.world._show
    monkeypatch.setattr(stage.world, "_show", lambda request, people: show(request, people)[2:])
    assert stage.recheck()[0].unanswered == 2
    assert stage.stored() == before
    with pytest.raises(SystemExit):
        main(["corpus", "recheck"])
    assert "2 kept for now: X did not say whether they are still there" in capsys.readouterr().out


# -- answers that are odd ----------------------------------------------------------------------------


@pytest.mark.parametrize("odd", [{"username": "jos\ud83d"}, {"id": str(1 << 63)}, {"id": "9" * 30}])
def test_a_person_whose_name_or_id_cannot_be_stored_costs_only_themselves(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, odd: dict[str, str]
) -> None:
    start = public(stage, 0)
    stage.world.users[stage.ids[10]].bio = "whose name is odd"
    public(stage, 10)
    stage.world.following[start] = stage.ids[10:20]
    show = stage.world._show
    monkeypatch.setattr(
        stage.world,
        "_show",
        lambda request, people: [{**first, **odd} for first in show(request, people[:1])] + show(request, people[1:]),
    )
    stage.configure(f'friends = ["{start}"]\ndepth = 1')
    tally, end = stage.collect()
    assert end.why == "every source was read"
    assert stage.stored() == stage.may_be_stored(stage.ids[11:20])
    with Store(stage.config.home / "corpus.db") as store:
        assert "whose name is odd" not in {bio.text for bio in store.bios()}
    assert tally.people == 10
    assert tally.usd == pytest.approx(stage.world.usd)


def test_a_page_that_holds_only_errors_about_people_does_not_end_its_source(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.world.lists[77] = stage.ids[:300]
    page = stage.world._page

    def second_is_suspended(request: Request, members: Sequence[int], most: int) -> Answer:
        answer = page(request, members, most)
        if request.params.get("pagination_token", "").startswith("100z"):
            error = {"resource_id": "1", "detail": "User has been suspended: [1].", "title": "Forbidden"}
            return Answer(200, {"errors": [error], "meta": answer.document["meta"]})
        return answer

    monkeypatch.setattr(stage.world, "_page", second_is_suspended)
    stage.configure('lists = ["77"]')
    assert stage.collect()[1].why == "every source was read"
    assert stage.stored() == stage.may_be_stored([*stage.ids[:100], *stage.ids[200:300]])


def test_a_source_that_is_given_up_is_shown_with_its_reason(stage: Stage) -> None:
    stage.configure('lists = ["1"]\nfollowers = ["@nobody_at_all"]')
    steps = [step for step, _ in collecting.collect(stage.config, lambda: stage.now, stage.pause)]
    said = {step.source: step.why for step in steps if step.event == "source"}
    assert said["lists:1"] == "given up: Could not find list with id: [1]."
    assert said["followers:@nobody_at_all"] == "given up: there is no @nobody_at_all"
    assert steps[-1].why == "every source was read, 2 sources given up"


def test_a_handle_that_x_does_not_take_does_not_spoil_the_others(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    good = public(stage, 0)
    stage.world.followers[good] = stage.ids[10:20]
    look_up = stage.world._looked_up

    def picky(request: Request, parameter: str, asked: Sequence[str], found: Sequence[User | None]) -> Answer:
        refused = any(each.startswith("_") for each in asked)
        return Answer(400, {"title": "Invalid Request"}) if refused else look_up(request, parameter, asked, found)

    monkeypatch.setattr(stage.world, "_looked_up", picky)
    stage.configure(f'followers = ["@_odd", "@{stage.world.users[good].handle}", "@_"]')
    assert stage.collect()[1].why == "every source was read, 2 sources given up"
    assert stage.stored() == stage.may_be_stored([good, *stage.ids[10:20]])


@pytest.mark.parametrize("people", [0, 3])
def test_pages_without_an_end_end(stage: Stage, monkeypatch: pytest.MonkeyPatch, people: int) -> None:
    stage.world.lists[77] = stage.ids[:300]
    count = itertools.count()

    def endless(request: Request, *_: object) -> Answer:
        token = "again" if people else f"token-{next(count)}"
        data = {"data": stage.world._show(request, [stage.world.users[each] for each in stage.ids[:people]])}
        return Answer(200, {**(data if people else {}), "meta": {"next_token": token}})

    monkeypatch.setattr(stage.world, "_page", endless)
    stage.configure('lists = ["77"]')
    steps = [step for step, _ in collecting.collect(stage.config, lambda: stage.now, stage.pause)]
    assert steps[-1].event == "end"
    assert stage.calls("lists") == (2 if people else MAX_EMPTY_PAGES)
    assert stage.stored() == stage.may_be_stored(stage.ids[:people])


# -- for training ------------------------------------------------------------------------------------


def learnt(stage: Stage) -> list[str]:
    """Return the notes of a training up to where it begins to learn."""
    notes = []
    for each in training.train(stage.config, training.Options(preset="tiny"), stage.now, time.monotonic, lambda: False):
        if isinstance(each, training.Note):
            notes.append(each.text)
        if " to learn" in notes[-1]:
            break
    return notes


def test_training_collects_first_if_the_config_says_so_and_status_tells_what_it_cost(stage: Stage) -> None:
    stage.world.lists[77] = stage.ids[:500]
    stage.configure('lists = ["77"]')
    first, second = collecting.before_training(stage.config, lambda: stage.now, lambda: False)
    assert first.startswith("collecting at most")
    assert second.startswith(f"collected 500 people, {len(stage.stored())} new bios, $5.00")
    assert health.status(stage.config, stage.now).collect_usd == pytest.approx(5)


def test_train_learns_what_was_just_collected(stage: Stage) -> None:
    stage.world.lists[77] = stage.ids[:500]
    stage.configure('lists = ["77"]')
    notes = learnt(stage)
    assert notes[1].startswith("collected 500 people")
    assert " to learn" in notes[-1]


@pytest.mark.parametrize("fault", ["no-credits", "html-503", "429"])
def test_a_training_goes_on_when_collecting_fails_or_would_have_to_wait(stage: Stage, fault: str) -> None:
    stage.configure('lists = ["77"]')
    stage.world.lists[77] = stage.ids[:500]
    stage.collect(limit=400)
    stage.faulty.fault(fault, times=9, route="lists")
    _, said = collecting.before_training(stage.config, lambda: stage.now, lambda: False)
    assert "failed" in said if fault == "no-credits" else "collected 0 people" in said
    assert not stage.waits
