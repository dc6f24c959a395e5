"""The calls: as the account and as the app, their pages, and texts as a person reads them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import responses

from biobot.errors import SecretsError
from biobot.networks.errors import Kind, Refused, Unknown
from biobot.networks.network import Account, Engagement, Tweet
from biobot.networks.secrets import Secrets
from biobot.networks.x.client import Person, XClient
from biobot.rehearsal.server import ACCOUNT, KEYS, FakeX

BASE = "https://api.twitter.com"


@pytest.fixture
def real() -> XClient:
    return XClient(KEYS, BASE, timedelta(seconds=5))


def asked(mock: responses.RequestsMock, index: int = -1) -> dict[str, str]:
    request = mock.calls[index].request
    return {name: values[0] for name, values in parse_qs(urlsplit(str(request.url)).query).items()}


def test_posts_are_read_back_as_they_were_written(fake: FakeX, client: XClient, clock: Any) -> None:
    texts = ["R&D <3 & > all", "naïve 🌻 東京", "see https://example.org/a?b=1&c=2 and http://b.example.org", "plain"]
    ids = []
    for text in texts:
        clock.move(minutes=1)
        ids.append(client.post(text))
    found = client.timeline(clock.now - timedelta(hours=1))
    assert [tweet.text for tweet in found] == texts[::-1]
    assert [tweet.id for tweet in found] == ids[::-1]
    assert found[0].created == clock.now


def test_the_timeline_is_read_from_a_moment_on_newest_first_and_no_more_than_asked(
    fake: FakeX, client: XClient, clock: Any
) -> None:
    for number in range(30):
        clock.move(minutes=1)
        client.post(f"number {number}")
    assert [each.text for each in client.timeline(clock.now - timedelta(minutes=2))] == [
        "number 29",
        "number 28",
        "number 27",
    ]
    assert len(client.timeline(clock.now - timedelta(days=1), limit=7)) == 7
    reads = fake.state.tally("reads")
    assert len(client.timeline(clock.now - timedelta(days=1), limit=3)) == 3
    assert fake.state.tally("reads") - reads == 5  # X's least page
    assert [each.text for each in client.timeline(clock.now - timedelta(days=1), limit=200)] == [
        f"number {number}" for number in range(29, -1, -1)
    ]


def test_the_timeline_follows_pages(fake: FakeX, client: XClient, clock: Any) -> None:
    for number in range(130):
        if number % 90 == 0:
            clock.move(minutes=20)
        client.post(f"number {number}")
    assert len(client.timeline(clock.now - timedelta(days=1), limit=200)) == 130


def test_a_deleted_post_is_gone_and_deleting_it_again_says_so(fake: FakeX, client: XClient, clock: Any) -> None:
    id = client.post("text")  # noqa: A001
    client.delete(id)
    assert client.timeline(clock.now - timedelta(minutes=2)) == []
    with pytest.raises(Refused) as caught:
        client.delete(id)
    assert caught.value.kind is Kind.NOT_FOUND


def test_the_account_is_asked_for_once(fake: FakeX, client: XClient) -> None:
    assert client.me() == client.me() == Account(ACCOUNT["id"], ACCOUNT["username"], "read-write")
    assert fake.state.tally("usd") == pytest.approx(0.001)


def test_how_far_xs_clock_is_ahead_is_known_from_its_answers(fake: FakeX, client: XClient) -> None:
    assert client.clock_offset is None
    fake.off_by = timedelta(seconds=-200)
    client.me()
    assert client.clock_offset == timedelta(seconds=-200)
    fake.off_by = timedelta(hours=2)
    with pytest.raises(Refused):
        client.post("text")
    assert client.clock_offset == timedelta(hours=2)


@pytest.mark.parametrize("answer", [{}, {"data": {"deleted": False}}, {"data": None}])
def test_a_deletion_that_x_does_not_confirm_is_unknown(real: XClient, answer: Any) -> None:
    with responses.RequestsMock() as mock:
        mock.delete(f"{BASE}/2/tweets/5", json=answer)
        with pytest.raises(Unknown):
            real.delete("5")


def test_a_long_post_is_read_whole_with_its_links_written_out(real: XClient) -> None:
    tweet = {
        "id": "9",
        "text": "it begins… https://t.co/short",
        "created_at": "2026-11-22T18:00:00.000Z",
        "note_tweet": {
            "text": "it begins &amp; ends at https://t.co/a",
            "entities": {"urls": [{"url": "https://t.co/a", "expanded_url": "http://example.org"}, {"url": None}, 3]},
        },
    }
    with responses.RequestsMock() as mock:
        mock.get(f"{BASE}/2/users/me", json={"data": {"id": 1, "username": "x"}})
        mock.get(f"{BASE}/2/users/1/tweets", json={"data": [tweet, "nonsense"], "meta": {"result_count": 1}})
        since = datetime(2026, 11, 22, 19, tzinfo=UTC).astimezone()
        assert real.timeline(since) == [
            Tweet("9", "it begins & ends at http://example.org", datetime(2026, 11, 22, 18, tzinfo=UTC))
        ]
        assert asked(mock)["start_time"] == "2026-11-22T19:00:00Z"
        assert str(mock.calls[-1].request.headers["Authorization"]).startswith(("OAuth", "b'OAuth"))


@pytest.mark.parametrize("data", [None, {"data": None}, {"data": [], "meta": {}}, {"meta": {"next_token": None}}])
def test_an_empty_timeline_is_empty_whatever_its_shape(real: XClient, data: Any) -> None:
    with responses.RequestsMock() as mock:
        mock.get(f"{BASE}/2/users/me", json={"data": {"id": "1"}})
        mock.get(f"{BASE}/2/users/1/tweets", json=data)
        if data is None:
            with pytest.raises(Unknown):
                real.timeline(datetime(2026, 1, 1, tzinfo=UTC))
        else:
            assert real.timeline(datetime(2026, 1, 1, tzinfo=UTC)) == []


def test_a_timeline_without_end_is_not_read_for_ever_and_concludes_nothing(real: XClient) -> None:
    with responses.RequestsMock() as mock:
        mock.get(f"{BASE}/2/users/me", json={"data": {"id": "1"}})
        mock.get(f"{BASE}/2/users/1/tweets", json={"meta": {"next_token": "more"}})
        with pytest.raises(Unknown, match="does not come to an end"):
            real.timeline(datetime(2026, 1, 1, tzinfo=UTC))
        assert len(mock.calls) < 30


USER = {
    "id": "12",
    "username": "somebody",
    "name": "Some Body",
    "description": "bakes &amp; sings, https://t.co/b",
    "entities": {"description": {"urls": [{"url": "https://t.co/b", "expanded_url": "https://bread.example"}]}},
    "protected": False,
}
SOMEBODY = Person("12", "somebody", "bakes & sings, https://bread.example")

CALLS = [
    ("users", (["12"],), "/2/users", {"ids": "12"}),
    ("users_named", (["somebody"],), "/2/users/by", {"usernames": "somebody"}),
    ("followers", ("5", "T"), "/2/users/5/followers", {"max_results": "1000", "pagination_token": "T"}),
    ("following", ("5", "T"), "/2/users/5/following", {"max_results": "1000", "pagination_token": "T"}),
    ("list_members", ("5", "T"), "/2/lists/5/members", {"max_results": "100", "pagination_token": "T"}),
]


@pytest.mark.parametrize(("method", "given", "route", "expected"), CALLS, ids=[call[0] for call in CALLS])
def test_collecting_asks_for_the_largest_page_as_the_app(
    real: XClient, method: str, given: tuple[Any, ...], route: str, expected: dict[str, str]
) -> None:
    missing = {"resource_id": "13", "title": "Not Found Error"}
    document = {"data": [USER], "errors": [missing], "meta": {"next_token": "N"}}
    with responses.RequestsMock() as mock:
        mock.get(BASE + route, json=document, headers={"X-Rate-Limit-Remaining": "3"})
        page = getattr(real, method)(*given)
        assert asked(mock) == {**expected, "user.fields": "description,entities,protected,withheld"}
        assert mock.calls[0].request.headers["Authorization"] == f"Bearer {KEYS.bearer_token}"
    assert (page.people, page.next, page.errors, page.posts) == ((SOMEBODY,), "N", (missing,), 0)
    assert page.headers["x-rate-limit-remaining"] == "3"


def test_searching_gives_the_authors_and_counts_the_posts_that_are_paid_for(real: XClient) -> None:
    document = {"data": [{"id": "1"}, {"id": "2"}], "includes": {"users": [USER]}, "meta": {}}
    with responses.RequestsMock() as mock:
        mock.get(f"{BASE}/2/tweets/search/recent", json=document)
        page = real.search("baking", "T")
        assert asked(mock) == {
            "query": "baking",
            "max_results": "100",
            "next_token": "T",
            "expansions": "author_id",
            "user.fields": "description,entities,protected,withheld",
        }
    assert (page.people, page.next, page.posts) == ((SOMEBODY,), None, 2)


@pytest.mark.parametrize(
    "document", [{}, {"data": None}, {"data": "x"}, {"data": [], "errors": None, "meta": None, "includes": []}]
)
def test_a_page_without_people_is_empty(real: XClient, document: dict[str, Any]) -> None:
    with responses.RequestsMock() as mock:
        mock.get(f"{BASE}/2/users/5/followers", body=json.dumps(document))
        page = real.followers("5")
    assert (page.people, page.next, page.errors) == ((), None, ())


def test_protected_and_withheld_people_are_marked(real: XClient) -> None:
    users = [{**USER, "protected": True}, {**USER, "withheld": {"country_codes": ["XY"]}}]
    with responses.RequestsMock() as mock:
        mock.get(f"{BASE}/2/users", json={"data": users})
        people = real.users(["12"]).people
    assert [(each.protected, each.withheld) for each in people] == [(True, False), (False, True)]


def test_missing_keys_are_named_before_any_call() -> None:
    with responses.RequestsMock():
        nobody = XClient(Secrets(bearer_token="only-for-reading"), BASE, timedelta(seconds=5))
        with pytest.raises(SecretsError, match="BIOBOT_X_API_KEY"):
            nobody.post("text")
        with pytest.raises(SecretsError, match="BIOBOT_X_BEARER_TOKEN is missing"):
            XClient(Secrets(), BASE, timedelta(seconds=5)).users(["1"])


def test_likes_are_read_only_where_the_owner_pays_for_it(fake: FakeX, client: XClient) -> None:
    ids = [client.post(f"Text {number}.") for number in range(3)]
    fake.state.remember("counts", ids[1], {"like_count": 4, "retweet_count": 2, "quote_count": 1, "reply_count": 5})
    spent = fake.state.tally("usd")
    assert client.engagement(ids) == {}
    assert fake.state.tally("usd") == spent
    client.counts = True
    client.delete(ids[2])
    spent = fake.state.tally("usd")
    assert client.engagement(ids) == {ids[0]: Engagement(0, 0, 0), ids[1]: Engagement(4, 3, 5)}
    assert fake.state.tally("usd") == pytest.approx(spent + 0.002)
