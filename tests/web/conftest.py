"""A console that is really served, on a loopback address and a free port, with a clock that tests can turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from biobot.app import console
from biobot.config import load
from biobot.posting.outbox import Outbox
from biobot.posting.post import Draft, Post, State
from tests.web.browser import Served, served


@dataclass
class Site(Served):
    """A running console with browsers that draw nothing."""

    browsers: list[httpx.Client] = field(default_factory=list)

    def leave(self) -> None:
        """Close every browser."""
        for each in self.browsers:
            each.close()

    def stranger(self) -> httpx.Client:
        """Open a browser that has no session."""
        browser = httpx.Client(base_url=self.url, timeout=20, follow_redirects=False)
        self.browsers.append(browser)
        return browser

    def browser(self) -> httpx.Client:
        """Open a browser that is signed in and whose pages ask from where they are."""
        browser = self.stranger()
        assert browser.get(self.link()).status_code == 303
        browser.headers["origin"] = self.url
        return browser

    def add(self, *texts: str, state: State = State.HELD, every: timedelta | None = timedelta(hours=6)) -> list[Post]:
        """Put drafts into the outbox."""
        first = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        with console.open_outbox(self.config, read_only=False) as outbox:
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
        return console.open_outbox(self.config)

    def state(self, post: Post) -> str:
        """Return the state of a row now."""
        with self.outbox() as outbox:
            return str(outbox.get(post.id).state)


Serve = Callable[..., Site]


@pytest.fixture
def serving(bot: Callable[[str], Path]) -> Iterator[Serve]:
    """Serve a console for a biobot.toml; ended with the test."""
    with ExitStack() as stack:

        def begin(toml: str = '[post]\nreview = "on"\n', *, public: str | None = None) -> Site:
            bot(toml)
            site = stack.enter_context(served(load(), public=public, kind=Site))
            assert isinstance(site, Site)
            stack.callback(site.leave)
            return site

        yield begin


@pytest.fixture
def site(serving: Serve) -> Site:
    """A console of a bot whose drafts wait for a person."""
    return serving()
