"""Screenshots of every page: three widths, light and dark, made-up data. `python -m tests.web.shots [FOLDER]`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.web import scene
from tests.web.browser import CHROMIUM, chromium, served

WIDTHS = {"wide": (1280, 860), "tablet": (1024, 768), "phone": (390, 844)}


def main(folder: Path) -> None:
    """Make the screenshots."""
    if CHROMIUM is None:
        sys.exit("shots need Chromium: apt-get install chromium")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        config, empty = scene.build(Path(scratch) / "loombot"), Path(scratch) / "newbot"
        scene.train(config, datetime.now(UTC))
        scene.tune(config)
        with chromium(playwright) as browser, served(config) as site:
            for view in views(browser, site.link):
                everything(view, site.url, folder)
        with chromium(playwright) as browser, served(scene.fresh(empty)) as site:
            for view in views(browser, site.link):
                for name in ("", "training", "history"):
                    view.page.goto(f"{site.url}/{name}")
                    view.page.wait_for_timeout(700)
                    view.save(folder, f"empty-{name or 'queue'}")


class View:
    """A page at one width and in one light."""

    def __init__(self, page: Page, name: str) -> None:
        self.page = page
        self.name = name

    def save(self, folder: Path, name: str) -> None:
        """Take a picture of the whole page, which must not be wider than the window."""
        wide = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if wide > 0:
            print(f"{name}-{self.name} is {wide} px too wide")
        # a window as high as the page: bars that stick to its edges then stand where they belong
        window = self.page.viewport_size
        assert window is not None
        height = max(window["height"], self.page.evaluate("document.documentElement.scrollHeight"))
        self.page.set_viewport_size({"width": window["width"], "height": height})
        self.page.wait_for_timeout(250)
        self.page.screenshot(path=folder / f"{name}-{self.name}.png")
        self.page.set_viewport_size(window)


@contextmanager
def _view(browser: Browser, width: str, light: Any, link: str) -> Iterator[View]:
    size = {"width": WIDTHS[width][0], "height": WIDTHS[width][1]}
    context = browser.new_context(viewport=size, color_scheme=light, device_scale_factor=1)  # type: ignore[arg-type]
    try:
        page = context.new_page()
        page.goto(link)
        yield View(page, f"{width}-{light}")
    finally:
        context.close()


def views(browser: Browser, link: Any) -> Iterator[View]:
    """Yield a signed-in page for each width and light."""
    for width in WIDTHS:
        for light in ("light", "dark"):
            with _view(browser, width, light, link()) as view:
                yield view


def everything(view: View, origin: str, folder: Path) -> None:
    """Take a picture of each page in its interesting states."""
    page = view.page
    page.wait_for_selector("#drafts .verdicts:not([data-ask])", timeout=20000)
    view.save(folder, "queue")
    page.locator(".pick input").first.check()
    page.locator(".pick input").nth(1).check()
    page.locator("[data-key=e]").nth(2).click()
    page.wait_for_selector("textarea")
    page.wait_for_selector("textarea >> xpath=ancestor::form >> css=.verdicts summary", timeout=20000)
    view.save(folder, "queue-edit")
    page.goto(f"{origin}/lab?temperature=0.85&seed=7&n=6")
    page.wait_for_selector("#lab-stop:not([hidden])")
    page.wait_for_selector("#lab-go:not([hidden])", timeout=90000)
    view.save(folder, "lab")
    page.locator("[name=order][value=score]").check(force=True)
    view.save(folder, "lab-by-score")
    page.goto(f"{origin}/rate")
    page.wait_for_selector("#to-rate li", timeout=90000)
    view.save(folder, "rate")
    page.goto(f"{origin}/training")
    page.locator(".compare button").click()
    page.wait_for_selector("#pair .pair", timeout=90000)
    view.save(folder, "training")
    page.goto(f"{origin}/history")
    page.locator("#posts summary").nth(8).click()
    page.wait_for_selector("#posts .steps")
    view.save(folder, "history")
    page.goto(f"{origin}/settings")
    view.save(folder, "settings")
    page.context.clear_cookies()
    page.goto(origin)
    view.save(folder, "signed-out")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "shots"))
