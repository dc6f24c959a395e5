"""Rating: drafts one at a time, each marked from 0 to 3 with one key, and what the bot learnt from the marks."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from datetime import timedelta

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from biobot.candidate import Candidate
from biobot.errors import BiobotError, TasteError
from biobot.taste.marks import BEST, Mark, Marks, open_marks
from biobot.web.page_context import PageContext, form, number
from biobot.worker.protocol import LearnTaste, Preview

DRAWN = 16
"""Bios of each temperature that are drawn at once: about half of them are accepted."""
LEARN_EVERY = 20
"""The taste is trained again after this many marks."""
DRAW_TIMEOUT, LEARN_TIMEOUT = timedelta(minutes=2), timedelta(minutes=1)

PARTS = "rate_parts.html"


def routes(context: PageContext) -> list[Route]:
    """Return the routes of the Rate page."""
    rate = Rate(context)
    return [
        Route("/rate", rate.page),
        Route("/rate/drafts", rate.drafts),
        Route("/rate/mark", rate.mark, methods=["POST"]),
        Route("/rate/undo", rate.undo, methods=["POST"]),
        Route("/rate/learn", rate.learn, methods=["POST"]),
    ]


class Rate:
    """Answers the requests of the Rate page."""

    def __init__(self, context: PageContext) -> None:
        self.context = context
        self.render = context.render

    async def page(self, _request: Request) -> Response:
        """Return the whole page."""
        with open_marks(self.context.config.home, read_only=True) as marks:
            count = len(marks)
        return await self.context.page("rate.html", "Rate", lambda _: {"marks": count})

    async def drafts(self, _request: Request) -> Response:
        """Answer with accepted drafts of all temperatures in turn."""
        temperatures = tuple(self.context.config.settings.sample.temperatures)
        try:
            found = [
                verdict.candidate
                async for verdict in self.context.jobs.stream(
                    Preview(temperatures, DRAWN, secrets.randbits(40)), DRAW_TIMEOUT
                )
                if verdict.accepted
            ]
        except BiobotError as error:
            return self._trouble(error)
        # one temperature after the other would let the owner compare like with like only
        found.sort(key=lambda each: (each.seed or 0, each.temperature or 0.0))
        return HTMLResponse("".join(self.render.part(PARTS, "draft", each) for each in found))

    async def mark(self, request: Request) -> Response:
        """Keep a mark."""
        fields = await form(request)
        value = number(fields.get("mark", ""))
        if not (0 <= value <= BEST and fields.get("text", "").strip()):
            raise HTTPException(400, "a mark from 0 to 3 belongs to a text\n")
        bits, entropy = (number(fields[name]) if fields.get(name) else None for name in ("bits", "entropy"))
        candidate = Candidate(fields["text"].replace("\r\n", "\n"), bits=bits, entropy=entropy)

        def keep(marks: Marks) -> str:
            marks.add([Mark(candidate, value, source="rate")], self.context.clock())
            return self.render.part(PARTS, "count", len(marks), len(marks) % LEARN_EVERY == 0)

        return await self._change(keep)

    async def undo(self, _request: Request) -> Response:
        """Take the newest mark back, and answer with its draft."""

        def take_back(marks: Marks) -> str:
            undone = marks.undo("rate")
            if undone is None:
                raise TasteError("There is no mark to undo.")
            return self.render.part(PARTS, "draft", undone.candidate) + self.render.part(PARTS, "count", len(marks))

        return await self._change(take_back)

    async def learn(self, _request: Request) -> Response:
        """Learn the taste in a worker, if marks came since, and answer with what was learnt."""
        try:
            (found,) = await self.context.jobs.answers(LearnTaste(), LEARN_TIMEOUT)
        except BiobotError as error:
            return self._trouble(error)
        return HTMLResponse(self.render.part(PARTS, "learnt", found.why))

    async def _change(self, make: Callable[[Marks], str]) -> Response:
        def open_and_make() -> Response:
            try:
                with open_marks(self.context.config.home) as marks:
                    return HTMLResponse(make(marks))
            except TasteError as error:
                return self._trouble(error)

        return await run_in_threadpool(open_and_make)

    def _trouble(self, error: BiobotError) -> Response:
        """Answer with a message; the page keeps the draft that it shows."""
        return Response(
            status_code=409, headers={"hx-reswap": "none", "hx-trigger": json.dumps({"trouble": str(error)})}
        )
