"""A console that is really served, on a loopback address and a free port, with a clock that tests can turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from biobot.app import console as shown
from biobot.config import Config, load
from biobot.post.outbox import Draft, Outbox, Post, State
from biobot.web import serve
from biobot.web.guard import Door
from biobot.web.keys import Links


@dataclass
class Site:
    """A running console."""

    config: Config
    door: Door
    token: str
    peer: tuple[str, int] = ("", 0)
    """Where it listens."""
    ahead: timedelta = timedelta(0)
    """How far the console's clock runs ahead of the real one."""
    browsers: list[httpx.Client] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return self.door.origin

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def link(self) -> str:
        """Make another link."""
        return f"{self.origin}/?token={Links(serve.runtime(self.config) / 'links').make(self.now())}"

    def stranger(self) -> httpx.Client:
        """Open a browser that has no session."""
        browser = httpx.Client(base_url=self.origin, timeout=20, follow_redirects=False)
        self.browsers.append(browser)
        return browser

    def browser(self) -> httpx.Client:
        """Open a browser that is signed in and whose pages ask from where they are."""
        browser = self.stranger()
        assert browser.get(self.link()).status_code == 303
        browser.headers["origin"] = self.origin
        return browser

    def add(self, *texts: str, state: State = State.HELD, every: timedelta | None = timedelta(hours=6)) -> list[Post]:
        """Put drafts into the outbox."""
        first = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        with shown.open_outbox(self.config, read_only=False) as outbox:
            taken = len(outbox.posts())
            drafts = [
                Draft(text, None if every is None else first + every * (taken + i), 0.8, 1000 + i, "starter")
                for i, text in enumerate(texts)
            ]
            rows = outbox.add(drafts, state, datetime.now(UTC))
        assert None not in rows
        return [row for row in rows if row is not None]

    def outbox(self) -> Outbox:
        """Open the outbox to look at it."""
        return shown.open_outbox(self.config)

    def state(self, post: Post) -> str:
        """Tell the state of a row now."""
        with self.outbox() as outbox:
            return str(outbox.get(post.id).state)


Serve = Callable[..., Site]


@pytest.fixture
def serving(bot: Callable[[str], Path]) -> Iterator[Serve]:
    """Serve a console for a biobot.toml; ended with the test."""
    ends: list[Callable[[], None]] = []

    def begin(toml: str = '[post]\nreview = "on"\n', *, public: str | None = None, address: str = "127.0.0.1") -> Site:
        bot(toml)
        config = load()
        site = Site(config, Door(""), "")
        context = serve.console(config, address=address, port=0, public=public, clock=site.now)
        running = context.__enter__()
        site.door, site.token = running.door, running.token
        site.peer = running.listener.getsockname()[:2]
        thread = threading.Thread(target=running.run, name="console")
        thread.start()

        def end() -> None:
            for browser in site.browsers:
                browser.close()
            running.server.should_exit = True
            thread.join(10)
            context.__exit__(None, None, None)
            assert not thread.is_alive()

        ends.append(end)
        while not running.server.started:
            time.sleep(0.005)
        return site

    yield begin
    for end in ends:
        end()


@pytest.fixture
def site(serving: Serve) -> Site:
    """A console of a bot whose drafts wait for a person."""
    return serving()
