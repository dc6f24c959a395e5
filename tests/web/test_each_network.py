"""With several networks the console shows the rows of each, says which is whose, and decides on all of them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from biobot.config import Config
from biobot.posting import locks, schedule, transitions
from biobot.posting.budget import Budget
from biobot.posting.outbox import Outbox
from biobot.posting.post import Draft, Post, State
from tests.web.conftest import Serve, Site

TOML = """\
[schedule]
every = "6h"
timezone = "UTC"
[post]
networks = ["bluesky", "x"]
review = "on"
[post.budget]
posts_per_day = 6
"""
NOW = datetime.now(UTC)


@pytest.fixture
def site(serving: Serve) -> Site:
    return serving(TOML)


@pytest.fixture
def config(site: Site) -> Config:
    return site.config


@pytest.fixture
def browser(site: Site) -> httpx.Client:
    return site.browser()


def _add(config: Config, network: str, draft: Draft, state: State = State.HELD) -> Post:
    with Outbox(config.home / "outbox.db", network) as outbox:
        (row,) = outbox.add([draft], state, NOW, "person")
        assert row is not None
        return row


def _unconfirmed(config: Config, network: str, text: str) -> None:
    row = _add(config, network, Draft(text), State.APPROVED)
    with Outbox(config.home / "outbox.db", network) as outbox:
        charge = Budget(outbox, config.settings.post).charge(row.id, "post", NOW)
        transitions.claim(outbox, row.id, NOW, review=False, charge=charge)
        transitions.lose_track(outbox, row.id, NOW, "no answer")


def _words(page: str) -> str:
    """Return what a reader sees of a page."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


def test_the_queue_shows_the_drafts_of_each_network_and_names_it(config: Config, browser: httpx.Client) -> None:
    slots = schedule.next_slots(config.settings.schedule, NOW, 2)
    one = _add(config, "bluesky", Draft("A baker of moons.", slots[0]), State.APPROVED)
    _add(config, "x", Draft("A baker of moons.", slots[0], origin=one.id), State.APPROVED)
    _add(config, "x", Draft("A keeper of goats.", slots[1]))
    page = _words(browser.get("/").text)
    assert "on Bluesky · goes out" in page
    assert page.count("on X · ") == 2
    assert "A baker of moons. will be posted on Bluesky will be posted on X" in page, "the slot's text stands once"
    assert "A keeper of goats. to review on X" in page
    assert "1 to review" in page, "the mark in the menu counts every network's"
    assert "Networks Bluesky stopped, no post yet X stopped, no post yet" in page
    assert "Posts today (UTC) on Bluesky 0 of 6" in page
    assert "Posts today (UTC) on X 0 of 6" in page
    assert "A keeper of goats." in browser.get("/queue/live").text


def test_the_history_shows_the_rows_of_each_network_and_names_it(config: Config, browser: httpx.Client) -> None:
    for network, text in (("bluesky", "One."), ("x", "Two."), ("rehearsal", "From before.")):
        with Outbox(config.home / "outbox.db", network) as outbox:
            outbox.add_posted([(text, NOW, f"id-{network}")])
    _unconfirmed(config, "x", "Nobody knows.")
    page = browser.get("/history").text
    said = _words(page)
    for shown in ("Bluesky posted One.", "X posted Two.", "the fake X posted From before.", "Nobody knows. On X. Sent"):
        assert shown in said
    assert "Posted 3 Unconfirmed 1" in said
    (post,) = re.findall(r'hx-get="/history/(\d+)"[^>]*>(?:(?!</summary>).)*Two\.', page, re.DOTALL)
    assert "Network X" in _words(browser.get(f"/history/{post}").text)


def test_the_rows_of_all_networks_are_paged_as_one_list(config: Config, browser: httpx.Client) -> None:
    for number, network in enumerate(("bluesky", "x")):
        with Outbox(config.home / "outbox.db", network) as outbox:
            posts = [
                (f"{network} {at}.", NOW - timedelta(hours=2 * at + number), f"{network}-{at}") for at in range(40)
            ]
            outbox.add_posted(posts)
    first = browser.get("/history").text
    (older,) = re.findall(r'hx-get="(/history/rows[^"]*)"', first)
    pages = first, browser.get(older.replace("&amp;", "&")).text
    found = [re.findall(r"(bluesky|x) (\d+)\.", page) for page in pages]
    assert [len(each) for each in found] == [50, 30]
    assert found[0][:4] == [("bluesky", "0"), ("x", "0"), ("bluesky", "1"), ("x", "1")]
    assert len({*found[0], *found[1]}) == 80


def test_one_network_is_not_named_where_there_is_no_other(serving: Serve) -> None:
    site = serving("")
    with Outbox(site.config.home / "outbox.db", "rehearsal") as outbox:
        outbox.add_posted([("One.", NOW, "1")])
    assert "the fake X posted" not in _words(site.browser().get("/history").text)
    assert "Networks" not in _words(site.browser().get("/").text)


def test_a_person_decides_on_the_second_networks_draft(config: Config, browser: httpx.Client) -> None:
    (slot,) = schedule.next_slots(config.settings.schedule, NOW, 1)
    _add(config, "bluesky", Draft("Another text in the same slot.", slot))
    row = _add(config, "x", Draft("A keeper of goats.", slot))
    assert browser.post(f"/queue/{row.id}/approve", data={"rev": "1"}).status_code == 200
    assert browser.post(f"/queue/{row.id}/reopen", data={"rev": "2"}).status_code == 200
    assert browser.post(f"/queue/{row.id}/approve", data={"rev": "3"}).status_code == 200
    with Outbox(config.home / "outbox.db", "x") as outbox:
        assert outbox.get(row.id).slot == slot, "the other network's draft has its own slot"
    with locks.lock(config.home, locks.DAEMON, "a test", NOW):
        assert browser.post(f"/queue/{row.id}/now").status_code == 204
    with Outbox(config.home / "outbox.db", "x") as outbox:
        assert outbox.get(row.id).slot is None
        assert [each.slot for each in outbox.posts(everywhere=True)] == [slot, None]
