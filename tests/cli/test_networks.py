"""`biobot networks` and `doctor --online`, through the real entry point and on a real server on loopback."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from biobot.config import load
from biobot.posting.outbox import Outbox
from biobot.rehearsal.mastodon import ACCOUNT, TOKEN, FakeMastodon
from tests.conftest import Run


@pytest.fixture
def fake() -> Iterator[FakeMastodon]:
    with FakeMastodon(lambda: datetime.now(UTC)) as fake:
        yield fake


@pytest.fixture
def run(run: Run, bot: Callable[[str], Path], fake: FakeMastodon, monkeypatch: pytest.MonkeyPatch) -> Run:
    bot(f'[post]\nnetwork = "mastodon"\n[mastodon]\nserver = "{fake.address}"\n')
    monkeypatch.setenv("BIOBOT_MASTODON_ACCESS_TOKEN", TOKEN)
    return run


def test_networks_are_listed_with_their_limits_and_without_a_call(run: Run, fake: FakeMastodon) -> None:
    found = {each["name"]: each for each in map(json.loads, run("networks", "list", "--json")[1].splitlines())}
    assert found["mastodon"] == {
        "name": "mastodon",
        "title": "Mastodon",
        "in_use": True,
        "max_length": 500,
        "key_lasts": "50 min",
        "missing": [],
    }
    assert found["x"]["max_length"] == 280
    assert "BIOBOT_X_API_KEY" in found["x"]["missing"]
    assert fake.state.calls() == 0


def test_check_names_account_limits_and_what_the_server_is(run: Run, fake: FakeMastodon) -> None:
    fake.max_characters, fake.bot = 5000, False
    code, out, _ = run("networks", "check")
    assert code == 0
    assert f"mastodon   @rehearsal ({ACCOUNT}) on {fake.address}" in out
    assert "a post may have 5,000 characters, and is unlisted" in out
    assert "version 4.7.3: a post whose answer was lost is sent again under its key" in out
    assert "This is an automated account" in out
    fake.server, fake.bot = "none", True
    out = run("networks", "check", "mastodon")[1]
    assert "does not honour keys, so that a post whose answer was lost is only looked for" in out
    assert "automated account" not in out


@pytest.mark.parametrize("command", [("networks", "check"), ("doctor", "--online")])
@pytest.mark.parametrize(
    ("scopes", "says"),
    [
        (("read:accounts", "read:statuses"), "lacks the scope write:statuses;"),
        (("profile", "write:statuses"), "lacks the scope read:statuses;"),
        (("profile",), "lacks the scope read:statuses and write:statuses;"),
    ],
)
def test_missing_scopes_are_named(
    run: Run, fake: FakeMastodon, command: tuple[str, ...], scopes: tuple[str, ...], says: str
) -> None:
    fake.scopes = scopes
    code, out, err = run(*command)
    assert code == 1
    assert says in out + err
    assert "tick read:accounts, read:statuses, write:statuses" in out + err


def test_a_wrong_token_is_one_line_with_the_way_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIOBOT_MASTODON_ACCESS_TOKEN", "another")
    code, out, err = run("networks", "check", "mastodon", "stdout")
    assert (code, err.count("\n")) == (1, 1)
    assert "stdout     @stdout" in out  # the others are checked all the same
    assert "wrong, revoked or expired: make a new application under Preferences" in err


def test_the_account_of_another_bot_is_refused(run: Run, bot: Callable[[str], Path], tmp_path: Path) -> None:
    with Outbox(load(None, None).home / "outbox.db", "mastodon") as outbox:
        outbox.claim_account("42", datetime.now(UTC))
    code, _, err = run("networks", "check")
    assert code == 1
    assert "the keys are @rehearsal's, but this outbox is account 42's" in err


def test_label_says_how_to_mark_a_bot(run: Run, fake: FakeMastodon) -> None:
    assert "is marked as a bot's" in run("networks", "label")[1]
    fake.bot = False
    assert "This is an automated account" in run("networks", "label")[1]


def test_stats_reads_likes_and_shows_the_best_posts(run: Run, fake: FakeMastodon) -> None:
    assert "nothing to show yet" in run("stats")[1]
    posts = [fake.state.add(f"Text {number}.", datetime.now(UTC)).id for number in range(3)]
    with Outbox(load(None, None).home / "outbox.db", "mastodon") as outbox:
        outbox.add_posted((f"Text {number}.", datetime.now(UTC), post) for number, post in enumerate(posts))
    fake.state.remember("counts", posts[1], {"favourites_count": 4, "reblogs_count": 2, "replies_count": 1})
    found = json.loads(run("stats", "--json")[1])
    assert {name: found["totals"][name] for name in ("posts", "likes", "reposts", "replies", "per_post")} == {
        "posts": 3,
        "likes": 4,
        "reposts": 2,
        "replies": 1,
        "per_post": 2.333,
    }
    assert [(each["text"], each["likes"]) for each in found["best"]] == [("Text 1.", 4)]
    assert "mastodon: 4 likes, 2 reposts, 1 reply of 3 posts, read " in run("stats")[1]
    calls = fake.state.calls()
    assert "reactions  mastodon: 4 likes, 2 reposts, 1 reply of 3 posts" in run("status")[1]
    assert json.loads(run("status", "--json")[1])["engagement"]["mastodon"]["likes"] == 4
    assert fake.state.calls() == calls


def test_stats_of_a_network_that_is_down_say_so(run: Run, fake: FakeMastodon) -> None:
    with Outbox(load(None, None).home / "outbox.db", "mastodon") as outbox:
        outbox.add_posted([("A text.", datetime.now(UTC), "1")])
    fake.fault("html-503", route="timeline")
    code, _, err = run("stats")
    assert (code, err) == (1, "biobot: mastodon: Mastodon answered HTTP 503\n")
