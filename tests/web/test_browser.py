"""Every flow of the console in Chromium, against a real server with a real outbox, model and filters."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from biobot.app import console
from biobot.config import Config, load
from biobot.model.registry import Registry
from biobot.posting import locks, transitions
from biobot.posting.budget import Budget
from biobot.posting.drafts import SamplingRecord
from biobot.posting.post import Draft, Post, State
from biobot.taste.marks import Marks
from biobot.web import tuning
from biobot.worker.client import Worker
from biobot.worker.double import FakeWorker
from biobot.worker.protocol import Sweep
from tests.web import scene
from tests.web.browser import CHROMIUM, Served, chromium, served

AXE = Path(__file__).parent / "vendor" / "axe-4.14.1.min.js"

if CHROMIUM is None and os.environ.get("CI") == "true":
    pytest.fail("Chromium is missing: apt-get install chromium", pytrace=False)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is missing: apt-get install chromium")

expect.set_options(timeout=10_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, chromium(playwright) as opened:
        yield opened


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scene.build(tmp_path_factory.mktemp("scene") / "loombot").folder


@pytest.fixture
def config(built: Path, tmp_path: Path) -> Config:
    shutil.copytree(built, tmp_path / "loombot")
    return load(tmp_path / "loombot" / "biobot.toml", environ={})


@pytest.fixture
def real_worker() -> None:
    """Makes a test sample and judge in processes, as the console does; the others have answers made up."""


@pytest.fixture(autouse=True)
def quick_answers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "real_worker" not in request.fixturenames:
        monkeypatch.setattr(Worker, "ask", lambda self, *asked: FakeWorker(self.config).ask(*asked))


@pytest.fixture
def site(config: Config) -> Iterator[Served]:
    with served(config) as opened:
        yield opened


@pytest.fixture
def page(browser: Browser, site: Served) -> Iterator[Page]:
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        yield visit(context, site)


def visit(context: BrowserContext, site: Served, path: str = "/") -> Page:
    """Open a signed-in page whose every console message of any weight fails the test."""
    page = context.new_page()
    page.on("pageerror", lambda error: pytest.fail(f"the page broke: {error}"))
    page.goto(site.link())
    if path != "/":
        page.goto(f"{site.url}{path}")
    expect(page.locator("html[data-ready=yes]")).to_be_attached()
    return page


def rows(config: Config, *states: State) -> list[Post]:
    with console.open_outbox(config) as outbox:
        return console.by_slot(outbox.posts(*states))


def state(config: Config, post: int) -> str:
    with console.open_outbox(config) as outbox:
        return str(outbox.get(post).state)


# -- the queue ---------------------------------------------------------------------------------------


def test_a_queue_is_worked_through_by_keyboard_alone(page: Page, config: Config) -> None:
    first, second, third = rows(config, State.HELD)[:3]
    expect(page.locator("#held-count")).to_contain_text("5")
    page.keyboard.press("j")
    expect(page.locator(f"#draft-{first.id}")).to_be_focused()
    page.keyboard.press("a")
    expect(page.locator(f"#draft-{first.id}")).to_contain_text("Approved")
    assert state(config, first.id) == "approved"
    expect(page.locator("#held-count")).to_contain_text("4")
    expect(page.locator("#timeline .approved")).to_have_count(2)

    expect(page.locator(f"#draft-{second.id}")).to_be_focused()
    page.keyboard.press("r")
    expect(page.locator(f"#draft-{second.id}")).to_contain_text("Rejected")
    assert state(config, second.id) == "rejected"
    expect(page.locator(f"#draft-{third.id}")).to_be_focused()
    page.keyboard.press("u")
    expect(page.locator(f"#draft-{second.id} [data-key=a]")).to_be_visible()
    assert state(config, second.id) == "held"

    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()


def test_a_page_that_refreshes_itself_during_a_decision_keeps_its_row_and_its_undo(page: Page, config: Config) -> None:
    first, second = rows(config, State.HELD)[:2]
    on_the_way: list[Any] = []
    page.route("**/approve", lambda route: on_the_way.append((route, route.fetch())))
    page.keyboard.press("j")
    page.keyboard.press("a")
    while not on_the_way:
        page.wait_for_timeout(20)
    page.evaluate("document.dispatchEvent(new Event('changed'))")
    expect(page.locator("#held-count")).to_contain_text("4")
    ((route, answer),) = on_the_way
    route.fulfill(response=answer)
    expect(page.locator(f"#draft-{first.id}")).to_contain_text("Approved")
    expect(page.locator(f"#draft-{second.id}")).to_be_focused()
    page.keyboard.press("u")
    expect(page.locator(f"#draft-{first.id} [data-key=a]")).to_be_visible()


def test_every_filters_verdict_stands_under_a_draft(real_worker: None, page: Page, config: Config) -> None:
    draft = rows(config, State.HELD)[0]
    verdict = page.locator(f"#verdict-{draft.id}")
    expect(verdict).to_contain_text("passed all")
    verdict.locator("summary").click()
    for name in ("length", "profanity", "dedupe"):
        expect(verdict).to_contain_text(name)


def test_an_edit_is_weighed_and_judged_as_it_is_written_and_saved_only_if_it_passes(
    real_worker: None, page: Page, config: Config
) -> None:
    draft = rows(config, State.HELD)[0]
    card = page.locator(f"#draft-{draft.id}")
    page.keyboard.press("j")
    page.keyboard.press("e")
    area = card.locator("textarea")
    expect(area).to_be_focused()
    area.fill("short")
    expect(card.locator(".counter")).to_have_text("5 of 280")
    expect(card.locator(".verdicts")).to_contain_text("too short")
    page.keyboard.press("Control+Enter")
    expect(card.locator("[role=alert]")).to_contain_text("too short")
    expect(area).to_have_value("short")
    area.fill("👩‍👩‍👧‍👦 a family that weighs two, and a cat that weighs nothing")
    expect(card.locator(".counter")).to_have_text("58 of 280")
    expect(card.locator(".verdicts")).to_contain_text("passed all")
    card.get_by_role("button", name="Save").click()
    expect(card.locator(".bio")).to_contain_text("a cat that weighs nothing")
    expect(card.locator(".chip.wait")).to_have_text("edited by you")
    assert rows(config, State.HELD)[0].text == "👩‍👩‍👧‍👦 a family that weighs two, and a cat that weighs nothing"


def test_of_two_browsers_the_slower_is_told_kindly(browser: Browser, site: Served, config: Config) -> None:
    draft = rows(config, State.HELD)[0]
    with browser.new_context() as one, browser.new_context() as other:
        quick, slow = visit(one, site), visit(other, site)
        slow.evaluate("refresh = () => {}")  # as if its poll were still to come
        slow.locator(f"#draft-{draft.id} [data-key=e]").click()
        slow.locator("textarea").fill("a text that comes too late to be of any use to anybody")
        quick.locator(f"#draft-{draft.id} [data-key=a]").click()
        expect(quick.locator(f"#draft-{draft.id}")).to_contain_text("Approved")
        slow.get_by_role("button", name="Save").click()
        expect(slow.locator(f"#draft-{draft.id} [role=alert]")).to_contain_text("changed since")
        expect(slow.locator("textarea")).to_have_value("a text that comes too late to be of any use to anybody")
    assert rows(config, State.APPROVED)[-1].text == draft.text


def test_what_the_daemon_does_meanwhile_is_seen_without_a_reload(page: Page, config: Config) -> None:
    ready = rows(config, State.APPROVED)[0]
    page.locator("[data-key=e]").nth(2).click()
    page.locator("textarea").fill("half a thought that must not be lost")
    expect(page.locator("#health")).to_contain_text("stopped")
    now = datetime.now(UTC)
    with (
        locks.lock(config.home, locks.DAEMON, "biobot run", now),
        console.open_outbox(config, read_only=False) as outbox,
    ):
        charge = Budget(outbox, config.settings.post).charge(ready.id, "post", now)
        transitions.claim(outbox, ready.id, now, review=True, charge=charge)
        transitions.confirm(outbox, ready.id, "1", now)
        expect(page.locator(f"#draft-{ready.id}")).to_have_count(0)
        expect(page.locator("#health")).to_contain_text("running")
        expect(page.locator("#budget")).to_contain_text("of 6")
    expect(page.locator("textarea")).to_have_value("half a thought that must not be lost")


def test_many_drafts_take_one_decision(page: Page, config: Config) -> None:
    page.locator("#pick-all").check()
    expect(page.locator("#bulk")).to_contain_text("5 selected")
    page.locator(".pick input").first.uncheck()
    page.get_by_role("button", name="Approve", exact=True).last.click()
    expect(page.locator("#toast")).to_contain_text("4 approved")
    expect(page.locator("#held-count")).to_contain_text("1")
    assert len(rows(config, State.APPROVED)) == 5


def test_nothing_on_the_page_jumps_while_it_loads(page: Page) -> None:
    expect(page.locator("[data-ask]")).to_have_count(0)
    moved = page.evaluate(
        "new Promise(done => new PerformanceObserver(list => done(list.getEntries().reduce("
        "(sum, each) => sum + each.value, 0))).observe({type: 'layout-shift', buffered: true}) || "
        "setTimeout(() => done(0), 500))"
    )
    assert moved < 0.01


# -- the lab -----------------------------------------------------------------------------------------


def test_the_lab_streams_tinted_bios_and_queues_one(
    real_worker: None, page: Page, site: Served, config: Config
) -> None:
    before = len(rows(config, State.HELD))
    page.goto(f"{site.url}/lab")
    page.locator("#seed").fill("5")
    page.locator("#n").select_option("12")
    page.get_by_role("button", name="Draw bios").click()
    expect(page.locator("#lab-state")).to_contain_text("12 bios", timeout=60_000)
    expect(page.locator(".sample")).to_have_count(12)
    expect(page.locator("#tally")).to_contain_text("of 12")
    tinted = page.locator(".tint i[class]").first
    by_entropy = tinted.evaluate("each => getComputedStyle(each).backgroundColor")
    page.get_by_text("Plain").click()
    assert tinted.evaluate("each => getComputedStyle(each).backgroundColor") != by_entropy
    page.locator(".sample.ok button").first.click()
    expect(page.locator(".sample .chip", has_text="queued for review")).to_be_visible()
    assert len(rows(config, State.HELD)) == before + 1
    assert "seed=5" in page.url


def test_drafts_are_rated_by_the_keys_of_the_command(page: Page, site: Served, config: Config) -> None:
    def marked() -> list[tuple[str, float | None]]:
        with Marks(config.home / "taste.db", read_only=True) as marks:
            return [(each.candidate.text, each.value) for each in marks.newest()]

    page.goto(f"{site.url}/rate")
    shown = page.locator("#to-rate > li >> visible=true").locator(".bio")
    expect(shown).to_have_count(1)
    first = shown.inner_text()
    page.keyboard.press("3")
    expect(page.locator("#rate-count")).to_contain_text("1 mark,")
    expect(shown).not_to_have_text(first)
    second = shown.inner_text()
    page.keyboard.press("0")
    expect(page.locator("#rate-count")).to_contain_text("2 marks")
    assert marked() == [(first, 3.0), (second, 0.0)]

    page.keyboard.press("u")
    expect(shown).to_have_text(second)
    expect(page.locator("#rate-count")).to_contain_text("1 mark,")
    page.keyboard.press("1")
    expect(page.locator("#rate-count")).to_contain_text("2 marks")
    skipped = shown.inner_text()
    page.keyboard.press("s")
    expect(shown).not_to_have_text(skipped)
    assert marked() == [(first, 3.0), (second, 1.0)]

    for number in range(3, 21):  # more drafts than were fetched at first
        page.keyboard.press("2")
        expect(page.locator("#rate-count")).to_contain_text(f"{number} marks")
    expect(page.locator("#rate-learnt")).to_contain_text("taste is in use")
    page.keyboard.press("q")
    expect(page.locator("h1")).to_have_text("Queue")


def test_a_mark_that_cannot_be_kept_leaves_its_draft_on_the_page(page: Page, site: Served, config: Config) -> None:
    page.goto(f"{site.url}/rate")
    shown = page.locator("#to-rate > li >> visible=true").locator(".bio")
    text = shown.inner_text()
    (config.home / "taste.db").write_bytes(b"this is no database" * 100)
    page.keyboard.press("2")
    expect(page.locator("#toast")).to_contain_text("taste.db is no SQLite database")
    expect(shown).to_have_text(text)


def test_queue_and_lab_are_sorted_by_score(real_worker: None, page: Page, site: Served, config: Config) -> None:
    with console.open_outbox(config, read_only=False) as outbox:
        for number, score in enumerate((0.4, 2.8, 1.7)):
            noted = SamplingRecord(score=score, best_of=100).write()
            outbox.add(
                [Draft(f"The text with the score {score}", None, 0.8, number, "starter", noted)], State.HELD, site.now()
            )
    page.goto(site.url)
    page.get_by_label("Sort by").select_option("score")
    expect(page.locator("#drafts li .bio").first).to_have_text("The text with the score 2.8")
    expect(page.locator("#drafts li .bio").nth(1)).to_have_text("The text with the score 1.7")
    expect(page.locator("#drafts li .bio").nth(2)).to_have_text("The text with the score 0.4")
    page.goto(f"{site.url}/lab?temperature=0.7&seed=5&n=12")
    expect(page.locator("#lab-state")).to_contain_text("12 bios", timeout=60_000)
    page.get_by_text("Best first").click()
    scores = [
        float(each or -1) for each in page.locator(".sample").evaluate_all("all => all.map(x => x.dataset.score)")
    ]
    assert scores == sorted(scores, reverse=True)
    assert max(scores) > 0
    page.get_by_text("As drawn").click()
    at = page.locator(".sample").evaluate_all("all => all.map(x => Number(x.dataset.at))")
    assert at == sorted(at)


def test_the_curves_of_a_sweep_are_drawn_and_read_out(browser: Browser, config: Config) -> None:
    scene.tune(config)
    with served(config) as site, browser.new_context() as context:
        page = visit(context, site, "/lab")
        expect(page.locator("#curves canvas")).to_have_count(4)
        expect(page.get_by_role("img", name="Accepted over temperature: 31% at 0.4")).to_be_visible()
        expect(page.locator("#curves")).to_contain_text("Recommended: temperatures = [0.6, 0.8]")


def test_the_measure_button_sweeps_in_a_worker_and_draws_what_it_found(
    real_worker: None, page: Page, site: Served, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "SWEEP", Sweep((0.5, 1.0), bios=10))
    page.goto(f"{site.url}/lab")
    page.get_by_role("button", name="Measure").click()
    expect(page.locator("#curves [role=status]")).to_contain_text("Measuring: 0 temperatures done")
    expect(page.get_by_role("button", name="Measure")).to_have_count(0)
    expect(page.get_by_role("button", name="Measure again")).to_be_visible(timeout=120_000)
    expect(page.locator("#curves canvas")).to_have_count(4)
    expect(page.get_by_role("img", name="Accepted over temperature")).to_have_attribute(
        "aria-label", re.compile(r"\d+% at 0\.5, \d+% at 1$")
    )
    page.reload()
    expect(page.locator("#curves canvas")).to_have_count(4)
    assert (config.home / "web" / "tune.json").is_file()


def test_a_sweep_that_fails_says_why(
    real_worker: None, page: Page, site: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "SWEEP", Sweep(model="nowhere"))
    page.goto(f"{site.url}/lab")
    page.get_by_role("button", name="Measure").click()
    expect(page.locator("#curves .notice")).to_contain_text("there is no model 'nowhere'", timeout=60_000)
    expect(page.get_by_role("button", name="Measure")).to_be_visible()


def test_turning_the_dial_draws_anew(real_worker: None, page: Page, site: Served) -> None:
    page.goto(f"{site.url}/lab")
    dial = page.get_by_role("slider", name="Temperature")
    dial.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#dial")).to_have_text("0.85")
    expect(page.locator("#lab-stop")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#lab-state")).to_have_text("Stopped.")


def test_a_wish_that_cannot_be_granted_is_told(real_worker: None, page: Page, site: Served) -> None:
    page.goto(f"{site.url}/lab?temperature=0.8&top_p=7")
    expect(page.locator("#toast")).to_contain_text("top-p 7.0 is not", timeout=30_000)


# -- training ----------------------------------------------------------------------------------------


def test_a_model_is_promoted_and_rolled_back(page: Page, site: Served, config: Config) -> None:
    scene.train(config, datetime.now(UTC))
    page.goto(f"{site.url}/training")
    expect(page.locator("#run")).to_contain_text("Training in progress")
    expect(page.locator("#curve canvas")).to_be_visible()
    row = page.locator("tr", has_text="20261107")
    row.get_by_role("button", name="Make active").click()
    page.locator("#confirm").get_by_role("button", name="Cancel").click()
    assert Registry(config.home).current().id == "20261114-041500"
    row.get_by_role("button", name="Make active").click()
    page.locator("#confirm button.go").click()
    expect(row.locator(".chip")).to_have_text("active")
    assert Registry(config.home).current().id == "20261107-041500"
    page.get_by_role("button", name="Roll back").click()
    page.locator("#confirm button.go").click()
    expect(page.locator("tr", has_text="20261114").locator(".chip")).to_have_text("active")
    assert Registry(config.home).current().id == "20261114-041500"


def test_two_models_are_read_side_by_side(real_worker: None, page: Page, site: Served, config: Config) -> None:
    scene.train(config, datetime.now(UTC))
    page.goto(f"{site.url}/training")
    page.get_by_role("button", name="Draw with the same seeds").click()
    expect(page.locator("#pair h3")).to_have_count(2, timeout=60_000)
    expect(page.locator("#pair li")).to_have_count(12)


def test_a_file_of_bios_is_imported_by_a_click(page: Page, site: Served, config: Config, tmp_path: Path) -> None:
    (tmp_path / "my bios.txt").write_text("keeper of ducks\nfriend of fog\nfriend of fog\n")
    page.goto(f"{site.url}/training")
    page.locator("#file").set_input_files(tmp_path / "my bios.txt")
    page.get_by_role("button", name="Import").click()
    expect(page.locator("#import")).to_contain_text("my bios.txt: 2 added, 1 stored before")
    expect(page.locator("#import .facts")).to_contain_text("Bios2")


# -- history -----------------------------------------------------------------------------------------


def test_the_history_tells_stories_and_settles_what_is_unknown(page: Page, site: Served, config: Config) -> None:
    (lost,) = rows(config, State.UNCONFIRMED)
    page.goto(f"{site.url}/history")
    expect(page.locator("#unconfirmed")).to_contain_text("not known whether")
    page.get_by_role("link", name="Posted").click()
    expect(page.locator("#posts > li")).to_have_count(4)
    page.locator("#posts summary").first.click()
    expect(page.locator("#posts .steps").first).to_contain_text("approved by you")
    page.get_by_role("button", name="Look for it now").click()
    expect(page.locator("#toast")).to_contain_text(str(lost.id), timeout=60_000)
    assert state(config, lost.id) in ("unconfirmed", "failed")


def test_a_post_is_deleted_from_the_network(page: Page, site: Served, config: Config) -> None:
    command = [sys.executable, "-m", "biobot", "--config", str(config.file), "post", "--text", "a post to be sorry for"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("BIOBOT_")}
    subprocess.run(command, capture_output=True, check=True, env=environ)
    (post,) = [row for row in rows(config, State.POSTED) if row.text == "a post to be sorry for"]
    page.goto(f"{site.url}/history?state=posted")
    page.locator(f"#story-of-{post.id} summary").click()
    page.get_by_role("button", name="Delete from").click()
    page.locator("#confirm button.go").click()
    expect(page.locator("#toast")).to_contain_text("deleted", timeout=60_000)
    assert state(config, post.id) == "deleted"


# -- care --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("light", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_nothing_and_no_page_is_wider_than_its_window(
    real_worker: None, browser: Browser, site: Served, config: Config, light: Any, width: int
) -> None:
    scene.train(config, datetime.now(UTC))
    scene.tune(config)
    with browser.new_context(viewport={"width": width, "height": 844}, color_scheme=light) as context:
        page = visit(context, site)
        for path in ("/", "/rate", "/lab", "/training", "/history", "/?token=used"):
            if "token" in path:
                context.clear_cookies()
            page.goto(f"{site.url}{path}")
            if path == "/rate":
                expect(page.locator("#to-rate li").first).to_be_visible(timeout=60_000)
            if path == "/":
                expect(page.locator("[data-ask]")).to_have_count(0)
                page.locator("[data-key=e]").first.click()
                expect(page.locator("textarea")).to_be_visible()
                page.locator(".pick input").first.check()
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path
            page.evaluate(AXE.read_text(encoding="utf-8"))
            found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
            said = [f"{each['id']}: {[node['html'][:120] for node in each['nodes'][:3]]}" for each in found]
            assert not said, f"{path}: {said}"


def test_a_session_that_ends_shows_the_door(page: Page, site: Served) -> None:
    site.ahead = timedelta(hours=13)
    expect(page.locator("h1")).to_have_text("You are signed out")


def test_signing_out_by_the_button(page: Page) -> None:
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("h1")).to_have_text("You are signed out")


def test_a_script_in_a_bio_stays_text_in_a_real_browser(page: Page, site: Served, config: Config) -> None:
    evil = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> a bio all the same"
    slot = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
    with console.open_outbox(config, read_only=False) as outbox:
        outbox.add([Draft(evil, slot)], State.HELD, datetime.now(UTC))
    expect(page.get_by_text("a bio all the same").first).to_be_visible()
    page.goto(f"{site.url}/history")
    expect(page.get_by_text("a bio all the same").first).to_be_visible()
    assert "owned" not in page.title()
