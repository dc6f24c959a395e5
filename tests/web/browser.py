"""Chromium and a served console, for tests and screenshots alike."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from playwright.sync_api import Browser, Playwright

from biobot.config import Config
from biobot.web import serve
from biobot.web.middleware import Origin
from biobot.web.sessions import Links

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium(playwright: Playwright) -> Iterator[Browser]:
    """Start Debian's Chromium."""
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
    try:
        yield browser
    finally:
        browser.close()


@dataclass
class Served:
    """A console that is being served, and how far its clock runs ahead of the real one."""

    config: Config
    origin: Origin
    peer: tuple[str, int]
    ahead: timedelta = timedelta(0)

    @property
    def url(self) -> str:
        """Return what its addresses begin with."""
        return self.origin.url

    def now(self) -> datetime:
        """Read the console's clock."""
        return datetime.now(UTC) + self.ahead

    def link(self) -> str:
        """Make a link."""
        return f"{self.url}/?token={Links(serve.runtime(self.config) / 'links').make(self.now())}"


@contextmanager
def served(
    config: Config, *, address: str = "127.0.0.1", public: str | None = None, kind: Callable[..., Served] = Served
) -> Iterator[Served]:
    """Serve a bot's console on a free port, in a thread of this process."""
    site = kind(config, Origin(""), ("", 0))
    with serve.console(config, address=address, port=0, public=public, clock=site.now) as running:
        site.origin, site.peer = running.origin, running.listener.getsockname()[:2]
        thread = threading.Thread(target=running.run, name="console")
        thread.start()
        try:
            while not running.server.started:
                time.sleep(0.005)
            yield site
        finally:
            running.server.should_exit = True
            thread.join(10)
            assert not thread.is_alive(), "the console does not end"
