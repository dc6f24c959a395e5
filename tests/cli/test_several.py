"""Several networks from the command line: one text, a post on each."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from biobot.cli import main
from biobot.config import load
from biobot.posting import transitions
from biobot.posting.outbox import Outbox
from biobot.posting.post import Draft, State
from biobot.rehearsal.bluesky import HANDLE, PASSWORD, FakeBluesky

TEXT = "A baker from Lisbon who counts clouds and mends umbrellas."


@pytest.fixture
def fake() -> Iterator[FakeBluesky]:
    with FakeBluesky(lambda: datetime.now(UTC)) as fake:
        yield fake
        assert not fake.crashes


@pytest.fixture
def run(
    bot: Callable[[str], Path], tiny_model: Path, fake: FakeBluesky, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    folder = bot(
        f'[model]\nname = "{tiny_model}"\n[post]\nnetworks = ["bluesky", "rehearsal"]\n'
        f'[bluesky]\nservice = "{fake.address}"\n[filters]\ndisabled = ["language"]\n'
    )
    (folder / ".env").write_text(f"BIOBOT_BLUESKY_HANDLE={HANDLE}\nBIOBOT_BLUESKY_APP_PASSWORD={PASSWORD}\n")
    (folder / ".env").chmod(0o600)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(list(arguments))
        out, err = capsys.readouterr()
        return left.value.code if isinstance(left.value.code, int) else 0, out, err

    return run


def test_a_text_is_posted_to_each_though_it_is_the_same(
    run: Callable[..., tuple[int, str, str]], fake: FakeBluesky
) -> None:
    code, out, err = run("post", "--text", TEXT)
    assert (code, out.count("\nposted "), err) == (0, 2, "")
    assert [post.text for post in fake.posts()] == [TEXT]
    rows = [json.loads(line) for line in run("queue", "list", "--json")[1].splitlines()]
    assert [(row["network"], row["state"], row["text"]) for row in rows] == [
        ("bluesky", "posted", TEXT),
        ("rehearsal", "posted", TEXT),
    ]
    status = json.loads(run("status", "--json")[1])
    assert list(status["networks"]) == ["bluesky", "rehearsal"]
    assert [each["budget"]["posts_today"] for each in status["networks"].values()] == [1, 1]
    assert status["networks"]["bluesky"]["budget"]["usd_this_month"] == 0
    assert status["networks"]["rehearsal"]["budget"]["usd_this_month"] > 0
    assert status["queue"]["posted"] == 2
    assert json.loads(run("why", "2", "--json")[1])["elsewhere"] == [{"id": 1, "network": "bluesky", "state": "posted"}]
    story = run("why", "2")[1]
    assert story.startswith("post 2, on rehearsal, is posted as ")
    assert "the same text is post 1, on bluesky: posted\n" in story
    assert re.search(r"^ +bluesky +stopped, 1 of 17 posts today", run("status")[1], re.MULTILINE)
    assert re.search(r"^ +2 +posted +rehearsal ", run("queue", "list")[1], re.MULTILINE)
    assert re.search(r"bluesky: 1 of 17 posts today.*rehearsal: 1 of 17 posts today", run("doctor")[1])
    assert "the same text as an earlier post" in run("post", "--text", TEXT)[2]
    assert run("undo", "1")[0] == 0
    assert [post.deleted for post in fake.posts()] == [True]
    assert json.loads(run("queue", "list", "--json", "--state", "posted")[1])["network"] == "rehearsal"


def test_one_that_refuses_is_named_and_the_other_has_its_post(
    run: Callable[..., tuple[int, str, str]], fake: FakeBluesky
) -> None:
    fake.status = "takendown"
    code, _, err = run("post", "--text", TEXT)
    assert code == 1
    assert "bluesky: " in err
    assert "rehearsal: post" in err
    assert "is posted" in err
    assert fake.posts() == []


def test_reconcile_asks_each_though_one_refuses(run: Callable[..., tuple[int, str, str]], fake: FakeBluesky) -> None:
    now, config = datetime.now(UTC), load()
    for name in config.settings.post.all:
        with Outbox(config.home / "outbox.db", name) as outbox:
            (row,) = outbox.add([Draft(f"For {name}.")], State.APPROVED, now)
            assert row is not None
            transitions.claim(outbox, row.id, now, review=False, charge=lambda _: None)
            transitions.lose_track(outbox, row.id, now, "no answer")
    fake.status = "takendown"
    code, out, err = run("reconcile")
    assert (code, err.startswith("biobot: bluesky: ")) == (1, True)
    assert "2 is unconfirmed: no answer" in out


def test_run_once_fills_the_slot_on_each_with_one_draft(
    run: Callable[..., tuple[int, str, str]], fake: FakeBluesky
) -> None:
    code, out, err = run("run", "--once")
    assert (code, out.count("posted")) == (0, 2), err
    rows = [json.loads(line) for line in run("queue", "list", "--json")[1].splitlines()]
    assert rows[0]["text"] == rows[1]["text"] == fake.posts()[0].text
    assert rows[0]["slot"] == rows[1]["slot"] is not None


def test_the_checks_name_every_network(run: Callable[..., tuple[int, str, str]]) -> None:
    out = run("networks", "check")[1]
    assert f"@{HANDLE}" in out
    assert "rehearsal" in out
    assert f"@{HANDLE} is labelled as a bot now" in run("networks", "label", "bluesky")[1]
    assert "posts go to bluesky, rehearsal" in run("doctor", "--online")[1]
