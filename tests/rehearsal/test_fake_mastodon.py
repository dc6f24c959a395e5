"""The fake Mastodon repeats keys as each kind of server does, and is as strict as Mastodon."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from biobot.rehearsal.faults import Answer, Delivery
from biobot.rehearsal.mastodon import ACCOUNT, FAULTS, TOKEN, FakeMastodon, content, length

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


class Caller:
    """Calls a fake directly, whose clock stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 13, 50, tzinfo=UTC)
        self.fake = FakeMastodon(lambda: self.now)

    def call(self, method: str, path: str, token: str | None = TOKEN, key: str = "", **form: str) -> Answer:
        headers = {"content-type": "application/x-www-form-urlencoded", "idempotency-key": key}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        return self.fake.answer(method, path, headers, urlencode(form).encode())

    def post(self, text: str = "A text.", key: str = "key", **form: str) -> Answer:
        return self.call("POST", "/api/v1/statuses", key=key, status=text, **form)

    def texts(self) -> list[str]:
        return [post["text"] for post in self.fake.report()["posts"] if not post["deleted"]]


@pytest.fixture
def on() -> Iterator[Caller]:
    caller = Caller()
    with caller.fake:
        yield caller
        assert not caller.fake.crashes


@pytest.mark.parametrize(
    ("server", "later", "posts"),
    [("4.5", 200, 1), ("4.6", 500, 1), ("4.7.2", 200, 1), ("none", 200, 2), ("pleroma", 200, 1)],
)
def test_a_key_that_is_repeated_gives_what_the_server_is_known_for(
    on: Caller, server: Any, later: int, posts: int
) -> None:
    on.fake.server = server
    first = on.post()
    again = on.post("Another text: the body is not compared.")
    assert (again.status, len(on.texts())) == (later, posts)
    if later == 200 and posts == 1:
        assert again.document["id"] == first.document["id"]
    on.now += HOUR - MINUTE
    assert on.post().status == later
    on.now += 2 * MINUTE
    on.post("A third text, after the hour.")
    assert len(on.texts()) > posts


def test_only_pleroma_keeps_a_refusal_under_its_key(on: Caller) -> None:
    assert on.post("").status == 422
    assert on.post("A text.").status == 200
    on.fake.server = "pleroma"
    assert on.post("", key="another").status == 422
    again = on.post("A text.", key="another")
    assert (again.status, again.headers["idempotent-replayed"]) == (422, "true")


@pytest.mark.parametrize(("server", "posts"), [("4.5", 2), ("4.6", 1), ("4.7.2", 1)])
def test_only_an_old_server_doubles_two_posts_at_once_with_one_key(on: Caller, server: Any, posts: int) -> None:
    on.fake.server, on.fake.latency = server, 0.2
    threads = [threading.Thread(target=on.post) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(on.texts()) == posts


def test_a_post_that_somebody_deleted_is_404_under_its_key(on: Caller) -> None:
    first = on.post()
    assert on.call("DELETE", f"/api/v1/statuses/{first.document['id']}").document["text"] == "A text."
    assert on.call("DELETE", f"/api/v1/statuses/{first.document['id']}").status == 404
    assert on.post().status == 404
    on.fake.fault("moderated")
    assert (on.post(key="another").status, on.texts()) == (504, [])
    assert on.post(key="another").status == 404


def test_a_worker_that_dies_leaves_its_lock_or_no_key(on: Caller) -> None:
    on.fake.fault("lock-left")
    assert on.post().status == 502
    assert on.post().status == 503
    on.now += timedelta(minutes=16)
    assert (on.post().status, len(on.texts())) == (200, 1)
    on.fake.fault("crash-unkeyed")
    assert on.post(key="another").status == 502
    assert (on.post(key="another").status, len(on.texts())) == (200, 3)  # a double of the server's own


def test_a_late_post_is_doubled_by_an_old_server_alone(on: Caller) -> None:
    for server, status in (("4.5", 200), ("4.7.2", 503)):
        on.fake.server = server  # type: ignore[assignment]
        on.fake.fault("late", seconds=30)
        assert on.post(key=server).status == 504
        assert on.call("GET", f"/api/v1/accounts/{ACCOUNT}/statuses").document == []
        assert on.post(key=server).status == status
        on.now += MINUTE
        shown = on.call("GET", f"/api/v1/accounts/{ACCOUNT}/statuses").document
        assert len(shown) == (2 if server == "4.5" else 1)
        for each in shown:
            on.call("DELETE", f"/api/v1/statuses/{each['id']}")


def test_spam_gets_an_id_that_was_never_stored(on: Caller) -> None:
    on.fake.fault("silent-drop")
    answer = on.post()
    assert (answer.status, on.texts()) == (200, [])
    assert on.call("GET", f"/api/v1/statuses/{answer.document['id']}").status == 404
    assert on.post().document["id"] != answer.document["id"]


def test_token_and_scopes_are_checked_and_public_posts_need_no_token(on: Caller) -> None:
    timeline, me = f"/api/v1/accounts/{ACCOUNT}/statuses", "/api/v1/accounts/verify_credentials"
    on.post(visibility="unlisted")
    on.post("For followers.", "another", visibility="private")
    assert on.call("GET", me, token=None).status == on.call("POST", "/api/v1/statuses", "wrong").status == 401
    assert len(on.call("GET", timeline, token=None).document) == 1
    on.fake.scopes = ("profile",)
    assert on.call("GET", me).status == 200
    assert on.post().status == on.call("GET", timeline).status == 403
    on.fake.scopes = ("write:statuses", "read:statuses")
    assert on.post(key="third").status == on.call("GET", timeline).status == 200
    assert on.call("GET", me).status == 403


def test_a_text_is_measured_as_mastodon_measures_it(on: Caller) -> None:
    assert length("https://example.org/" + "x" * 300) == 23
    assert length("example.org") == 11
    assert length("@someone@example.org hello") == length("@someone hello")
    assert length("👨‍👩‍👧‍👦" * 3) == length("e\u0301" * 3) == 3
    assert on.post("x" * 501).document["error"] == "Validation failed: Text character limit of 500 exceeded"
    on.fake.locale = "ja"
    assert on.post("x" * 500, spoiler_text="y").document["error"].endswith("500文字です")
    assert on.post("  ", "k", spoiler_text="A warning").document["content"] == "<p>.</p>"
    assert on.post("A text.", "l", visibility="everybody").status == 422


def test_windows_of_300_posts_are_aligned_to_the_clock(on: Caller) -> None:
    for number in range(300):
        on.now += timedelta(seconds=1)
        assert on.post(key=str(number)).status == 200
    full = on.post(key="one more")
    assert (full.status, full.headers["x-ratelimit-remaining"]) == (429, "0")
    assert full.headers["x-ratelimit-reset"] == "2026-11-22T15:00:00.000000Z"
    assert "retry-after" not in full.headers
    on.now = datetime(2026, 11, 22, 15, 0, 1, tzinfo=UTC)
    assert on.post(key="one more").status == 200


def test_the_timeline_is_paged_by_id(on: Caller) -> None:
    ids = [on.post(f"Text {number}.", str(number)).document["id"] for number in range(45)]
    timeline = f"/api/v1/accounts/{ACCOUNT}/statuses?limit=50"

    def shown(more: str = "") -> list[str]:
        return [each["id"] for each in on.call("GET", timeline + more).document]

    assert shown() == ids[:4:-1]
    assert shown(f"&max_id={ids[5]}") == ids[4::-1]
    assert shown(f"&since_id={ids[41]}") == ids[:41:-1]
    assert shown(f"&min_id={ids[0]}") == ids[40:0:-1]


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_does_what_its_entry_says(on: Caller, name: str) -> None:
    on.fake.fault(name, seconds=60)
    answer = on.post()
    fault = FAULTS[name]
    assert answer.delivery is fault.delivery
    stored = bool(on.fake.state.posts()) and name != "silent-drop"
    assert stored == (fault.done and name != "silent-drop")
    if fault.delivery is Delivery.WHOLE and fault.answer is not None:
        assert answer.status == fault.answer(on.now).status


def test_content_is_html(on: Caller) -> None:
    assert content("a < b & 'c'\nd\n\ne") == "<p>a &lt; b &amp; &#39;c&#39;<br />d</p><p>e</p>"
    assert 'href="https://example.org"' in content("see https://example.org")


def test_the_documentation_names_every_fault() -> None:
    page = Path(__file__).parents[2] / "docs" / "errors.md"
    described = page.read_text(encoding="utf-8").partition("## The fake Mastodon")[2]
    assert [name for name in FAULTS if f"`{name}`" not in described] == []
