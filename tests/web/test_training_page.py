"""Bios are imported and a model is trained from the Training page, by what the commands use."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from biobot.app import console, corpus, training_process, training_record
from biobot.web import importing
from tests.web import scene
from tests.web.conftest import Site

_FIRST, _SECOND = ("ka", "lo", "mi", "nu", "se", "ti", "vo", "ra"), ("pel", "don", "gar", "mis", "tun")
_WORDS = [first + second for first in _FIRST for second in _SECOND]
_CHANCE = random.Random(7)
BIOS = "".join(
    json.dumps({"bio": " ".join(_CHANCE.choices(_WORDS, k=9)), "user_id": str(number)}) + "\n" for number in range(500)
)


def until(said: Callable[[], bool], seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not said():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.05)


def test_a_file_that_a_browser_sends_is_imported_as_the_command_does(site: Site) -> None:
    browser = site.browser()
    sent = (BIOS + "{broken\n").encode()
    assert browser.post("/training/import?name=some+bios.jsonl", content=sent).status_code == 204
    page = browser.get("/training/live").text
    assert "500 added, 0 stored before, 1 skipped" in page
    with corpus.open_store(site.config, read_only=True) as store:
        assert store.stats(site.config.settings.train).bios == 500
    assert browser.post("/training/import?name=../../bios.jsonl", content=sent).status_code == 204
    assert "0 added, 500 stored before" in browser.get("/training").text
    assert list((site.config.home / "web").glob("import-*")) == [], "nobody's bios are left lying about"


@pytest.mark.parametrize(
    ("name", "sent", "said"),
    [("x.parquet", b"PAR1" + bytes(600), "Parquet"), ("x.txt", b"\n\n", "no bio was found")],
)
def test_a_file_without_bios_is_told_by_what_it_is(site: Site, name: str, sent: bytes, said: str) -> None:
    browser = site.browser()
    assert browser.post(f"/training/import?name={name}", content=sent).status_code == 204
    assert said in browser.get("/training").text


def test_an_import_shows_how_far_it_is_and_can_be_cancelled(site: Site) -> None:
    browser = site.browser()

    def slow() -> Iterator[bytes]:
        yield BIOS.encode()
        until(lambda: "Receiving big.jsonl" in browser.get("/training/live").text)
        assert browser.post("/training/import/cancel").status_code == 204
        yield BIOS.encode()
        yield bytes(7)

    size = str(2 * len(BIOS.encode()) + 7)
    sender = site.browser()
    answer = sender.post("/training/import?name=big.jsonl", content=slow(), headers={"content-length": size})
    assert answer.status_code == 204
    assert "cancelled; what was stored" in browser.get("/training").text
    assert not (site.config.home / "corpus.db").exists()


def test_a_file_larger_than_it_said_and_one_without_a_session_are_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = site.stranger()
    stranger.headers["origin"] = site.url
    assert stranger.post("/training/import?name=a", content=b"x").status_code == 401
    monkeypatch.setattr(importing, "SPARE", 1 << 60)
    answer = site.browser().post("/training/import?name=a.txt", content=b"a bio of somebody")
    assert (answer.status_code, "too full" in answer.text) == (409, True)


def test_a_training_is_started_followed_and_cancelled_and_can_be_continued(site: Site) -> None:
    browser, home = site.browser(), site.config.home
    assert browser.post("/training/import?name=a.jsonl", content=BIOS.encode()).status_code == 204
    start = {"from": "", "amount": "400", "unit": "epochs", "promote": "yes"}
    assert browser.post("/training/start", data=start).status_code == 204
    until(lambda: bool((training_record.last(home) or {}).get("progress")))
    assert "KB/s" in browser.get("/training/live").text
    assert "under way" in browser.post("/training/start", data=start).text
    assert browser.post("/training/stop", data={"at_once": "yes"}).status_code == 204
    assert (training_record.last(home) or {})["outcome"] == "interrupted"
    assert browser.post("/training/stop").text == "no training is under way"
    run = console.training_run(site.config)
    assert (run is not None, run and run.alive) == (True, False)


@pytest.mark.parametrize("given", [{"amount": "0"}, {"amount": "nan"}, {"unit": "corpus"}, {"from": "--help"}])
def test_a_training_of_nonsense_is_refused(site: Site, given: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_process, "start", lambda *_: pytest.fail("it was started"))
    asked = {"from": "", "amount": "3", "unit": "epochs"} | given
    assert site.browser().post("/training/start", data=asked).status_code in (400, 409)


def test_the_page_shows_the_rate_and_the_time_left_of_any_training(site: Site) -> None:
    scene.train(site.config, datetime.now(UTC))
    page = site.browser().get("/training").text
    for shown in ("Training in progress", "step 1,050 of 2,600", "18.2 KB/s", "about 13 min left", "Stop early"):
        assert shown in page
