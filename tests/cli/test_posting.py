"""The commands of posting through their real entry point."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from biobot.candidate import Objection
from biobot.cli import main
from biobot.config import load
from biobot.posting import locks
from biobot.posting.notices import Notices
from biobot.posting.outbox import Outbox
from biobot.posting.post import Draft, State, stamp
from biobot.rehearsal.state import State as FakeState
from biobot.worker.client import Call, Worker
from biobot.worker.double import FakeWorker
from biobot.worker.protocol import Request

Bot = Callable[[str], Path]
Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def cheap_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that cost nothing: drafts by their seed, and a judge that dislikes the word "crypto"."""

    def objections(text: str, _: str | None) -> list[Objection]:
        return [Objection("taste", "talks about crypto")] if "crypto" in text else []

    def ask(worker: Worker, request: Request[Any], deadline: timedelta | None = None) -> Call[Any]:
        return FakeWorker(worker.config, lambda _, seed: f"draft {seed}", objections).ask(request, deadline)

    monkeypatch.setattr(Worker, "ask", ask)


@pytest.fixture
def run(bot: Bot, capsys: Said) -> Callable[..., tuple[int, str, str]]:
    bot('[schedule]\nevery = "6h"\ntimezone = "UTC"\n')

    def command(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(list(words))
        said = capsys.readouterr()
        first, feed, rest = said.out.partition("\n")
        announced = " on rehearsal, /" in first  # which bot it is; that has a test of its own
        return int(left.value.code or 0), rest if announced and feed else said.out, said.err

    return command


Run = Callable[..., tuple[int, str, str]]


def rows(run: Run, *words: str) -> list[dict[str, Any]]:
    code, out, _ = run("queue", "list", "--json", *words)
    assert code == 0
    return [json.loads(line) for line in out.splitlines()]


def waiting(home: Path, text: str, state: State = State.HELD) -> int:
    with Outbox(home / "outbox.db", "rehearsal") as outbox:
        row = outbox.add([Draft(text, temperature=0.8, seed=5, model="starter")], state, datetime.now(UTC))[0]
        assert row is not None
        return row.id


def test_post_posts_and_the_queue_shows_it(run: Run) -> None:
    code, out, _ = run("post", "--text", "hello there")
    assert code == 0
    assert out.startswith("posted 1 as ")
    (row,) = rows(run)
    assert list(row) == ["id", "rev", "state", "text", "slot", "network", "temperature", "created", "reason"]
    assert (row["state"], row["text"], row["slot"], row["network"]) == ("posted", "hello there", None, "rehearsal")


@pytest.mark.parametrize("words", [["status"], ["pause"], ["resume"], ["post", "--text", "hello"], ["reconcile"]])
def test_the_first_line_says_which_bot_it_is(bot: Bot, capsys: Said, words: list[str]) -> None:
    folder = bot("")
    with pytest.raises(SystemExit):
        main(words)
    assert capsys.readouterr().out.splitlines()[0] == f"{folder.name} on rehearsal, {folder}"


def test_a_given_text_is_judged_too(run: Run) -> None:
    code, out, err = run("post", "--text", "buy crypto")
    assert (code, out) == (1, "")
    assert err == "biobot: the text is refused: taste: talks about crypto\n"
    assert rows(run) == []


def test_the_same_text_is_never_posted_twice(run: Run) -> None:
    assert run("post", "--text", "hello there")[0] == 0
    code, _, err = run("post", "--text", "Hello  there")
    assert code == 1
    assert "posted twice" in err


def test_post_draws_a_draft_and_run_once_fills_the_slot_that_came_last(run: Run) -> None:
    assert run("post")[0] == 0
    assert run("run", "--once")[0] == 0
    assert run("run", "--once")[0] == 0
    slots = [row["slot"] for row in rows(run, "--state", "posted")]
    assert len(slots) == 3
    assert [slot is None for slot in slots] == [True, False, True]


def test_f5_run_once_beside_a_daemon_says_who_holds_the_home(run: Run, home: Path) -> None:
    with locks.lock(home, locks.DAEMON, "the daemon", datetime.now(UTC)):
        code, _, err = run("run", "--once")
        assert code == 1
        assert "the daemon (pid" in err
        assert json.loads(run("status", "--json")[1])["state"] == "running"


def test_status_of_a_bot_that_never_ran(run: Run, home: Path) -> None:
    code, out, _ = run("status", "--json")
    found = json.loads(out)
    assert code == 0
    keys = ["state", "last_post", "next_slot", "queue", "unconfirmed", "budget", "model", "problems"]
    assert set(keys) <= set(found)
    assert (found["state"], found["last_post"], found["unconfirmed"]) == ("stopped", None, 0)
    assert found["next_slot"].endswith("Z")
    assert set(found["queue"]) == set(State)
    assert list(home.iterdir()) == []


def test_f9_looking_leaves_the_state_byte_for_byte(run: Run, home: Path) -> None:
    run("post", "--text", "hello there")
    waiting(home, "another")

    def state() -> dict[str, bytes]:
        return {str(each): each.read_bytes() for each in sorted(home.rglob("*")) if each.is_file()}

    before = state()
    for words in (["status"], ["status", "--json"], ["queue", "list"], ["why", "1"], ["why", "2"], ["doctor"]):
        run(*words)
        assert state() == before, words


def test_pause_and_resume(run: Run) -> None:
    assert run("pause")[0] == 0
    found = json.loads(run("status", "--json")[1])
    assert (found["state"], found["next_slot"]) == ("paused", None)
    code, _, err = run("post", "--text", "hello there")
    assert code == 1
    assert "`biobot resume`" in err
    assert run("resume")[0] == 0
    assert run("post", "--text", "hello there")[0] == 0


def test_review_by_its_commands(run: Run, home: Path) -> None:
    first, second = waiting(home, "one"), waiting(home, "two")
    assert run("approve", str(first), "--rev", "9")[2].startswith(f"biobot: post {first} has changed since")
    assert run("approve", str(first), str(second))[0] == 0
    code, out, err = run("reject", str(second), "99")
    assert code == 1
    assert f"rejected {second}" in out
    assert "no post 99" in err
    assert "talks about crypto" in run("edit", str(first), "--text", "crypto!")[2]
    assert run("edit", str(first), "--text", "uno")[0] == 0
    assert [(row["state"], row["text"]) for row in rows(run)] == [("approved", "uno"), ("rejected", "two")]


def test_with_review_on_a_new_draft_is_only_held(run: Run, bot: Bot) -> None:
    bot('[post]\nreview = "on"\n')
    code, _, err = run("post")
    assert code == 1
    assert "held for review: `biobot approve 1`" in err
    assert [row["state"] for row in rows(run)] == ["held"]


def test_undo_and_its_limits(run: Run) -> None:
    run("post", "--text", "hello there")
    assert run("undo", "1")[1].startswith("deleted 1")
    assert "only what is posted" in run("undo", "1")[2]
    assert "no post 7" in run("undo", "7")[2]


def test_a_row_in_the_wrong_state_says_what_can_be_done_about_it(run: Run, home: Path) -> None:
    run("post", "--text", "hello there")
    assert run("approve", "1")[2] == "biobot: post 1 is posted and cannot become approved: `biobot undo 1` deletes it\n"
    held = str(waiting(home, "another"))
    run("approve", held)
    assert run("approve", held)[2] == (
        f"biobot: post {held} is already approved: it waits for its turn, and `biobot reject {held}` drops it\n"
    )
    run("undo", "1")
    assert "post 1 is deleted and cannot become rejected: nothing is left to do about it" in run("reject", "1")[2]


def test_the_queue_shows_the_rows_of_every_network_and_says_when_there_are_none(run: Run, bot: Bot) -> None:
    assert run("queue", "list") == (0, "", "the queue is empty\n")
    assert run("queue", "list", "--json") == (0, "", "")
    run("run", "--once")
    bot('[post]\nnetwork = "stdout"\n')
    run("post", "--text", "something else")
    assert [each["network"] for each in rows(run)] == ["rehearsal", "stdout"]
    assert [each["id"] for each in rows(run, "--limit", "1", "--state", "posted")] == [2]
    first, second = run("queue", "list")[1].splitlines()
    assert re.match(r" +1  posted +rehearsal  20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC  draft", first)
    assert re.match(r" +2  posted +stdout +no slot +something else", second)
    assert run("queue", "list", "--state", "held", "--state", "failed")[2] == "nothing is held or failed\n"


def test_times_are_said_in_one_way(run: Run) -> None:
    run("post", "--text", "hello there")
    time = r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    status = run("status")[1]
    assert re.search(rf"^last post  {time}, (in )?\d+ .*$", status, re.MULTILINE)
    assert re.search(rf"^next slot  {time}, (in )?\d+ .*$", status, re.MULTILINE)
    assert re.search(rf"^{time}  posted", run("why", "1")[1], re.MULTILINE)


def test_why_tells_the_story_and_draws_the_text_again(run: Run, home: Path) -> None:
    post = waiting(home, "draft 5")
    edited = waiting(home, "something else")
    found = json.loads(run("why", str(post), "--json")[1])
    assert (found["same"], found["drawn_again"], found["seed"]) == (True, "draft 5", 5)
    assert [each["state"] for each in found["story"]] == ["held"]
    assert json.loads(run("why", str(edited), "--json")[1])["same"] is False
    assert "redrawn: the same text" in run("why", str(post))[1]


def test_reconcile_finds_nothing_and_needs_an_id_to_send_again(run: Run) -> None:
    assert run("reconcile")[1] == "nothing is unconfirmed\n"
    code, _, err = run("reconcile", "--resend")
    assert code == 2
    assert "--resend needs the ID" in err


def test_doctor_says_a_line_each_with_the_mend(run: Run, bot: Bot) -> None:
    code, out, _ = run("doctor")
    for what in ("config", "secrets", "model", "plugins", "clock", "disk", "sqlite", "torch"):
        assert any(line.split()[1] == what for line in out.splitlines()), what
    bot('[post]\nnetwork = "x"\n[x]\napi_base = "https://elsewhere.invalid"\n')
    code, out, err = run("doctor")
    assert code == 1
    assert "the keys go to elsewhere.invalid, not to X" in out
    assert "BIOBOT_X_API_KEY" in out
    assert "checks failed" in err


def test_doctor_names_a_folder_into_which_others_could_put_another_config(run: Run, bot: Bot) -> None:
    folder = bot("")
    folder.chmod(0o757)
    out = run("doctor")[1]
    assert f"FAIL  config     others can write into {folder}" in out
    assert "chmod go-w" in out
    folder.chmod(0o1777)  # sticky: nobody replaces what is another's
    assert "FAIL  config" not in run("doctor")[1]


def test_run_refuses_a_schedule_that_never_comes(run: Run, bot: Bot) -> None:
    bot('[schedule]\ncron = "0 0 30 2 *"\n')
    code, _, err = run("run")
    assert code == 2
    assert "no slot ever comes" in err
    bot('[schedule]\ncron = "every monday"\n')
    assert "is not a cron line" in run("run")[2]


def test_without_keys_nothing_is_left_behind_that_would_be_posted_later(run: Run, bot: Bot) -> None:
    bot('[post]\nnetwork = "x"\n')
    code, _, error = run("post", "--text", "some nice words about warm bread")
    assert code == 1
    assert "BIOBOT_X_API_KEY" in error
    assert rows(run) == []


def test_a_post_that_could_not_be_sent_says_that_it_waits_and_how_to_drop_it(
    run: Run, bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot('[post]\nnetwork = "x"\n[x]\napi_base = "http://127.0.0.1:9"\n')
    for name in ("API_KEY", "API_SECRET", "ACCESS_TOKEN", "ACCESS_SECRET"):
        monkeypatch.setenv(f"BIOBOT_X_{name}", "made-up")
    code, _, error = run("post", "--text", "some nice words about warm bread")
    assert code == 1
    assert "`biobot reject 1` drops it" in error
    assert [row["state"] for row in rows(run)] == ["approved"]


def test_there_is_nothing_to_settle_about_a_post_that_is_posted(run: Run) -> None:
    run("post", "--text", "some nice words about warm bread")
    code, _, error = run("reconcile", "1")
    assert (code, error) == (1, "biobot: post 1 is posted: there is nothing to settle\n")
    assert run("reconcile", "1", "--resend")[0] == 1


def test_f49_what_may_be_on_the_network_is_not_rejected_but_undone(run: Run, bot: Bot, home: Path) -> None:
    bot('[x]\ntimeout = "500ms"\n')
    fake = FakeState(home / "rehearsal.db")
    fake.script("lag-timeout", "post", 1, 600.0)
    fake.script("429-missing", "post", 1, 0.0)
    assert run("post", "--text", "some nice words about warm bread")[0] == 1
    with Outbox(home / "outbox.db", "rehearsal") as outbox:  # so long ago that the timeline lags no more
        long_ago = stamp(datetime.now(UTC) - timedelta(minutes=20))
        outbox.ask("UPDATE post SET attempted = ?, look_from = ?", long_ago, long_ago)
    assert "is waiting" in run("reconcile", "1", "--resend")[2]
    assert rows(run)[0]["state"] == "approved"
    said = run("reject", "1")[1]
    assert said.startswith("unconfirmed 1 (revision ")
    assert "it may be on the network" in said
    assert "may lag" in run("undo", "1")[2]
    assert rows(run)[0]["state"] == "unconfirmed"
    with fake.transaction():
        fake._db.execute("UPDATE post SET visible = 0")
    assert run("undo", "1")[1].startswith("deleted 1 (")
    assert [post.deleted for post in fake.posts()] == [True]
    fake.close()


def test_a_wait_that_is_over_is_no_problem_any_more_though_no_daemon_said_so(run: Run, home: Path) -> None:
    now = datetime.now(UTC)
    with Outbox(home / "outbox.db", "rehearsal") as outbox:
        notices = Notices(load(), outbox)
        notices.say("wait", "waiting until yesterday", now - timedelta(days=1))
        notices.say("drafts", "no draft came", now - timedelta(days=1))
    assert json.loads(run("status", "--json")[1])["problems"] == ["no draft came"]


def test_f7_a_failure_on_one_network_leaves_the_post_on_another_alone(
    run: Run, bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("post", "--text", "some nice words about warm bread")
    bot('[post]\nnetwork = "x"\n[x]\napi_base = "http://127.0.0.1:9"\n')
    for name in ("API_KEY", "API_SECRET", "ACCESS_TOKEN", "ACCESS_SECRET"):
        monkeypatch.setenv(f"BIOBOT_X_{name}", "made-up")
    assert run("post", "--text", "some nice words about warm bread")[0] == 1
    assert [(row["network"], row["state"]) for row in rows(run)] == [("rehearsal", "posted"), ("x", "approved")]
