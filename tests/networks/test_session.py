"""One call: bounded in time, signed for where it goes, sent once, followed nowhere (F1, F2, F18, F42)."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
import pytest
import requests
import responses

from biobot.networks import watchdog
from biobot.networks.errors import Refused, Unknown, Unsent
from biobot.networks.x.client import XClient
from biobot.rehearsal import signature
from biobot.rehearsal.server import KEYS, FakeX


@contextmanager
def server(handle: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve raw connections, each in a thread; give the address."""
    over = threading.Event()

    def run(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(5)
            handle(connection)

    def accept() -> None:
        while not over.is_set():
            with suppress(TimeoutError):
                threading.Thread(target=run, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        thread = threading.Thread(target=accept)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        over.set()
        thread.join()


def client_for(base: str, seconds: float = 0.4) -> XClient:
    return XClient(KEYS, base, timedelta(seconds=seconds))


def test_the_signature_is_for_the_base_that_is_called_with_its_port_and_prefix() -> None:
    base = "http://127.0.0.1:8081/a/prefix"
    with responses.RequestsMock() as mock:
        mock.post(f"{base}/2/tweets", json={"data": {"id": "7"}}, status=201)
        assert client_for(f"{base}/").post("text") == "7"
        header = mock.calls[0].request.headers["Authorization"]
        given = signature.parse(header.decode() if isinstance(header, bytes) else header)
    claimed = given.pop("oauth_signature")
    right = signature.sign("POST", f"{base}/2/tweets", list(given.items()), KEYS.api_secret, KEYS.access_secret)
    assert claimed == right


@pytest.mark.parametrize("status_line", [b"", b"HTTP/1.1 201 Created\r\ncontent-length: 100000\r\n\r\n"])
def test_f18_an_answer_that_drips_is_cut_off_in_time_and_unknown(status_line: bytes) -> None:
    def drip(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(status_line)
        while True:
            connection.sendall(b"x")
            time.sleep(0.01)

    with server(drip) as base:
        start = time.monotonic()
        with pytest.raises(Unknown):
            client_for(base).post("text")
        assert time.monotonic() - start < 2


@pytest.mark.parametrize(("call", "lasts"), [("post", True), ("timeline", False)])
def test_f18_once_the_process_shall_end_a_post_gets_its_grace_and_any_other_call_ends_at_once(
    monkeypatch: pytest.MonkeyPatch, call: str, lasts: bool
) -> None:
    grace, stop = 0.5, threading.Event()
    monkeypatch.setattr(watchdog, "GRACE", timedelta(seconds=grace))

    def stay_silent(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    with server(stay_silent) as base:
        client = XClient(KEYS, base, timedelta(seconds=5), stop=stop)
        threading.Timer(0.1, stop.set).start()
        begun = time.monotonic()
        with pytest.raises(Unknown, match="told to stop before the answer came"):
            client.post("text") if call == "post" else client.timeline(datetime(2026, 1, 1, tzinfo=UTC))
        took = time.monotonic() - begun
    assert (grace < took < 2) if lasts else took < grace


def test_f18_an_answer_that_comes_within_the_grace_counts(fake: FakeX) -> None:
    stop = threading.Event()
    stop.set()
    client = XClient(KEYS, fake.address, timedelta(seconds=5), fake.clock, stop)
    assert client.post("text")
    client.close()


def test_f18_the_cut_connection_is_really_closed() -> None:
    ended = threading.Event()

    def drip(connection: socket.socket) -> None:  # faster than any timeout of one read
        with suppress(OSError):
            while True:
                connection.sendall(b"H")
                time.sleep(0.02)
        ended.set()

    with server(drip) as base:
        with pytest.raises(Unknown):
            client_for(base, 0.2).post("text")
        assert ended.wait(2)


def test_f42_a_name_server_that_hangs_is_unsent_and_nothing_is_sent_when_it_wakes(
    fake: FakeX, monkeypatch: pytest.MonkeyPatch
) -> None:
    wake, woken = threading.Event(), threading.Event()
    real = socket.getaddrinfo

    def hang(*given: object, **named: object) -> object:
        wake.wait(5)
        woken.set()
        return real(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    start = time.monotonic()
    with pytest.raises(Unsent, match=r"no whole answer in 0\.2 s"):
        client_for(fake.address, 0.2).post("text")
    assert time.monotonic() - start < 2
    wake.set()
    assert woken.wait(2)
    for thread in threading.enumerate():
        if thread.name == "biobot-call":
            thread.join(2)
    assert fake.state.tallies() == {}


def test_a_connection_that_never_comes_about_is_unsent() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        queued = [socket.socket() for _ in range(4)]
        for each in queued:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        with pytest.raises(Unsent):
            client_for(f"http://127.0.0.1:{full.getsockname()[1]}", 0.3).post("text")
        for each in queued:
            each.close()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, which makes the certificate, is not installed")
@pytest.mark.parametrize("then", ["nothing", "garbage", "reset"])
def test_f2_tls_that_breaks_after_the_request_is_unknown_though_tls_that_never_was_is_unsent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=127.0.0.1"
    make += " -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out certificate.pem"
    subprocess.run(make.split(), cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    read: list[bytes] = []

    def break_off(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            read.append(secure.recv(65536))
            if then == "garbage":
                os.write(secure.fileno(), b"not TLS, not at all")
            if then == "reset":
                secure.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with server(break_off) as base:
        base = base.replace("http://", "https://")
        with pytest.raises(Unsent, match="CERTIFICATE_VERIFY_FAILED"):
            client_for(base, 3).post("text")
        assert read == []
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
        with pytest.raises(Unknown):
            client_for(base, 3).post("text")
        assert read[0].startswith(b"POST /2/tweets ")


def test_f2_a_connection_that_ends_after_the_request_is_unknown_and_not_tried_again() -> None:
    requests_seen: list[bytes] = []

    def swallow(connection: socket.socket) -> None:
        requests_seen.append(connection.recv(65536))

    with server(swallow) as base, pytest.raises(Unknown):
        client_for(base).post("text")
    assert len(requests_seen) == 1


def test_a_redirect_is_not_followed_so_that_no_credential_goes_elsewhere(fake: FakeX) -> None:
    seen: list[bytes] = []
    with server(lambda connection: seen.append(connection.recv(65536))) as elsewhere:
        for status in (301, 302, 303, 307, 308):
            answer = f"HTTP/1.1 {status} Moved\r\nlocation: {elsewhere}/2/tweets\r\ncontent-length: 0\r\n\r\n"

            def redirect(connection: socket.socket, answer: str = answer) -> None:
                connection.recv(65536)
                connection.sendall(answer.encode())

            with server(redirect) as base, pytest.raises((Refused, Unknown)):
                client_for(base, 2).post("text")
    assert seen == []


def test_loopback_is_never_reached_through_a_proxy(
    fake: FakeX, client: XClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    again = XClient(KEYS, fake.address, timedelta(seconds=5), fake.clock)
    assert again.post("text")
    again.close()


def test_f42_a_proxy_is_used_for_https_and_its_refusal_is_unsent(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []

    def refuse(connection: socket.socket) -> None:
        seen.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")

    with server(refuse) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        with pytest.raises(Unsent):
            client_for("https://api.twitter.com", 3).post("a text")
    assert seen[0].startswith(b"CONNECT api.twitter.com:443 ")
    assert b"oauth" not in seen[0].lower()


def test_a_netrc_does_not_replace_the_bearer_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        seen.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    with server(answer) as base:
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n", encoding="ascii")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        client_for(base, 3).users(["1"])
    assert f"Authorization: Bearer {KEYS.bearer_token}".encode() in seen[0]


def test_a_post_never_rides_on_a_connection_that_was_kept() -> None:
    connections: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        connections.append(b"")
        while request := connection.recv(65536):
            connections[-1] += request
            connection.sendall(b'HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{"data":{"id": "1"}}')

    with server(answer) as base:
        client = client_for(base, 3)
        client.timeline(datetime(2026, 1, 1, tzinfo=UTC))
        client.post("text")
        client.close()
    assert [request.count(b"HTTP/1.1") for request in connections] == [2, 1]
    assert connections[1].startswith(b"POST /2/tweets ")


def test_the_headers_of_every_answer_are_kept(fake: FakeX, client: XClient) -> None:
    client.me()
    assert client.session.answered["x-rate-limit-limit"] == "75"
    assert client.session.answered["date"] == "Sun, 22 Nov 2026 18:00:00 GMT"
    fake.fault("429-daily")
    with pytest.raises(Refused):
        client.post("text")
    assert client.session.answered["x-user-limit-24hour-remaining"] == "0"


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let SIGINT interrupt, also where whoever runs the tests ignores it (a job in the background, a test worker)."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupted_wait_cuts_the_call(fake: FakeX, client: XClient, interruptible: None) -> None:
    fake.fault("timeout-before")
    calling: list[threading.Thread] = []

    def interrupt() -> None:
        while not calling:
            calling.extend(thread for thread in threading.enumerate() if thread.name == "biobot-call")
        time.sleep(0.2)
        signal.raise_signal(signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        client.post("text")
    calling[0].join(2)
    assert not calling[0].is_alive()


def test_requests_itself_would_not_have_been_enough() -> None:
    # the reason for the watchdog: requests' timeout is for each read, so a drip outlasts it
    def drip(connection: socket.socket) -> None:
        connection.recv(65536)
        for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n":
            connection.sendall(bytes([byte]))
            time.sleep(0.01)

    with server(drip) as base:
        start = time.monotonic()
        requests.get(base, timeout=0.1)
        assert time.monotonic() - start > 0.2


AWAY = "https://api.x.invalid"


@pytest.mark.parametrize(
    ("variable", "value", "fix"),
    [
        ("HTTPS_PROXY", "socks5://127.0.0.1:9050", r"needs `pip install 'requests\[socks\]'`"),
        ("HTTPS_PROXY", "socks4a://127.0.0.1:9050", r"needs `pip install 'requests\[socks\]'`"),
        ("ALL_PROXY", "socks5h://127.0.0.1:9050", r"needs `pip install 'requests\[socks\]'`"),
        ("HTTPS_PROXY", "htp://127.0.0.1:9050", "correct the proxy in HTTPS_PROXY"),
        ("HTTPS_PROXY", "http://", "correct the proxy in HTTPS_PROXY"),
        ("HTTPS_PROXY", "http://127.0.0.1:99999999", "correct the proxy in HTTPS_PROXY"),
        ("HTTPS_PROXY", "http://127.0.0.1:port", "correct the proxy in HTTPS_PROXY"),
        ("HTTPS_PROXY", "http://[::1", "correct the proxy in HTTPS_PROXY"),
        ("REQUESTS_CA_BUNDLE", "/gone/ca.pem", "correct REQUESTS_CA_BUNDLE, or put that file back"),
    ],
)
def test_f42_what_the_environment_gets_wrong_is_unsent_with_its_fix(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, fix: str
) -> None:
    def lacking(*_: object, **__: object) -> None:
        raise requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support.")

    monkeypatch.setattr(requests.adapters, "SOCKSProxyManager", lacking)
    monkeypatch.setenv(variable, value)
    with pytest.raises(Unsent, match=fix):
        client_for(AWAY, 5).post("text")


def test_f42_a_certificate_bundle_that_vanishes_between_two_posts_is_unsent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "ca.pem"
    shutil.copy(certifi.where(), bundle)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    client = client_for("https://127.0.0.1:1", 5)
    with pytest.raises(Unsent, match="refused"):
        client.post("text")
    bundle.unlink()
    with pytest.raises(Unsent, match="put that file back"):
        client.post("text")


def test_f42_a_connection_that_ends_while_it_is_encrypted_is_unsent() -> None:
    def hang_up(connection: socket.socket) -> None:
        connection.recv(10)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with server(hang_up) as base, pytest.raises(Unsent):
        client_for(base.replace("http", "https"), 5).post("text")
