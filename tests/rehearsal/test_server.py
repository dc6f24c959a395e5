"""The fake X is as strict as X, remembers, and can be told to misbehave from another process (F1, F46)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from oauthlib.oauth1 import Client as Signer

from biobot.networks.errors import Kind, Refused, Unknown
from biobot.networks.x.client import XClient
from biobot.rehearsal.faults import Answer
from biobot.rehearsal.server import ACCOUNT, KEYS, FakeX, Request, Route

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)


@pytest.fixture
def fake() -> Iterator[FakeX]:
    with FakeX(lambda: NOW) as fake:
        yield fake
        assert not fake.crashes


@contextmanager
def speaking_to(fake: FakeX, **changed: str) -> Iterator[XClient]:
    client = XClient(replace(KEYS, **changed), fake.address, timedelta(seconds=5), fake.clock)
    yield client
    client.close()


def refusal(client: XClient, text: str = "text") -> Kind:
    with pytest.raises(Refused) as caught:
        client.post(text)
    return caught.value.kind


@pytest.mark.parametrize("key", ["api_key", "api_secret", "access_token", "access_secret"])
def test_a_wrong_key_of_the_four_is_401(fake: FakeX, key: str) -> None:
    with speaking_to(fake, **{key: "another"}) as client:
        assert refusal(client) is Kind.REVOKED
    assert fake.state.tallies() == {"unauthorized": 1}


def signed(fake: FakeX, method: str, path: str, **changed: Any) -> dict[str, str]:
    given = {"timestamp": str(int(NOW.timestamp())), **changed}
    signer = Signer(KEYS.api_key, KEYS.api_secret, KEYS.access_token, KEYS.access_secret, **given)
    _, headers, _ = signer.sign(fake.address + path, method)
    return {"Authorization": headers["Authorization"]}


def test_a_signature_is_for_one_method_one_address_and_one_query(fake: FakeX) -> None:
    session = requests.Session()
    session.trust_env = False
    me = fake.address + "/2/users/me"
    assert session.get(me, headers=signed(fake, "GET", "/2/users/me")).status_code == 200
    assert session.get(me, headers=signed(fake, "POST", "/2/users/me")).status_code == 401
    assert session.get(me, headers=signed(fake, "GET", "/2/users/you")).status_code == 401
    assert session.get(f"{me}?a=1", headers=signed(fake, "GET", "/2/users/me")).status_code == 401
    odd = "/2/users/me?a=%C3%BC%20%2B&b=&a=1"
    assert session.get(fake.address + odd, headers=signed(fake, "GET", odd)).status_code == 200
    session.close()


def test_a_nonce_counts_once_and_a_timestamp_five_minutes(fake: FakeX) -> None:
    session = requests.Session()
    session.trust_env = False
    me = fake.address + "/2/users/me"
    once = signed(fake, "GET", "/2/users/me")
    assert [session.get(me, headers=once).status_code for _ in range(2)] == [200, 401]
    for off, status in ((-301, 401), (-299, 200), (299, 200), (301, 401)):
        late = signed(fake, "GET", "/2/users/me", timestamp=str(int(NOW.timestamp()) + off))
        assert session.get(me, headers=late).status_code == status
    session.close()


def test_other_ways_of_signing_are_401(fake: FakeX) -> None:
    for header in ("", "Basic eDp5", "Bearer wrong", "OAuth", 'OAuth oauth_timestamp="x"', "OAuth " + "x" * 1000):
        answer = fake.answer("GET", "/2/users/me", {"authorization": header}, b"")
        assert (answer.status, answer.document["detail"]) == (401, "Unauthorized")


def test_an_app_cannot_act_as_an_account(fake: FakeX) -> None:
    bearer = {"authorization": f"Bearer {KEYS.bearer_token}"}
    answer = fake.answer("POST", "/2/tweets", bearer, b'{"text": "x"}')
    assert answer.status == 403
    assert answer.document["type"].endswith("/unsupported-authentication")


def test_a_text_is_weighed_as_x_weighs_it(fake: FakeX) -> None:
    with speaking_to(fake) as client:
        assert client.post("🌻" * 140)
        assert refusal(client, "🌻" * 141) is Kind.INVALID
        assert client.post("字" * 140)
        assert refusal(client, "字" * 141) is Kind.INVALID
        assert client.post("https://example.org/" + "x" * 1000)
        assert fake.state.tally("usd") == pytest.approx(2 * 0.015 + 0.200)
        assert client.post("a bare example.org costs as much")
        assert fake.state.tally("usd") == pytest.approx(2 * 0.015 + 2 * 0.200)
        assert refusal(client, " \n") is Kind.INVALID
    assert fake.state.tally("too-long") == 2


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"text": 5}', b'{"text": null}', b"\xff"])
def test_a_body_that_is_no_post_is_400(fake: FakeX, body: bytes) -> None:
    header = signed(fake, "POST", "/2/tweets")["Authorization"]
    assert fake.answer("POST", "/2/tweets", {"authorization": header}, body).status == 400


def test_a_text_that_is_on_the_account_is_a_duplicate_until_it_is_deleted(fake: FakeX) -> None:
    with speaking_to(fake) as client:
        first = client.post("one café")
        assert refusal(client, "one  cafe\u0301") is Kind.DUPLICATE
        assert fake.state.tally("repeats") == 1
        client.delete(first)
        assert client.post("one café")


def test_f1_rate_limits_have_real_headers_and_end_with_their_window() -> None:
    clock = [NOW]
    with FakeX(lambda: clock[0]) as fake, speaking_to(fake) as client:
        for number in range(50):
            client.post(f"number {number}")
        for number in range(50):
            clock[0] += timedelta(seconds=1)
            client.post(f"another {number}")
        with pytest.raises(Refused) as caught:
            client.post("one too many")
        assert caught.value.kind is Kind.RATE_LIMIT
        assert caught.value.wait == timedelta(seconds=900 - 50)
        assert fake.state.tally("posts") == 100
        clock[0] += caught.value.wait
        assert client.post("one too many")


def test_credit_runs_out(fake: FakeX) -> None:
    fake.usd = 0.04
    with speaking_to(fake) as client:
        for number in range(3):
            client.post(f"number {number}")
        assert refusal(client, "broke") is Kind.NO_CREDITS
    assert fake.state.tally("usd") == pytest.approx(0.045)


@pytest.mark.parametrize("query", ["max_results=4", "max_results=101", "max_results=x", "pagination_token=nobody"])
def test_a_timeline_is_asked_for_properly(fake: FakeX, query: str) -> None:
    path = f"/2/users/{ACCOUNT['id']}/tweets?{query}"
    header = signed(fake, "GET", path)["Authorization"]
    assert fake.answer("GET", path, {"authorization": header}, b"").status == 400


def test_f46_a_timeline_can_lag_behind_what_was_accepted() -> None:
    clock = [NOW]
    with FakeX(lambda: clock[0]) as fake, speaking_to(fake) as client:
        client.session.timeout = 0.2
        fake.fault("lag-timeout", seconds=90)
        with pytest.raises(Unknown):
            client.post("late")
        assert client.timeline(NOW - timedelta(minutes=2)) == []
        clock[0] += timedelta(seconds=89)
        assert client.timeline(NOW - timedelta(minutes=2)) == []
        clock[0] += timedelta(seconds=1)
        assert [tweet.text for tweet in client.timeline(NOW - timedelta(minutes=2))] == ["late"]


def test_the_state_outlives_the_server_and_two_servers_share_it(tmp_path: Path) -> None:
    for number in range(2):
        with FakeX(lambda: NOW, tmp_path / "fake.db") as fake, speaking_to(fake) as client:
            client.post(f"number {number}")
            with FakeX(lambda: NOW, tmp_path / "fake.db") as second, speaking_to(second) as other:
                texts = [each.text for each in other.timeline(NOW - timedelta(minutes=2))]
                assert texts == ["number 1", "number 0"][1 - number :]


def test_another_module_adds_routes(fake: FakeX) -> None:
    def hello(request: Request) -> Answer:
        return Answer(200, {"data": [{"id": request.parts["id"], "username": request.params["user.fields"]}]})

    routes = [Route("followers", "GET", r"/2/users/(?P<id>\d+)/followers", hello, auth=("app",), limit=1)]
    with FakeX(lambda: NOW, routes=routes) as other, speaking_to(other) as client:
        assert client.followers("77").people[0].id == "77"
        with pytest.raises(Refused) as caught:
            client.followers("77")
        assert caught.value.kind is Kind.RATE_LIMIT


def test_an_unknown_route_is_404_and_an_unknown_fault_an_error(fake: FakeX) -> None:
    assert fake.answer("GET", "/2/nowhere", {}, b"").status == 404
    with pytest.raises(ValueError, match="unknown fault 'nonsense'; choose from 429, "):
        fake.fault("nonsense")


def test_on_its_own_it_is_told_over_http_and_ends_on_sigterm(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "biobot.rehearsal", "--state", str(tmp_path / "fake.db")],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        session = requests.Session()
        session.trust_env = False
        faults = f"{address}/_fake/faults"
        assert session.post(faults, json={"name": "suspended", "times": 2}).status_code == 200
        assert session.post(faults, json={"name": "nonsense"}).status_code == 400
        assert session.post(faults, json={"nonsense": 1}).status_code == 400
        assert session.post(f"{address}/_fake/nowhere").status_code == 404
        client = XClient(KEYS, address, timedelta(seconds=5))
        assert refusal(client) is Kind.SUSPENDED
        session.post(f"{address}/_fake/clear")
        client.post("text")
        session.post(f"{address}/_fake/clock", json={"off_by": 7200})
        assert refusal(client, "later") is Kind.CLOCK
        report = json.loads(session.get(f"{address}/_fake/report").text)
        assert report["tallies"]["posts"] == 1
        assert [post["text"] for post in report["posts"]] == ["text"]
        session.close()
        client.close()
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(5) == 0
