"""Nobody gets in who was not let in, and nothing is done that the console's own pages did not ask for."""

from __future__ import annotations

import ipaddress
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from biobot.config import load
from biobot.errors import ConfigError
from biobot.web import middleware, serve
from biobot.web.sessions import IDLE_TIMEOUT, LIFETIME, LINK_LIFETIME
from tests.web.conftest import Serve, Site


def talk(site: Site, sent: bytes, patience: float = 10) -> bytes:
    """Send raw bytes and give all that comes back until the console hangs up."""
    with socket.create_connection(site.peer, timeout=patience) as raw:
        raw.sendall(sent)
        came = b""
        while chunk := raw.recv(65536):
            came += chunk
        return came


# -- links and sessions ------------------------------------------------------------------------------


def test_a_link_opens_one_browser_once_and_is_stripped_from_the_address(site: Site) -> None:
    browser, link = site.stranger(), site.link()
    answer = browser.get(link)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert answer.headers["referrer-policy"] == "no-referrer"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert browser.get("/").status_code == 200
    other = site.stranger()
    assert other.get(link).status_code == 401
    assert other.get("/").status_code == 401


def test_a_missing_wrong_or_old_token_opens_nothing(site: Site) -> None:
    link = site.link()
    assert site.stranger().get("/?token=").status_code == 401
    assert site.stranger().get("/?token=guessed").status_code == 401
    assert site.stranger().get("/?token=../../address").status_code == 401
    site.ahead = LINK_LIFETIME
    assert site.stranger().get(link).status_code == 401
    site.ahead = timedelta(0)
    assert site.stranger().get(link).status_code == 401, "an old link was tried: it is gone"


def test_without_a_session_no_page_and_no_change_is_to_be_had(site: Site) -> None:
    (post,) = site.add("a draft that nobody may touch")
    stranger = site.stranger()
    stranger.headers["origin"] = site.url
    for path in ("/", "/lab", "/training", "/history", "/queue/live", f"/queue/{post.id}"):
        answer = stranger.get(path)
        assert answer.status_code == 401
        assert "nobody may touch" not in answer.text
    assert stranger.post(f"/queue/{post.id}/approve", data={"rev": post.rev}).status_code == 401
    forged = {"cookie": f"{site.origin.cookie}=forged"}
    assert stranger.post(f"/queue/{post.id}/approve", data={"rev": post.rev}, headers=forged).status_code == 401
    assert site.state(post) == "held"


def test_a_session_ends_when_nobody_uses_it_and_after_half_a_day_in_any_case(site: Site) -> None:
    idle, busy = site.browser(), site.browser()
    site.ahead = IDLE_TIMEOUT - timedelta(minutes=1)
    assert busy.get("/").status_code == 200
    assert idle.get("/queue/live", headers={"x-biobot-poll": "1"}).status_code == 200
    site.ahead = IDLE_TIMEOUT + timedelta(minutes=1)
    assert idle.get("/").status_code == 401, "a page that polls by itself is no person"
    assert busy.get("/").status_code == 200
    while site.ahead < LIFETIME - IDLE_TIMEOUT:
        site.ahead += IDLE_TIMEOUT / 2
        assert busy.get("/").status_code == 200
    site.ahead = LIFETIME + timedelta(minutes=1)
    assert busy.get("/").status_code == 401


def test_signing_out_ends_the_session(site: Site) -> None:
    browser = site.browser()
    assert browser.post("/sign-out").status_code == 303
    assert browser.get("/").status_code == 401


# -- other sites -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},  # another program on this very address
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "cross-site", "origin": "OURS"},
        {},  # no browser leaves both out
    ],
)
def test_a_change_that_another_site_asks_for_is_refused(site: Site, headers: dict[str, str]) -> None:
    (post,) = site.add("a draft that another site would like to see posted")
    browser = site.browser()
    del browser.headers["origin"]
    ours = {name: site.url if value == "OURS" else value for name, value in headers.items()}
    assert browser.post(f"/queue/{post.id}/approve", data={"rev": post.rev}, headers=ours).status_code == 403
    assert site.state(post) == "held"
    fair = {"origin": site.url, "sec-fetch-site": "same-origin"}
    assert browser.post(f"/queue/{post.id}/approve", data={"rev": post.rev}, headers=fair).status_code == 200


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "ours"])
def test_whoever_sends_a_body_that_is_refused_hears_why(site: Site, origin: str) -> None:
    cookies, own = cookie(site), origin == "ours"
    head = (
        f"POST /queue/bulk HTTP/1.1\r\nHost: {site.origin.host}\r\nOrigin: {site.url if own else origin}\r\n{cookies}"
    )
    with socket.create_connection(site.peer, timeout=10) as raw:
        raw.sendall(f"{head}Content-Length: 300000\r\n\r\n".encode())
        time.sleep(0.05)  # the refusal is on its way before the body
        for _ in range(3):
            raw.sendall(b"x" * 100_000)
            time.sleep(0.02)
        came = b""
        while chunk := raw.recv(65536):  # not a reset connection
            came += chunk
    assert came.split()[1] == (b"413" if own else b"403")
    assert came.endswith(b"larger than 64 KB\n" if own else b"another site\n")


def test_another_site_cannot_read_a_page_or_start_the_lab(site: Site) -> None:
    browser = site.browser()
    for mode in ("no-cors", "cors"):
        headers = {"sec-fetch-site": "same-site", "sec-fetch-mode": mode, "sec-fetch-dest": "script"}
        assert browser.get("/", headers=headers).status_code == 403
        assert browser.get("/lab/stream?temperature=1", headers=headers).status_code == 403
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert browser.get("/", headers=link).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost:{port}", "127.0.0.1", "127.0.0.1:{port}.evil.example", ""])
def test_a_name_that_was_pointed_at_this_machine_gets_nothing(site: Site, host: str) -> None:
    browser = site.browser()
    name = host.format(port=site.peer[1])
    assert browser.get("/", headers={"host": name}).status_code in (400, 421)
    assert browser.get("/static/x/y", headers={"host": name}).status_code in (400, 421)


def test_two_host_headers_are_refused(site: Site) -> None:
    came = talk(site, f"GET / HTTP/1.1\r\nHost: {site.origin.host}\r\nHost: evil.example\r\n\r\n".encode())
    assert came.split()[1] in (b"400", b"421")


# -- what is answered --------------------------------------------------------------------------------


def test_every_answer_forbids_foreign_and_inline_code(site: Site) -> None:
    browser = site.browser()
    css = next(line for line in browser.get("/").text.split('"') if line.endswith("console.css"))
    for path in ("/", css, "/nowhere", "/queue/999999"):
        headers = browser.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
    page = browser.get("/").text
    assert "<script>" not in page
    assert " style=" not in page
    assert " onclick=" not in page


def test_the_text_of_a_bio_is_only_ever_text(site: Site) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> {{ 7*7 }} hello there"
    (post,) = site.add(evil)
    browser = site.browser()
    paths = ["/", "/queue/live", f"/queue/{post.id}", f"/queue/{post.id}/edit", "/history"]
    for path in paths:
        page = browser.get(path)
        assert page.status_code == 200, path
        assert "<script>alert" not in page.text, path
        assert "<img src=x" not in page.text, path
        assert "&lt;script&gt;alert(1)" in page.text, path
        assert "{{ 7*7 }}" in page.text, path


@pytest.mark.parametrize(
    "path",
    [
        "/static/../sessions.py",
        "/static/%2e%2e/%2e%2e/errors.py",
        "/static/..%2f..%2ferrors.py/x",
        "/static//etc/passwd",
        "/static/x/console.css",
        "/static/x/..%5c..%5cerrors.py",
        "/static/vendor/htmx.LICENSE",
    ],
)
def test_no_path_leads_to_a_file_of_the_disk(site: Site, path: str) -> None:
    came = talk(site, f"GET {path} HTTP/1.1\r\nHost: {site.origin.host}\r\nConnection: close\r\n\r\n".encode())
    assert came.split()[1] == b"404"
    assert b"import" not in came


# -- size and patience -------------------------------------------------------------------------------


def test_ten_megabytes_are_refused_before_they_are_read(site: Site) -> None:
    head = f"POST /queue/bulk HTTP/1.1\r\nHost: {site.origin.host}\r\nOrigin: {site.url}\r\n{cookie(site)}"
    came = talk(site, f"{head}Content-Length: 10485760\r\n\r\nposts=".encode())
    assert came.split()[1] == b"413"
    chunks = b"10000\r\n" + b"x" * 65536 + b"\r\n" + b"1\r\nx\r\n"
    came = talk(site, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks)
    assert came.split()[1] == b"413"
    came = talk(site, f"{head}Content-Length: -1\r\n\r\n".encode())
    assert came.split()[1] in (b"400", b"413")


def cookie(site: Site) -> str:
    browser = site.browser()
    return f"Cookie: {site.origin.cookie}={browser.cookies[site.origin.cookie]}\r\n"


def test_an_endless_head_is_refused(site: Site) -> None:
    came = talk(site, b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n")
    assert came.split()[1] == b"400"


def test_a_slow_client_is_hung_up_on(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "HEAD_TIMEOUT", 0.3)
    monkeypatch.setattr(middleware, "BODY_TIMEOUT", 0.3)
    for first in (b"", b"GET / HTTP/1.1\r\nHost: x"):
        began = time.monotonic()
        with socket.create_connection(site.peer, timeout=5) as raw:
            raw.sendall(first)
            with suppress(ConnectionResetError):
                assert raw.recv(1) == b""
        assert time.monotonic() - began < 3
    head = f"POST /queue/bulk HTTP/1.1\r\nHost: {site.origin.host}\r\nOrigin: {site.url}\r\n{cookie(site)}"
    assert talk(site, f"{head}Content-Length: 100\r\n\r\nposts=".encode()).split()[1] == b"408"


def test_a_dripping_head_is_hung_up_on_though_something_comes_all_the_time(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "HEAD_TIMEOUT", 0.4)
    began = time.monotonic()
    with socket.create_connection(site.peer, timeout=5) as raw, suppress(OSError):
        for byte in b"GET / HTTP/1.1\r\nX-Slow: " + b"x" * 1000:
            raw.sendall(bytes([byte]))
            time.sleep(0.02)
    assert time.monotonic() - began < 3


# -- addresses ---------------------------------------------------------------------------------------


def test_behind_tls_only_what_came_by_tls_is_answered_and_the_cookie_travels_by_tls_only(serving: Serve) -> None:
    site = serving(public="https://bot.example.org")
    address = f"http://{site.peer[0]}:{site.peer[1]}"
    with httpx.Client(base_url=address, headers={"host": "bot.example.org"}) as browser:
        path = site.link().removeprefix(site.url)
        assert browser.get(path).status_code == 403
        answer = browser.get(path, headers={"x-forwarded-proto": "https"})
        assert answer.status_code == 303
        assert answer.headers["set-cookie"].startswith("__Host-")
        assert "secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.7", "::"])  # noqa: S104 - refused
def test_a_public_address_is_refused_without_tls_in_front(bot: Callable[[str], Path], address: str) -> None:
    bot("")
    with pytest.raises(ConfigError, match="--behind-tls"), serve.console(load(), address=address, port=0, clock=now):
        pass


@pytest.mark.parametrize("public", ["http://bot.example.org", "bot.example.org", "https://", "https://a.example/path"])
def test_what_is_in_front_must_be_an_https_origin(bot: Callable[[str], Path], public: str) -> None:
    bot("")
    with pytest.raises(ConfigError, match="origin"), serve.console(load(), port=0, public=public, clock=now):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has more than one loopback address")
def test_each_bot_has_a_loopback_address_of_its_own(tmp_path: Path) -> None:
    """A browser sends a cookie to every port of an address."""
    one, other = (load(home=tmp_path / name) for name in ("one", "other"))
    assert serve.own_address(one) == serve.own_address(one) != serve.own_address(other)
    assert ipaddress.ip_address(serve.own_address(one)).is_loopback


def now() -> datetime:
    return datetime.now(UTC)
