"""Bluesky, on the fake and on a real PDS alike: one record a key, whatever happens to the calls."""

from __future__ import annotations

import json
import socket
import stat
import struct
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from biobot.errors import SecretsError
from biobot.networks.bluesky.errors import EXPIRED, NAMES
from biobot.networks.bluesky.record import facets, key, record, tid
from biobot.networks.errors import Kind, Refused, Unknown, Unsent
from biobot.networks.network import Engagement
from biobot.rehearsal.bluesky import FAULTS
from biobot.settings import BlueskySettings
from biobot.testing import try_network
from tests.networks.bluesky_hosts import FakeHost, Host, PdsHost
from tests.pds.server import Pds, missing

NOW = datetime(2026, 11, 26, 12, 0, 0, 123456, tzinfo=UTC)
TEXT = "A patient baker from Lisbon. Mends rivers for the fun of it. 🥖"


@pytest.fixture(params=["fake", "pds"])
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    if request.param == "pds":
        yield PdsHost(request.getfixturevalue("pds"))
        return
    fake = FakeHost()
    yield fake
    fake.fake.stop()
    assert not fake.fake.crashes


@pytest.fixture
def fake() -> Iterator[FakeHost]:
    host = FakeHost()
    yield host
    host.fake.stop()
    assert not host.fake.crashes


def put(host: Host, home: Path, text: str = TEXT, row: int = 1, **how: Any) -> tuple[str, str, str]:
    """Post a text; return its key, what was sent, and its address."""
    client = host.client(home, **how)
    made, request = client.make_key(text, row, NOW, NOW), client.compose(text, NOW)
    uri = client.post(request, made)
    client.close()
    return made, request, uri


def test_it_keeps_what_the_bot_relies_on(fake: FakeHost, tmp_path: Path) -> None:
    client = fake.client(tmp_path)
    try_network(client, lambda: NOW)
    client.close()


# -- posts -------------------------------------------------------------------------------------------


def test_a_post_is_one_record_under_its_key_however_often_it_is_sent(host: Host, tmp_path: Path) -> None:
    made, request, uri = put(host, tmp_path)
    (found,) = host.records()
    assert found["uri"] == uri == f"at://{host.account.did}/app.bsky.feed.post/{made}"
    assert found["value"] == {
        "$type": "app.bsky.feed.post",
        "text": TEXT,
        "createdAt": "2026-11-26T12:00:00.123Z",
        "langs": ["en"],
    }
    client = host.client(tmp_path)
    assert [client.post(request, made) for _ in range(3)] == [uri] * 3
    assert host.records() == [found]
    client.close()


def test_another_text_under_the_key_is_refused_and_changes_nothing(host: Host, tmp_path: Path) -> None:
    made, _, _ = put(host, tmp_path)
    before = host.records()
    client = host.client(tmp_path)
    with pytest.raises(Refused) as error:
        client.post(client.compose("Somebody else's words.", NOW), made)
    assert error.value.kind is Kind.TAKEN
    assert host.records() == before
    client.close()


def test_the_same_text_under_the_key_is_the_post_though_made_at_another_moment(host: Host, tmp_path: Path) -> None:
    made, _, uri = put(host, tmp_path)
    client = host.client(tmp_path)
    assert client.post(client.compose(TEXT, NOW + timedelta(hours=1)), made) == uri
    assert host.records()[0]["value"]["createdAt"] == "2026-11-26T12:00:00.123Z"
    client.close()


def test_what_is_deleted_is_gone_and_deleting_it_again_does_no_harm(host: Host, tmp_path: Path) -> None:
    _, _, uri = put(host, tmp_path)
    client = host.client(tmp_path)
    client.delete(uri)
    client.delete(uri)
    assert host.records() == []
    client.close()


def test_the_timeline_shows_the_own_posts_since_a_time_newest_first(host: Host, tmp_path: Path) -> None:
    client = host.client(tmp_path)
    for number in range(4):
        at = NOW + timedelta(hours=number)
        client.post(client.compose(f"number {number}", at), client.make_key("", number, at, at))
    found = client.timeline(NOW + timedelta(hours=1))
    assert [each.text for each in found] == ["number 3", "number 2", "number 1"]
    assert found[0].created == (NOW + timedelta(hours=3)).replace(microsecond=123000)
    assert [each.text for each in client.timeline(NOW, 2)] == ["number 3", "number 2"]
    client.close()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ö" * 300, None),
        ("ö" * 301, "301 of 300 characters"),
        ("👩‍👩‍👧‍👦" * 120, None),
        ("👩‍👩‍👧‍👦" * 121, "3025 of 3000 bytes"),
        ("🇵🇹e\u0301" * 150, None),
    ],
)
def test_a_text_is_too_long_for_the_bot_when_it_is_for_the_server(
    host: Host, tmp_path: Path, text: str, says: str | None
) -> None:
    client = host.client(tmp_path)
    objection = client.objection(text)
    if says is None:
        assert objection is None
        client.post(client.compose(text, NOW), client.make_key(text, 1, NOW, NOW))
    else:
        assert says in (objection or "")
        with pytest.raises(Refused) as error:
            client.post(client.compose(text, NOW), client.make_key(text, 1, NOW, NOW))
        assert error.value.kind is Kind.INVALID
    client.close()


# -- sessions ----------------------------------------------------------------------------------------


def test_a_session_outlives_the_process_and_nobody_else_can_read_it(host: Host, tmp_path: Path) -> None:
    put(host, tmp_path)
    file = tmp_path / "bluesky.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    put(host, tmp_path, "Another text.", 2, password="not-asked-for")
    assert file.read_bytes() == before
    file.chmod(0o644)
    with pytest.raises(SecretsError, match=r"bluesky\.json can be read by others; .*chmod 600"):
        host.client(tmp_path)


def test_an_expired_session_is_refreshed_and_the_new_one_kept(host: Host, tmp_path: Path) -> None:
    put(host, tmp_path)
    before = json.loads((tmp_path / "bluesky.json").read_text())
    host.expire(tmp_path)
    put(host, tmp_path, "Another text.", 2, password="not-asked-for")
    after = json.loads((tmp_path / "bluesky.json").read_text())
    assert after["refreshJwt"] != before["refreshJwt"]
    assert len(host.records()) == 2


def test_a_session_that_cannot_be_refreshed_is_begun_anew(host: Host, tmp_path: Path) -> None:
    put(host, tmp_path)
    host.expire(tmp_path)
    host.revoke(tmp_path)
    put(host, tmp_path, "Another text.", 2)
    assert len(host.records()) == 2
    time.sleep(1.1)  # a JWT's time is in whole seconds
    host.expire(tmp_path)
    host.revoke(tmp_path)
    with pytest.raises(Refused, match="revoked"):
        put(host, tmp_path, "A third text.", 3, password="by-now-wrong")


def test_a_wrong_password_says_what_to_do(host: Host, tmp_path: Path) -> None:
    with pytest.raises(Refused) as error:
        host.client(tmp_path, password="wrong").me()
    assert error.value.kind is Kind.REVOKED
    assert "make an app password" in error.value.remedy
    assert not (tmp_path / "bluesky.json").exists()


@pytest.mark.parametrize(
    ("status", "kind"),
    [("takendown", Kind.SUSPENDED), ("deactivated", Kind.DEACTIVATED), ("deleted", Kind.GONE)],
)
@pytest.mark.parametrize("logged_in", [True, False])
def test_an_account_that_may_not_post_is_told_from_a_wrong_password(
    host: Host, tmp_path: Path, status: str, kind: Kind, logged_in: bool
) -> None:
    client = host.client(tmp_path)
    request, made = client.compose(TEXT, NOW), client.make_key(TEXT, 1, NOW, NOW)
    if logged_in:
        client.me()
    host.set_status(status)
    with pytest.raises(Refused) as error:
        client.post(request, made)
    if status != "deactivated" and not logged_in and error.value.kind is Kind.REVOKED:
        assert "was taken down" in error.value.remedy  # a real PDS tells nobody whose the handle was
    else:
        assert error.value.kind is kind
    if status != "deleted" and logged_in:
        with pytest.raises(Refused) as error:
            client.timeline(NOW)
        assert error.value.kind is kind
    client.close()


def test_the_label_of_a_bot_joins_the_rest_of_the_profile(host: Host, tmp_path: Path) -> None:
    client = host.client(tmp_path)
    profile = {"$type": "app.bsky.actor.profile", "displayName": "Jester", "description": "Jokes"}
    client._put("app.bsky.actor.profile", "self", profile, None)
    assert client.label() == f"@{host.account.handle} is labelled as a bot now"
    labels = {"$type": "com.atproto.label.defs#selfLabels", "values": [{"val": "bot"}]}
    assert host.profile() == {**profile, "labels": labels}
    assert client.label() == f"@{host.account.handle} is labelled as a bot already"
    client.close()


# -- the wire ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [20, pytest.param(200, marks=pytest.mark.soak)])
def test_a_cut_connection_is_settled_by_the_same_put_at_once(host: Host, tmp_path: Path, cuts: int) -> None:
    client = host.client(tmp_path)
    place, token = urlsplit(host.address), client.me() and client._tokens["accessJwt"]  # type: ignore[index]
    for number in range(cuts):
        at = NOW + timedelta(minutes=number)
        text = f"A text whose connection is cut, number {number}."
        made, request = client.make_key(text, number, at, at), client.compose(text, at)
        body = {"repo": host.account.did, "collection": "app.bsky.feed.post", "rkey": made, "swapRecord": None}
        whole = json.dumps({**body, "record": json.loads(request)}).encode()
        with socket.create_connection((str(place.hostname), place.port or 80)) as cut:
            head = f"POST /xrpc/com.atproto.repo.putRecord HTTP/1.1\r\nHost: {place.netloc}\r\n"
            head += f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {len(whole)}"
            sent = f"{head}\r\n\r\n".encode() + whole
            cut.sendall(sent[: -1 if number % 5 == 4 else len(sent)])
            time.sleep((0, 0.002, 0.01, 0.05)[number % 4])
            if number % 2:
                cut.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert client.post(request, made).endswith(made)
    texts = [each["value"]["text"] for each in host.records()]
    assert len(texts) == len(set(texts)) == cuts
    client.close()


EXPECTED: dict[str, Kind | type[Exception] | None] = {
    **dict.fromkeys(("429", "429-past", "429-missing", "429-nonsense"), Kind.RATE_LIMIT),
    **dict.fromkeys(("expired", "wrong-token", "no-token"), None),
    "taken-down": Kind.SUSPENDED,
    "deactivated": Kind.DEACTIVATED,
    "deleted": Kind.GONE,
    **dict.fromkeys(("invalid", "slur", "too-large"), Kind.INVALID),
    "html-403": Kind.NOT_PERMITTED,
    "html-404": Kind.NOT_FOUND,
    "teapot": Kind.OTHER,
    **dict.fromkeys(("moved", "moved-301"), Kind.MOVED),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_has_its_outcome_and_the_same_put_settles_it(fake: FakeHost, tmp_path: Path, fault: str) -> None:
    client = fake.client(tmp_path, seconds=0.4)
    client.me()
    request, made = client.compose(TEXT, NOW), client.make_key(TEXT, 1, NOW, NOW)
    fake.fake.fault(fault)
    expected = EXPECTED.get(fault, Unknown)
    if expected is None:
        client.post(request, made)
    else:
        with pytest.raises(Refused if isinstance(expected, Kind) else expected) as error:
            client.post(request, made)
        if isinstance(error.value, Refused):
            assert error.value.kind is expected
            assert fake.records() == []
    assert client.post(request, made).endswith(made)
    assert len(fake.records()) == 1
    client.close()


@pytest.mark.parametrize(
    ("fault", "wait"), [("429", 600), ("429-past", 60), ("429-missing", 900), ("429-nonsense", 900)]
)
def test_how_long_to_wait_is_told_by_the_servers_own_clock(
    fake: FakeHost, tmp_path: Path, fault: str, wait: int
) -> None:
    fake.fake.off_by = timedelta(hours=1)
    client = fake.client(tmp_path)
    client.me()
    fake.fake.fault(fault)
    with pytest.raises(Refused) as error:
        client.post(client.compose(TEXT, NOW), client.make_key(TEXT, 1, NOW, NOW))
    assert error.value.wait is not None
    assert abs(error.value.wait.total_seconds() - wait) <= 2
    client.close()


@pytest.mark.parametrize("route", ["log-in", "refresh"])
@pytest.mark.parametrize("fault", ["html-503", "timeout-before", "html-200-after", "null-200"])
def test_a_session_that_does_not_come_about_leaves_the_post_unsent(
    fake: FakeHost, tmp_path: Path, route: str, fault: str
) -> None:
    if route == "refresh":
        fake.client(tmp_path).me()
        fake.expire(tmp_path)
    fake.fake.fault(fault, route=route)
    client = fake.client(tmp_path, seconds=0.4)
    with pytest.raises(Unsent):
        client.post(client.compose(TEXT, NOW), client.make_key(TEXT, 1, NOW, NOW))
    assert fake.records() == []
    client.close()


def test_a_real_pds_counts_points_and_says_when_to_come_back(tmp_path: Path) -> None:
    if why := missing():
        pytest.skip(why)
    with Pds(tmp_path / "pds", limits=True) as pds:
        host = PdsHost(pds)
        for number in range(40):
            client = host.client(tmp_path / str(number), password="wrong")
            with pytest.raises(Refused) as error:
                client.me()
            if error.value.kind is Kind.RATE_LIMIT:
                break
        assert error.value.kind is Kind.RATE_LIMIT
        assert timedelta(minutes=1) <= (error.value.wait or timedelta(0)) <= timedelta(minutes=5)


# -- records -----------------------------------------------------------------------------------------


def test_keys_sort_like_their_slots_and_are_the_same_for_the_same_row_and_text() -> None:
    keys = [key(TEXT, 5, NOW + timedelta(hours=hour)) for hour in range(100)]
    assert keys == sorted(keys)
    assert key(TEXT, 5, NOW) == key(TEXT, 5, NOW)
    assert len({key(TEXT, 5, NOW), key(TEXT, 6, NOW), key("else", 5, NOW)}) == 3
    number = 0
    for letter in tid(NOW, 1000):
        number = number << 5 | "234567abcdefghijklmnopqrstuvwxyz".index(letter)
    assert (number >> 10, number & 1023) == (1795694400123456, 1000)


def test_links_and_tags_can_be_followed_and_mentions_cannot() -> None:
    text = "🥖 Bread at https://example.com/a?b=c and example.org! #baking, #2024 #Pão. @somebody.bsky.social"
    encoded = text.encode()
    found = [
        (encoded[each["index"]["byteStart"] : each["index"]["byteEnd"]].decode(), each["features"][0])
        for each in facets(text)
    ]
    assert [(shown, feature.get("uri") or feature.get("tag")) for shown, feature in found] == [
        ("https://example.com/a?b=c", "https://example.com/a?b=c"),
        ("example.org", "https://example.org"),
        ("#baking", "baking"),
        ("#Pão", "Pão"),
    ]
    assert "facets" not in record("Nothing to follow.", NOW)


def test_the_language_is_named_only_where_the_text_tells_it() -> None:
    assert record("the cat is on the mat and it is my cat", NOW)["langs"] == ["en"]
    assert "langs" not in record("zzz", NOW)


def test_the_service_is_https_or_on_this_machine() -> None:
    assert BlueskySettings("http://127.0.0.1:2583").service
    with pytest.raises(ValueError, match="must be https"):
        BlueskySettings("http://bsky.social")


def test_likes_are_read_of_many_posts_at_once(fake: FakeHost, tmp_path: Path) -> None:
    uris = [put(fake, tmp_path, f"{TEXT} {number}", number)[2] for number in range(30)]
    fake.fake.state.remember("counts", uris[3], {"likeCount": 4, "repostCount": 2, "quoteCount": 1, "replyCount": 5})
    client = fake.client(tmp_path)
    client.delete(uris[4])
    found = client.engagement(uris)
    assert found[uris[3]] == Engagement(4, 3, 5)
    assert found[uris[29]] == Engagement(0, 0, 0)
    assert set(found) == set(uris) - {uris[4]}
    client.close()


def test_every_name_of_an_error_has_its_row_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")
    table = page.partition("## Bluesky")[2].partition("## ")[0]
    for name, (kind, _) in NAMES.items():
        row = next(line for line in table.splitlines() if f"`{name}`" in line)
        assert f"| `{kind.value}` |" in row or name in EXPIRED, name
