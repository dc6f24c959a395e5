"""The Mastodon client takes every answer of a server for what it is, and nothing for more than that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from biobot.errors import ConfigError, NetworkError, SecretsError
from biobot.networks.errors import Kind, Refused, Unknown, Unsent
from biobot.networks.mastodon.client import TOKEN as VARIABLE
from biobot.networks.mastodon.client import MastodonClient
from biobot.networks.network import Engagement, Opening
from biobot.rehearsal import mastodon
from biobot.rehearsal.mastodon import TOKEN, FakeMastodon
from biobot.settings import MastodonSettings
from biobot.testing import try_network

NOW = datetime(2026, 11, 22, 18, 0, tzinfo=UTC)
UNKNOWN, UNSENT, POSTED = "unknown", "unsent", "posted"


class Stage:
    """A fake Mastodon, a client of it, and their clock."""

    def __init__(self, home: Path) -> None:
        self.now, self.home = NOW, home
        self.fake = FakeMastodon(lambda: self.now)

    def client(self, token: str = TOKEN, **settings: Any) -> MastodonClient:
        given = {"server": self.fake.address, "timeout": timedelta(seconds=0.4), **settings}
        return MastodonClient(Opening(MastodonSettings(**given), {VARIABLE: token}, self.home, lambda: self.now))

    def post(self, text: str = "A text.", client: MastodonClient | None = None, key: str | None = None) -> str:
        client = client or self.client()
        client.me()
        made = client.make_key(text, 1, None, self.now) if key is None else key
        return client.post(client.compose(text, self.now), made)

    def stored(self) -> list[dict[str, Any]]:
        return [{**post, **self.fake.state.recall("status", post["id"])} for post in self.fake.report()["posts"]]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    with stage.fake:
        yield stage
        assert not stage.fake.crashes


@pytest.mark.parametrize("server", ["4.7.2", "none"])
def test_it_keeps_what_the_bot_relies_on(stage: Stage, server: Any) -> None:
    stage.fake.server, stage.fake.limits = server, False
    client = stage.client()
    try_network(client, lambda: stage.now)
    client.close()


OUTCOMES = {
    **dict.fromkeys(("429", "429-past", "429-missing", "429-nonsense"), "rate-limit"),
    **dict.fromkeys(("wrong-token", "revoked", "expired"), "revoked"),
    **dict.fromkeys(("unconfirmed-mail", "pending", "ip-blocked", "empty-403"), "locked"),
    "no-user": "app-only",
    "scope": "read-only",
    "suspended": "suspended",
    "closed": "gone",
    "not-found": "not-found",
    "teapot": "other",
    **dict.fromkeys(("hashtag", "invalid"), "invalid"),
    **dict.fromkeys(("moved", "moved-301"), "moved"),
    "bad-reset": POSTED,
}
"""What comes of each fault; every other one is unknown."""


@pytest.mark.parametrize("name", mastodon.FAULTS)
def test_every_answer_has_its_outcome(stage: Stage, name: str) -> None:
    client = stage.client()
    client.me()
    stage.fake.fault(name, seconds=5)
    outcome = OUTCOMES.get(name, UNKNOWN)
    if outcome == POSTED:
        assert stage.post(client=client)
    elif outcome == UNKNOWN:
        with pytest.raises(Unknown):
            stage.post(client=client)
    else:
        with pytest.raises(Refused, match=r"Mastodon refused \(") as caught:
            stage.post(client=client)
        assert caught.value.kind.value == outcome
        assert caught.value.remedy or outcome == "rate-limit"
        assert not stage.stored()


def test_nothing_is_sent_where_nobody_listens(stage: Stage) -> None:
    with pytest.raises(Unsent, match=r"Mastodon cannot be reached.*`mastodon.server`"):
        stage.client(server="http://127.0.0.1:9").me()


def test_f56_no_redirect_is_followed_and_the_new_address_is_named(stage: Stage) -> None:
    client = stage.client()
    client.me()
    stage.fake.fault("moved-301")
    with pytest.raises(Refused, match=r"moved to https://elsewhere\.invalid/api/v1/statuses"):
        stage.post(client=client)


@pytest.mark.parametrize(("fault", "wait"), [("429", 10), ("429-past", 1), ("429-missing", 15), ("429-nonsense", 15)])
def test_a_429_is_waited_out_by_the_servers_clock(stage: Stage, fault: str, wait: int) -> None:
    client = stage.client()
    client.me()
    stage.fake.off_by = timedelta(hours=3)
    stage.fake.fault(fault)
    with pytest.raises(Refused) as caught:
        stage.post(client=client)
    assert caught.value.wait is not None
    assert abs(caught.value.wait - timedelta(minutes=wait)) <= timedelta(seconds=1)


def test_a_post_has_visibility_language_and_warning(stage: Stage) -> None:
    stage.fake.default_visibility = "private"
    stage.post("The cat is on the table and it is not for you.")
    stage.post(
        "Der Hund ist auf dem Tisch und nicht für mich.",
        stage.client(visibility="public", content_warning=" Jokes "),
        "k",
    )
    german, english = stage.stored()
    assert (english["visibility"], english["language"], english["spoiler_text"]) == ("unlisted", "en", "")
    assert (german["visibility"], german["language"], german["spoiler_text"]) == ("public", "de", "Jokes")


def test_the_length_is_counted_as_the_server_counts_it(stage: Stage) -> None:
    client = stage.client(content_warning="Jokes")
    assert client.objection("x" * 495) is None
    assert client.objection("x" * 496) == "too long for Mastodon: 501 of 500 characters"
    stage.fake.max_characters = 1
    client.me()
    for text in (
        "plain",
        "see https://example.org/" + "x" * 99,
        "@a@example.org and b@example.org",
        "👨‍👩‍👧‍👦 e\u0301",
        " x ",
    ):
        assert client.length(text) == mastodon.length(text.strip(), "Jokes")


def test_the_servers_own_limits_are_read_once_a_day(stage: Stage) -> None:
    client = stage.client()
    stage.fake.max_characters = 5000
    assert client.max_length == 500
    stage.post(client=client)
    assert client.max_length == 5000
    calls = stage.fake.state.calls()
    stage.fake.max_characters = 300
    stage.post("Another.", client, "k")
    assert client.max_length == 5000
    assert stage.fake.state.calls() == calls + 4  # post and look, each counted for its route and for the token
    stage.now += timedelta(days=1, seconds=1)
    stage.fake.fault("html-503", times=2, route="instance")
    stage.post("A third.", client, "l")
    assert client.max_length == 5000
    stage.post("A fourth.", client, "m")
    assert client.max_length == 300


@pytest.mark.parametrize("server", mastodon.VERSIONS)
def test_a_key_is_sent_only_where_it_is_honoured(stage: Stage, server: Any) -> None:
    stage.fake.server = server
    client = stage.client()
    client.me()
    honoured = server not in ("none", "pleroma")
    assert client.key_lasts == (timedelta(minutes=50) if honoured else None)
    assert bool(client.make_key("A text.", 1, None, NOW)) == honoured


def test_a_server_that_says_nothing_of_itself_gets_no_key(stage: Stage) -> None:
    stage.fake.fault("not-found", route="instance")
    client = stage.client()
    client.me()
    assert (client.key_lasts, client.max_length) == (None, 500)
    assert stage.post(client=client)


def test_a_key_is_that_of_one_row_and_text(stage: Stage) -> None:
    client = stage.client()
    client.me()
    keys = {client.make_key(text, row, None, NOW) for text in ("a", "b") for row in (1, 2)}
    assert len(keys) == 4
    assert client.make_key("a", 1, None, NOW + timedelta(days=1)) in keys


def test_a_repeated_key_is_no_second_post(stage: Stage) -> None:
    client = stage.client()
    first = stage.post(client=client)
    assert stage.post(client=client) == first
    client.delete(first)
    with pytest.raises(Refused) as caught:
        stage.post(client=client)
    assert caught.value.kind is Kind.DELETED
    stage.fake.server = "4.6"
    stage.post("Another.", client)
    with pytest.raises(Unknown, match="HTTP 500"):
        stage.post("Another.", client)
    assert len(stage.stored()) == 2


def test_an_id_that_the_server_does_not_show_is_no_post(stage: Stage) -> None:
    client = stage.client()
    client.me()
    stage.fake.fault("silent-drop")
    with pytest.raises(Unknown, match="spam filter"):
        stage.post(client=client)
    stage.fake.fault("html-503", route="status")
    assert stage.post(client=client)  # 200 with an id counts when the look fails


TEXTS = (
    "Plain & <simple> text, isn't it?",
    "Two\nlines.\n\nAnd a paragraph.",
    "See https://example.org/a?b=c&d=e and #jokes",
    "&lt;escaped&gt; &amp;amp;",
)


def test_the_timeline_is_read_as_it_was_written(stage: Stage) -> None:
    from biobot.text.normalize import published

    client = stage.client()
    for number, text in enumerate(TEXTS):
        stage.now += timedelta(minutes=1)
        stage.post(text, client, str(number))
    found = client.timeline(NOW)
    assert [published(tweet.text) for tweet in found] == [published(text) for text in reversed(TEXTS)]
    assert [tweet.text for tweet in client.timeline(stage.now - timedelta(seconds=90))] == [TEXTS[3], TEXTS[2]]


def test_a_mention_is_read_with_its_domain(stage: Stage) -> None:
    client = stage.client()
    stage.post("Thanks, @someone@example.org!", client)
    assert [tweet.text for tweet in client.timeline(NOW)] == ["Thanks, @someone@example.org!"]


def test_a_long_timeline_is_read_a_page_at_a_time(stage: Stage) -> None:
    client = stage.client()
    me = client.me()
    assert (me.id, me.handle) == (mastodon.ACCOUNT, "rehearsal")
    ids = [stage.fake.state.add(f"Text {number}.", stage.now).id for number in range(95)]
    assert [tweet.id for tweet in client.timeline(NOW, 300)] == ids[::-1]
    assert [tweet.id for tweet in client.timeline(NOW, 50)] == ids[:44:-1]
    assert client.timeline(NOW + timedelta(seconds=1)) == []


@pytest.mark.parametrize("fault", ["html-200", "null-200", "half-body", "deep-200"])
def test_a_timeline_that_is_none_tells_nothing(stage: Stage, fault: str) -> None:
    client = stage.client()
    client.me()
    stage.fake.fault(fault, route="timeline")
    with pytest.raises(NetworkError):
        client.timeline(NOW)


def test_likes_boosts_and_replies_are_read_with_a_call_or_two(stage: Stage) -> None:
    client = stage.client()
    client.me()
    ids = [stage.fake.state.add(f"Text {number}.", stage.now).id for number in range(50)]
    stage.fake.state.remember("counts", ids[12], {"favourites_count": 4, "reblogs_count": 2, "replies_count": 1})
    client.delete(ids[20])
    calls = stage.fake.state.calls()
    found = client.engagement([ids[12], ids[20], ids[49]])
    assert found == {ids[12]: Engagement(4, 2, 1), ids[49]: Engagement(0, 0, 0)}
    assert stage.fake.state.calls() == calls + 2  # one page, counted for its route and for the token
    assert client.engagement([]) == {}


def test_a_missing_scope_is_named(stage: Stage) -> None:
    stage.fake.scopes = ("profile",)
    client = stage.client()
    client.me()
    with pytest.raises(Refused) as caught:
        stage.post(client=client)
    assert caught.value.kind is Kind.READ_ONLY
    assert "read:accounts, read:statuses, write:statuses" in caught.value.remedy


def test_undo_of_what_is_gone_says_so(stage: Stage) -> None:
    client = stage.client()
    post = stage.post(client=client)
    client.delete(post)
    with pytest.raises(Refused) as caught:
        client.delete(post)
    assert caught.value.kind is Kind.NOT_FOUND


def test_server_and_token_are_asked_for(stage: Stage) -> None:
    with pytest.raises(ConfigError, match=r"mastodon\.server is empty"):
        stage.client(server="")
    with pytest.raises(SecretsError, match="BIOBOT_MASTODON_ACCESS_TOKEN is missing"):
        stage.client(token="").me()
    with pytest.raises(ValueError, match="https, or http on loopback"):
        replace(MastodonSettings(), server="http://mastodon.social")


def test_the_request_is_the_same_whenever_it_is_repeated(stage: Stage) -> None:
    client = stage.client()
    request = client.compose("Ein Text, der nicht für mich ist.", NOW)
    assert request == client.compose("Ein Text, der nicht für mich ist.", NOW + timedelta(days=30))
    assert json.loads(request)["visibility"] == "unlisted"
