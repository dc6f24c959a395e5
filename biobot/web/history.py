"""The history: every post with what happened to it, and the unconfirmed ones to settle."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from biobot.app import console
from biobot.errors import BiobotError
from biobot.posting.outbox import Outbox
from biobot.web.page_context import PageContext, integer, post_id

TIMEOUT = timedelta(minutes=2)
"""How long a network, or a model that draws a text again, may take."""

PARTS = "history_parts.html"


def routes(context: PageContext) -> list[Route]:
    """Return the history's routes."""
    history = History(context)
    return [
        Route("/history", history.page),
        Route("/history/rows", history.rows),
        Route("/history/corpus", history.corpus),
        Route("/history/{post:int}", history.story),
        Route("/history/{post:int}/again", history.again),
        Route("/history/{post:int}/undo", history.undo, methods=["POST"]),
        Route("/history/{post:int}/reconcile", history.reconcile, methods=["POST"]),
        Route("/history/{post:int}/resend", history.resend, methods=["POST"]),
    ]


class History:
    """Answers the history's requests."""

    def __init__(self, context: PageContext) -> None:
        self.context = context
        self.render = context.render

    def _view(self, request: Request, outbox: Outbox) -> console.HistoryView:
        query, now = request.query_params, self.context.clock()
        below = integer(query.get("below") or "0")
        return console.history(self.context.config, outbox, now, query.get("state") or None, below)

    async def page(self, request: Request) -> Response:
        """Answer with the whole page."""
        return await self.context.page(
            "history.html", "History", lambda outbox: {"history": self._view(request, outbox)}
        )

    async def rows(self, request: Request) -> Response:
        """Answer with older rows."""
        return await self.context.answer(
            lambda outbox: self.render.part(PARTS, "rows", self._view(request, outbox)),
        )

    async def story(self, request: Request) -> Response:
        """Answer with all that happened to a row."""
        post = post_id(request)
        return await self.context.answer(
            lambda outbox: self.render.part(PARTS, "story", outbox.get(post), outbox.audit(post))
        )

    async def again(self, request: Request) -> Response:
        """Draw a text once more from its model, seed and temperature, as `biobot why` does."""
        lines = await self.context.jobs.said(["why", str(post_id(request))], "", TIMEOUT)
        return HTMLResponse(self.render.part(PARTS, "said", lines))

    async def undo(self, request: Request) -> Response:
        """Delete a post from the network."""
        return await self._settle("undo", str(post_id(request)))

    async def reconcile(self, request: Request) -> Response:
        """Look for a post on the timeline now."""
        return await self._settle("reconcile", str(post_id(request)))

    async def resend(self, request: Request) -> Response:
        """Send a text of unknown fate again, because a person wants it."""
        return await self._settle("reconcile", str(post_id(request)), "--resend")

    async def _settle(self, *command: str) -> Response:
        """Run a command that reaches the network, in a child, and show what it says on a fresh page."""
        lines = await self.context.jobs.said(command, "", TIMEOUT, secrets=True)
        said = " ".join(line.strip() for line in lines) or "done"
        return Response(status_code=204, headers={"hx-trigger": json.dumps({"settled": said})})

    async def corpus(self, _request: Request) -> Response:
        """Answer with the corpus' figures."""
        found: dict[str, Any] | None = None
        if (self.context.config.home / "corpus.db").exists():
            try:
                found = (await self.context.jobs.objects(["corpus", "stats", "--json"], "", TIMEOUT))[0]
            except BiobotError:
                found = None
        return HTMLResponse(self.render.part(PARTS, "corpus", found))
