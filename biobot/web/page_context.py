"""What every page works with: the bot, the templates and the worker processes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from biobot.app import console, running
from biobot.config import Config
from biobot.posting.outbox import Outbox
from biobot.web.jobs import Jobs
from biobot.web.render import Render

MAX_INTEGER = 2**63 - 1
"""The largest integer that SQLite stores."""


class PageContext:
    """The bot that one console serves."""

    def __init__(self, config: Config, render: Render, jobs: Jobs, clock: Callable[[], datetime]) -> None:
        self._config = config
        self.render = render
        self.jobs = jobs
        self.clock = clock

    @property
    def config(self) -> Config:
        """The bot as its daemon runs it, or as its file is now."""
        return running.current(self._config)

    @contextmanager
    def outbox(self, *, write: bool = False) -> Iterator[Outbox]:
        """Open the outbox for one answer, read-only unless `write`."""
        with console.open_outbox(self.config, read_only=not write) as outbox:
            yield outbox

    async def answer(self, make: Callable[[Outbox], str], *, write: bool = False) -> HTMLResponse:
        """Answer with the HTML that `make` returns; it runs in a thread."""

        def open_and_make() -> str:
            with self.outbox(write=write) as outbox:
                return make(outbox)

        return HTMLResponse(await run_in_threadpool(open_and_make))

    async def page(self, template: str, title: str, facts: Callable[[Outbox], Mapping[str, Any]]) -> Response:
        """Answer with a page; `facts` reads what it shows, in a thread."""
        return await self.answer(lambda outbox: self._render(template, outbox, facts, title=title))

    async def live(self, request: Request, template: str, facts: Callable[[Outbox], Mapping[str, Any]]) -> Response:
        """Answer a page that polls: with its live regions, or with 204 when they are those it has seen."""
        answer = await self.answer(lambda outbox: self._render(template, outbox, facts))
        version = hashlib.sha256(bytes(answer.body)).hexdigest()[:16]
        if request.query_params.get("seen") == version:
            return Response(status_code=204)
        answer.headers["x-version"] = version
        return answer

    def _render(self, template: str, outbox: Outbox, facts: Callable[[Outbox], Mapping[str, Any]], **more: str) -> str:
        status = console.status(self.config, self.clock())
        return self.render(template, status=status, **more, **facts(outbox))


async def form(request: Request) -> dict[str, str]:
    """Return the fields of a form; of a repeated one, the last."""
    return dict(parse_qsl((await request.body()).decode(errors="replace"), keep_blank_values=True))


def integer(text: str) -> int:
    """Return a natural number out of a form or an address; 400 for anything else."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 19 or int(text) > MAX_INTEGER:
        raise HTTPException(400, f"{text[:40]!r} is not a number that this page sends\n")
    return int(text)


def number(text: str) -> float:
    """Return a finite number out of a form; 400 for anything else."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise HTTPException(400, f"{text[:40]!r} is not a number that this page sends\n")
    return value


def post_id(request: Request) -> int:
    """Return the id of the post that an address names; 400 for one that cannot be."""
    return integer(str(request.path_params["post"]))
