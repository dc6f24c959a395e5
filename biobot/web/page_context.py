"""What every page works with: the bot, templates and children."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from biobot.app import console as shown
from biobot.config import Config
from biobot.posting.outbox import Outbox
from biobot.web.jobs import Jobs
from biobot.web.render import Render

T = TypeVar("T")


class Console:
    """One console."""

    def __init__(self, config: Config, render: Render, jobs: Jobs, clock: Callable[[], datetime]) -> None:
        self.config = config
        self.render = render
        self.jobs = jobs
        self.clock = clock

    @contextmanager
    def outbox(self, *, write: bool = False) -> Iterator[Outbox]:
        """Open the outbox for one answer."""
        with shown.open_outbox(self.config, read_only=not write) as outbox:
            yield outbox

    async def page(self, template: str, title: str, facts: Callable[[Outbox], Mapping[str, Any]]) -> Response:
        """Answer with a page; `facts` reads what it shows, in a thread."""

        def make() -> str:
            with self.outbox() as outbox:
                frame = shown.frame(self.config, outbox, self.clock())
                return self.render(template, title=title, frame=frame, **facts(outbox))

        return HTMLResponse(await run_in_threadpool(make))

    async def live(self, request: Request, template: str, facts: Callable[[Outbox], Mapping[str, Any]]) -> Response:
        """Answer a page that asks whether something has changed: with its regions, or with nothing."""

        def make() -> str:
            with self.outbox() as outbox:
                return self.render(template, frame=shown.frame(self.config, outbox, self.clock()), **facts(outbox))

        body = await run_in_threadpool(make)
        version = hashlib.sha256(body.encode()).hexdigest()[:16]
        if request.query_params.get("seen") == version:
            return Response(status_code=204)
        return HTMLResponse(body, headers={"x-version": version})


async def form(request: Request) -> dict[str, str]:
    """Read the fields of a form; of one that comes twice, the last."""
    return dict(parse_qsl((await request.body()).decode(errors="replace"), keep_blank_values=True))


def number(text: str, least: int = 0) -> int:
    """Read a whole number out of a form or an address; ValueError for anything else."""
    value = int(text)
    if value < least:
        raise ValueError(f"{value} is below {least}")
    return value
