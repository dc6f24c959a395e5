"""Every answer and failure is sorted: unsent, refused and why, or unknown (F2, F8, F17, F20, F42, F43)."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
import responses
import tweepy
from hypothesis import given
from hypothesis import strategies as st
from urllib3 import exceptions as urllib3

from biobot.errors import NetworkError
from biobot.networks.errors import Kind, Refused, Unknown, Unsent, classify, classify_failure
from biobot.networks.x.client import XClient
from biobot.rehearsal.faults import FAULTS
from biobot.rehearsal.server import KEYS, FakeX

EXPECTED: dict[str, Kind | type[NetworkError] | None] = {
    "429": Kind.RATE_LIMIT,
    "429-past": Kind.RATE_LIMIT,
    "429-missing": Kind.RATE_LIMIT,
    "429-nonsense": Kind.RATE_LIMIT,
    "429-daily": Kind.DAILY_LIMIT,
    "usage-cap": Kind.USAGE_CAP,
    "duplicate": Kind.DUPLICATE,
    "no-credits": Kind.NO_CREDITS,
    "suspended": Kind.SUSPENDED,
    "locked": Kind.LOCKED,
    "revoked": Kind.REVOKED,
    "read-only": Kind.READ_ONLY,
    "not-enrolled": Kind.NOT_ENROLLED,
    "app-only": Kind.APP_ONLY,
    "not-permitted": Kind.NOT_PERMITTED,
    "detail-403": Kind.NOT_PERMITTED,
    "empty-403": Kind.NOT_PERMITTED,
    "list-403": Kind.NOT_PERMITTED,
    "invalid": Kind.INVALID,
    "too-long": Kind.INVALID,
    "teapot": Kind.OTHER,
    "moved": Kind.MOVED,
    "html-503": Unknown,
    "html-503-after": Unknown,
    "json-500": Unknown,
    "html-200": Unknown,
    "null-data": Unknown,
    "no-id": Unknown,
    "list-200": Unknown,
    "empty-201": Unknown,
    "deep-200": Unknown,
    "see-other": Unknown,
    "timeout-before": Unknown,
    "timeout-after": Unknown,
    "reset-before": Unknown,
    "reset-after": Unknown,
    "half-body": Unknown,
    "slow-drip": Unknown,
    "lag": None,
    "lag-timeout": Unknown,
}


def sort(error: BaseException) -> Kind | type[BaseException]:
    return error.kind if isinstance(error, Refused) else type(error)


def test_every_fault_of_the_fake_has_its_expectation() -> None:
    assert set(EXPECTED) == set(FAULTS)
    assert {each for each in EXPECTED.values() if isinstance(each, Kind)} == set(Kind) - {
        Kind.CLOCK,
        Kind.NOT_FOUND,
        Kind.TAKEN,
        Kind.DEACTIVATED,
        Kind.GONE,
        Kind.DELETED,
    }


@pytest.mark.parametrize(("name", "expected"), EXPECTED.items(), ids=list(EXPECTED))
def test_f8_f17_f20_over_http_every_fault_is_sorted_and_the_client_lives(
    fake: FakeX, client: XClient, name: str, expected: Kind | type[NetworkError] | None
) -> None:
    if FAULTS[name].delivery.value in ("hang", "drip"):
        client.session.timeout = 0.3
    fake.fault(name)
    if expected is None:
        client.post("first")
    else:
        with pytest.raises(NetworkError) as caught:
            client.post("first")
        assert sort(caught.value) == expected
        assert "\n" not in str(caught.value)
    # F2: what the fake accepted is never reported as refused or unsent
    accepted = fake.state.tally("posts")
    assert accepted == FAULTS[name].done
    client.session.timeout = 5
    assert client.post("second")
    assert fake.state.tally("posts") == accepted + 1
    assert fake.state.tally("repeats") == 0


ROWS: list[tuple[int, Any, Kind | type[NetworkError]]] = [
    (403, {"detail": "You are not allowed to create a Tweet with duplicate content."}, Kind.DUPLICATE),
    (403, {"errors": [{"code": 187, "message": "Status is a duplicate."}]}, Kind.DUPLICATE),
    (403, {"type": "https://api.x.com/2/problems/user-suspended/", "detail": "x"}, Kind.SUSPENDED),
    (403, {"errors": [{"code": 64, "message": "Your account is suspended"}]}, Kind.SUSPENDED),
    (403, {"errors": [{"code": 326}]}, Kind.LOCKED),
    (401, {"errors": [{"code": 89, "message": "Invalid or expired token."}]}, Kind.REVOKED),
    (401, b"", Kind.REVOKED),
    (401, [1], Kind.REVOKED),
    (403, {"errors": [{"code": 226, "message": "This request looks automated."}]}, Kind.NOT_PERMITTED),
    (403, {"errors": [{"code": 185, "message": "User is over daily status update limit."}]}, Kind.DAILY_LIMIT),
    (403, {"errors": [{"code": 344}]}, Kind.DAILY_LIMIT),
    (403, {"errors": [{"code": 453}]}, Kind.NOT_ENROLLED),
    (429, {"errors": [{"code": 88, "message": "Rate limit exceeded"}]}, Kind.RATE_LIMIT),
    (429, {"title": "UsageCapExceeded"}, Kind.USAGE_CAP),
    (402, b"<html>", Kind.NO_CREDITS),
    (404, b"", Kind.NOT_FOUND),
    (400, {"errors": "no list"}, Kind.INVALID),
    (422, None, Kind.INVALID),
    (403, "a string", Kind.NOT_PERMITTED),
    (403, {"errors": [None, 7, "words"], "type": 5, "detail": {"a": 1}}, Kind.NOT_PERMITTED),
    (403, b"\xff\xfe\x00", Kind.NOT_PERMITTED),
    (403, b"[" * 100_000, Kind.NOT_PERMITTED),
    (403, b'{"status": ' + b"9" * 5000 + b"}", Kind.NOT_PERMITTED),
    (301, b"", Unknown),
    (302, b"", Unknown),
    (307, b"", Kind.MOVED),
    (408, b"", Unknown),
    (500, b"", Unknown),
    (502, b"<html>", Unknown),
    (504, {"title": "Gateway Timeout"}, Unknown),
    (200, b"", Unknown),
    (200, {"data": []}, Unknown),
    (200, {"data": {"id": None}}, Unknown),
    (200, {"data": {"id": True}}, Unknown),
    (200, {"data": {"id": "x"}}, Unknown),
    (200, {"errors": [{"detail": "no"}]}, Unknown),
    (202, None, Unknown),
]


@pytest.mark.parametrize(("status", "body", "expected"), ROWS, ids=[f"{row[0]}-{n}" for n, row in enumerate(ROWS)])
@responses.activate
def test_f8_every_row_of_answers_is_sorted(
    status: int, body: Any, expected: Kind | type[NetworkError], clock: Any
) -> None:
    client = XClient(KEYS, "https://api.twitter.com", timedelta(seconds=5), clock)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    responses.post("https://api.twitter.com/2/tweets", status=status, body=raw)
    with pytest.raises(NetworkError) as caught:
        client.post("text")
    assert sort(caught.value) == expected
    assert len(responses.calls) == 1  # F1: one request, whatever came back


@pytest.mark.parametrize(
    "error",
    [
        requests.ReadTimeout("slow"),
        requests.ConnectionError("Connection aborted."),
        requests.exceptions.ChunkedEncodingError("half"),
        requests.exceptions.ContentDecodingError("gzip"),
        AttributeError("'list' object has no attribute 'get'"),
        TypeError("x"),
        ValueError("x"),
        RecursionError("x"),
        MemoryError("x"),
        OSError(5, "x"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize(
    ("place", "sorted_as"),
    [("requests.Session.prepare_request", Unsent), ("urllib3.connection.HTTPConnection.getresponse", Unknown)],
)
def test_f42_whatever_is_raised_in_a_call_is_unsent_before_the_first_byte_and_unknown_after_it(
    fake: FakeX,
    client: XClient,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    place: str,
    sorted_as: type[NetworkError],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    client.post("text")
    monkeypatch.setattr(place, fail)
    with pytest.raises(sorted_as):
        client.post("another text")
    monkeypatch.undo()
    assert client.post("a third text")


@pytest.mark.parametrize("error", [TypeError("keys"), ValueError("no date"), RecursionError("deep")], ids=repr)
def test_what_tweepy_itself_lets_through_is_unknown_once_it_has_called(
    client: XClient, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    real = tweepy.Client.create_tweet

    def before(*_: object, **__: object) -> None:
        raise error

    def after(*given: object, **named: object) -> None:
        real(*given, **named)
        raise error

    monkeypatch.setattr(tweepy.Client, "create_tweet", after)
    with pytest.raises(Unknown, match=type(error).__name__):
        client.post("text")
    monkeypatch.setattr(tweepy.Client, "create_tweet", before)
    with pytest.raises(Unsent):
        client.post("text")


def test_f42_a_refused_connection_is_unsent(fake: FakeX, client: XClient) -> None:
    client.session.base = _nobody_home()
    with pytest.raises(Unsent, match=r"cannot be reached.*check the network"):
        client.post("text")


def test_f42_a_name_that_nobody_knows_is_unsent(client: XClient) -> None:
    client.session.base = "https://api.biobot.invalid"
    with pytest.raises(Unsent):
        client.post("text")


def test_f42_no_tls_at_the_other_end_is_unsent(fake: FakeX, client: XClient) -> None:
    client.session.base = fake.address.replace("http://", "https://")
    with pytest.raises(Unsent):
        client.post("text")
    assert fake.state.tally("posts") == 0


@pytest.mark.parametrize("off", [-7200, 7200])
def test_f43_a_401_with_a_clock_that_is_off_says_so(fake: FakeX, client: XClient, off: int) -> None:
    fake.off_by = timedelta(seconds=off)
    with pytest.raises(Refused, match=f"clock is 120 minutes {'fast' if off < 0 else 'slow'}") as caught:
        client.post("text")
    assert caught.value.kind is Kind.CLOCK


def test_f43_a_401_with_a_clock_that_is_right_does_not_blame_it(fake: FakeX, client: XClient) -> None:
    fake.fault("revoked")
    with pytest.raises(Refused) as caught:
        client.post("text")
    assert caught.value.kind is Kind.REVOKED


@given(
    st.integers(100, 599),
    st.dictionaries(st.text(), st.text()),
    st.binary() | st.text().map(json.dumps).map(str.encode),
)
def test_f8_nothing_makes_the_sorting_itself_fail(status: int, headers: dict[str, str], body: bytes) -> None:
    error = classify(status, headers, body, datetime(2026, 1, 1, tzinfo=UTC))
    assert isinstance(error, Refused if 400 <= status < 500 and status not in (408, 425, 499) else NetworkError)
    if status >= 500:
        assert isinstance(error, Unknown)


def test_a_failure_with_itself_as_its_cause_is_sorted() -> None:
    error = ValueError()
    error.args = (error,)
    assert isinstance(classify_failure(error), Unknown)


def _nobody_home() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize(
    "inner",
    [
        urllib3.NewConnectionError(None, "refused"),  # type: ignore[arg-type]
        urllib3.NameResolutionError("nowhere", None, socket.gaierror()),  # type: ignore[arg-type]
        urllib3.ConnectTimeoutError("slow"),
        urllib3.SSLError("no"),
        urllib3.ProxyError("no", OSError()),
    ],
    ids=lambda error: type(error).__name__,
)
def test_f42_what_fails_while_connecting_is_unsent_only_before_the_first_byte(inner: urllib3.HTTPError) -> None:
    error = requests.ConnectionError(urllib3.MaxRetryError(None, "/", inner))  # type: ignore[arg-type]
    assert isinstance(classify_failure(error, begun=False), Unsent)
    assert isinstance(classify_failure(error, begun=True), Unknown)
    assert isinstance(classify_failure(error), Unknown)


@pytest.mark.parametrize("status", [400, 403, 429, 500])
@pytest.mark.parametrize(
    "echo", ["Authorization: {0}", "bad header {0}", "sent: Bearer {1}", "{0}", "key {2}, token {3}"], ids=range(5)
)
def test_f39_a_server_that_echoes_a_header_puts_no_secret_into_an_error(status: int, echo: str) -> None:
    header = (
        f'OAuth oauth_consumer_key="{KEYS.api_key}", oauth_nonce="0123456789", oauth_token="{KEYS.access_token}", '
        'oauth_signature="c2lnbmF0dXJlIQ%3D%3D"'
    )
    detail = echo.format(header, KEYS.bearer_token, KEYS.api_key, KEYS.access_token)
    error = classify(status, {}, json.dumps({"detail": detail}).encode())
    secrets = (*KEYS.values(), "c2lnbmF0dXJlIQ", "0123456789")
    assert not [secret for secret in secrets if secret in str(error)]


def test_f39_the_password_of_a_proxy_is_in_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:a-password@127.0.0.1:99999")
    with pytest.raises(NetworkError) as caught:
        XClient(KEYS, "https://api.twitter.com", timedelta(seconds=3)).me()
    assert "a-password" not in str(caught.value)
