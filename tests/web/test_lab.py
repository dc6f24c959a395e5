"""The lab: what it draws with a prefix and top-p, it queues with them, and `why` draws it again."""

from __future__ import annotations

import html
import re

import pytest

from biobot.app import health
from biobot.posting.drafts import SamplingRecord
from biobot.sampling.controls import Controls
from tests.web.conftest import Site

pytestmark = pytest.mark.usefixtures("worker_here")


def test_a_bio_that_the_lab_drew_and_queued_is_drawn_again_bit_for_bit(site: Site) -> None:
    browser = site.browser()
    wish = {"temperature": "0.7", "prefix": "I am Ö", "top_p": "0.8", "seed": "3", "n": "40"}
    page = browser.get("/lab/stream", params=wish, timeout=120).text
    assert "event: done" in page
    form = next(each for each in re.findall(r"<form.*?</form>", page) if 'name="text"' in each)
    fields = {name: html.unescape(value) for name, value in re.findall(r'name="(\w+)" value="([^"]*)"', form)}
    assert fields["text"].startswith("I am Ö")
    assert "queued" in browser.post("/lab/queue", data=fields, timeout=60).text
    with site.outbox() as outbox:
        (row,) = outbox.posts()
    assert row.text == fields["text"]
    record = SamplingRecord.read(row.controls)
    assert record.controls == Controls(top_p=0.8, prefix="I am Ö".encode())
    assert record.bits_per_byte is not None
    found = health.why(site.config, row.id)
    assert (found["same"], found["note"]) == (True, "")
    assert "redrawn: the same text" in browser.get(f"/history/{row.id}/again", timeout=60).text


def test_what_the_lab_cannot_do_is_told(site: Site) -> None:
    browser = site.browser()
    for wish, said in (
        ({"temperature": "hot"}, "are numbers"),
        ({"temperature": "0.8", "top_p": "7"}, "top-p 7.0 is not"),
        ({"temperature": "200"}, "temperature 200.0 is not"),
        ({"temperature": "0.8", "model": "nowhere"}, "there is no model"),
    ):
        assert said in browser.get("/lab/stream", params=wish, timeout=60).text
