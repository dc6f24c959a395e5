"""One bad file, row, form or client never takes the console away from its owner."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from biobot.app import console
from biobot.config import Config
from biobot.posting import transitions
from biobot.posting.post import State
from biobot.web import serve
from biobot.worker import protocol
from biobot.worker.client import Call, Worker
from biobot.worker.double import FakeWorker
from tests.web import scene
from tests.web.conftest import Site

PAGES = ("/", "/lab", "/training", "/history", "/queue/live", "/lab/live", "/training/live")


# -- cards -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "card",
    [
        {"created": "x", "dev_bits_per_byte": "<b>", "curve": "steep", "report": 7, "corpus_bios": [1]},
        {
            "created": 5,
            "dev_bits_per_byte": None,
            "curve": [1, [1, 2], [1, "a", 2, 3]],
            "report": [{"temperature": "1"}],
        },
        {"created": ["x"], "dev_bits_per_byte": 1e999, "verbatim_rate": {}, "report": [None], "corpus_bios": 1e999},
        ["no", "object"],
    ],
)
def test_a_model_whose_card_is_nonsense_takes_no_page_away(site: Site, card: Any) -> None:
    scene.train(site.config, datetime.now(UTC))
    scene.model(site.config, "odd", card)
    browser = site.browser()
    for path in PAGES:
        assert browser.get(path).status_code == 200, path
    page = browser.get("/training").text
    assert "odd" in page
    assert "2.204" in page, "the figures of the others are shown"


@pytest.mark.parametrize(
    "odd",
    [
        {"step": "x"},
        {"seconds": 1e999},
        {"seen": None},
        {"best": "<b>"},
        {"curve": [[1, 2]]},
        {"curve": [[1, 1e999, 2.0, 3.0], [1, 2, 3.0, 1e999]]},
        {"curve": 7},
        {"plan": {}},
        {"position": []},
    ],
)
def test_a_training_state_of_nonsense_takes_no_page_away(site: Site, odd: dict[str, Any]) -> None:
    scene.train(site.config, datetime.now(UTC), **odd)
    for path in ("/training", "/training/live"):
        page = site.browser().get(path)
        assert page.status_code == 200
        assert "2.204" in page.text, "the models are shown"


# -- rows --------------------------------------------------------------------------------------------


def damage(config: Config, post: int, column: str) -> None:
    with sqlite3.connect(config.home / "outbox.db") as db:
        db.execute(f"UPDATE post SET {column} = 'yesterday' WHERE id = ?", (post,))


@pytest.mark.parametrize("column", ["slot", "created", "attempted", "posted", "not_before"])
def test_a_row_with_a_damaged_time_is_named_and_the_others_are_shown(site: Site, column: str) -> None:
    _, bad, _ = site.add("the first of three drafts", "the one that is damaged", "the last of three drafts")
    damage(site.config, bad.id, column)
    for path in ("/", "/queue/live", "/history", "/history/rows"):
        page = site.browser().get(path)
        assert page.status_code == 200
        assert "the first of three drafts" in page.text
        assert "the last of three drafts" in page.text
        if path != "/history/rows":
            assert f"post {bad.id} is damaged" in page.text
    assert site.browser().get("/queue/verdicts").status_code == 200
    assert "where a time belongs" in site.browser().get(f"/history/{bad.id}").text


# -- forms -------------------------------------------------------------------------------------------

FORMS = [
    ("/queue/{post}/approve", {"rev": "x"}),
    ("/queue/{post}/approve", {}),
    ("/queue/{post}/reject", {"rev": "-1"}),
    ("/queue/{post}/approve", {"rev": "99999999999999999999"}),
    ("/queue/{post}/edit", {"text": "another text for this draft"}),
    ("/queue/{post}/edit", {"text": "another text for this draft", "rev": "²"}),
    ("/queue/99999999999999999999/approve", {"rev": "0"}),
    ("/queue/99999999999999999999/edit", {"rev": "0", "text": "a text"}),
    ("/queue/999999/approve", {"rev": "0"}),
    ("/queue/{post}/explode", {"rev": "0"}),
    ("/queue/weigh", {"text": "hello"}),
    ("/queue/weigh", {"text": "hello", "post": "x"}),
    ("/queue/verdict", {"text": "hello", "post": "1e3"}),
    ("/queue/bulk", {"posts": "{post}", "decision": "approve"}),
    ("/queue/bulk", {"posts": "{post}:0 a:b", "decision": "approve"}),
    ("/queue/bulk", {"posts": "{post}:0 1:0:0", "decision": "approve"}),
    ("/queue/bulk", {"posts": "{post}:0 99999999999999999999:0", "decision": "reject"}),
    ("/lab/queue", {}),
    ("/lab/queue", {"text": "hello there", "temperature": "hot", "seed": "1", "bits_per_byte": "2", "top_p": "1"}),
    ("/lab/queue", {"text": "hello there", "temperature": "1", "seed": "one", "bits_per_byte": "2", "top_p": "1"}),
    ("/lab/queue", {"text": "hello there", "temperature": "1", "seed": "1", "bits_per_byte": "nan", "top_p": "1"}),
    ("/history/99999999999999999999/undo", {}),
    ("/history/99999999999999999999/reconcile", {}),
    ("/training/promote", {}),
]


@pytest.mark.parametrize(("path", "fields"), FORMS, ids=[f"{path} {json.dumps(fields)}" for path, fields in FORMS])
def test_a_malformed_form_is_a_client_error_and_changes_nothing(site: Site, path: str, fields: dict[str, str]) -> None:
    (post,) = site.add("a draft that no malformed form may touch")
    browser = site.browser()
    filled = {name: value.replace("{post}", str(post.id)) for name, value in fields.items()}
    answer = browser.post(path.replace("{post}", str(post.id)), data=filled)
    refused = answer.status_code == 204 and "trouble" in answer.headers["hx-trigger"]
    assert 400 <= answer.status_code < 500 or refused, answer.text
    with site.outbox() as outbox:
        assert outbox.get(post.id) == post


@pytest.mark.parametrize(
    "path",
    [
        "/queue/99999999999999999999",
        "/queue/99999999999999999999/edit",
        "/history/99999999999999999999",
        "/history?below=x",
        "/history/rows?below=99999999999999999999",
        "/lab?temperature=hot",
        "/lab/stream?n=many",
        "/training/compare?one=starter&other=starter&temperature=hot",
    ],
)
def test_a_malformed_address_is_a_client_error(site: Site, path: str) -> None:
    assert 400 <= site.browser().get(path).status_code < 500


def test_one_decision_on_many_drafts_is_taken_on_all_or_on_none(site: Site) -> None:
    first, second, third = site.add("the first of many", "the second of many", "the third of many")
    browser = site.browser()
    assert browser.post(f"/queue/{second.id}/approve", data={"rev": second.rev}).status_code == 200
    chosen = " ".join(f"{post.id}:{post.rev}" for post in (first, second, third))
    answer = browser.post("/queue/bulk", data={"posts": chosen, "decision": "reject"})
    assert "None was rejected" in answer.headers["hx-trigger"]
    assert [site.state(post) for post in (first, second, third)] == ["held", "approved", "held"]
    answer = browser.post(
        "/queue/bulk", data={"posts": f"{first.id}:{first.rev} {third.id}:{third.rev}", "decision": "reject"}
    )
    assert "2 rejected" in answer.headers["hx-trigger"]
    assert [site.state(post) for post in (first, second, third)] == ["rejected", "approved", "rejected"]


def test_rejecting_what_may_be_on_the_network_says_that_it_is_unconfirmed(site: Site) -> None:
    (post,) = site.add("a text that was lost on its way", state=State.APPROVED)
    now = datetime.now(UTC)
    with console.open_outbox(site.config, read_only=False) as outbox:
        transitions.claim(outbox, post.id, now, review=False, charge=lambda _: None)
        row = transitions.lose_track(outbox, post.id, now, "the line went dead")
        claimed = {"charge": lambda _: None, "not_found_at": row.rev, "resend": True}
        transitions.claim(outbox, post.id, now, review=True, **claimed)  # type: ignore[arg-type]
        row = transitions.defer(outbox, post.id, now + timedelta(hours=1), now, "too many requests")
    browser = site.browser()
    answer = browser.post(f"/queue/{post.id}/reject", data={"rev": row.rev})
    assert answer.status_code == 200
    assert "Unconfirmed" in answer.text
    assert "Rejected" not in answer.text
    assert "reopen" not in answer.text
    with site.outbox() as outbox:
        rev = outbox.get(post.id).rev
        assert outbox.get(post.id).state is State.UNCONFIRMED
    assert (
        "None was rejected"
        in browser.post("/queue/bulk", data={"posts": f"{post.id}:{rev}", "decision": "reject"}).headers["hx-trigger"]
    )


# -- clients -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_a_local_user_cannot_shut_the_console_by_holding_connections_open(site: Site, sent: bytes) -> None:
    """Half a request, renewed before it times out, or a whole one whose connection is kept alive."""
    browser = site.browser()
    with ExitStack() as stack:
        for _ in range(3):
            for _ in range(serve.MAX_CONNECTIONS):
                raw = stack.enter_context(socket.create_connection(site.peer, timeout=10))
                raw.sendall(sent)
            assert browser.get("/queue/live").status_code == 200
            assert site.stranger().get("/").status_code == 401


def test_sampling_in_the_lab_keeps_no_verdict_and_no_post_waiting(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three labs sample for minutes: what a person asks meanwhile is answered at once."""
    go_on, sampling = threading.Event(), threading.Semaphore(0)

    class Slow(FakeWorker):
        def ask(self, request: protocol.Request[Any], deadline: timedelta | None = None) -> Call[Any]:
            call = super().ask(request, deadline)
            return SlowCall(call) if isinstance(request, protocol.Preview) else call

    class SlowCall(Call[Any]):
        def __init__(self, call: Call[Any]) -> None:
            self.call = call

        def receive(self) -> Any:
            sampling.release()
            go_on.wait()
            return self.call.receive()

        def close(self) -> None:
            go_on.set()

    monkeypatch.setattr(Worker, "ask", lambda self, *asked: Slow(self.config).ask(*asked))
    (post,) = site.add("a draft that somebody wants to see judged")
    browser = site.browser()
    with ThreadPoolExecutor() as pool, ExitStack() as stack:
        stack.callback(go_on.set)
        for _ in range(3):
            pool.submit(browser.get, "/lab/stream?n=1")
        pool.submit(browser.get, "/training/compare?one=starter&other=starter")
        sampling.acquire(timeout=10)
        began = time.monotonic()
        verdict = browser.post("/queue/verdict", data={"post": post.id, "text": "another text"})
        assert "passed all" in verdict.text
        answer = browser.post(f"/history/{post.id}/reconcile")
        assert "there is nothing to settle" in answer.text
        assert time.monotonic() - began < 5
        assert not go_on.is_set()
