"""The history: every post with its story, and the unconfirmed ones to settle."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from biobot.app import console as shown
from biobot.errors import BiobotError
from biobot.posting.outbox import Outbox
from biobot.web.page_context import Console

PATIENCE = timedelta(minutes=2)
"""How long a network, or a model that draws a text again, may take."""

PARTS = "history_parts.html"


def routes(console: Console) -> list[Route]:
    """Return the history's routes."""
    history = History(console)
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
    """The history's answers."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.render = console.render

    def _read(self, request: Request, outbox: Outbox) -> shown.History:
        query = request.query_params
        below = query.get("below", "0")
        return shown.history(
            self.console.config,
            outbox,
            self.console.clock(),
            query.get("state") or None,
            int(below) if below.isdecimal() and len(below) < 19 else 0,
        )

    async def page(self, request: Request) -> Response:
        """Answer with the whole page."""
        return await self.console.page(
            "history.html", "History", lambda outbox: {"history": self._read(request, outbox)}
        )

    async def rows(self, request: Request) -> Response:
        """Answer with older rows."""

        def make() -> str:
            with self.console.outbox() as outbox:
                return self.render.part(PARTS, "rows", self._read(request, outbox))

        return HTMLResponse(await run_in_threadpool(make))

    async def story(self, request: Request) -> Response:
        """Answer with all that happened to a row."""
        post = int(request.path_params["post"])

        def make() -> str:
            with self.console.outbox() as outbox:
                return self.render.part(PARTS, "story", shown.card(outbox.get(post)), outbox.audit(post), None)

        return HTMLResponse(await run_in_threadpool(make))

    async def again(self, request: Request) -> Response:
        """Have a text drawn once more from its model, seed and temperature, as `biobot why` does."""
        lines = await self.console.jobs.said(["why", str(request.path_params["post"])], "", PATIENCE)
        return HTMLResponse(self.render.part(PARTS, "said", lines))

    async def undo(self, request: Request) -> Response:
        """Delete a post from the network."""
        return await self._settle("undo", str(request.path_params["post"]))

    async def reconcile(self, request: Request) -> Response:
        """Look for a post on the timeline now."""
        return await self._settle("reconcile", str(request.path_params["post"]))

    async def resend(self, request: Request) -> Response:
        """Send a text again whose fate is unknown, because a person wants it."""
        return await self._settle("reconcile", str(request.path_params["post"]), "--resend")

    async def _settle(self, *command: str) -> Response:
        """Run a command that reaches the network, in a child, and show what it says on a fresh page."""
        lines = await self.console.jobs.said(command, "", PATIENCE, secrets=True)
        said = " ".join(line.strip() for line in lines) or "done"
        return Response(status_code=204, headers={"hx-trigger": json.dumps({"settled": said})})

    async def corpus(self, _request: Request) -> Response:
        """Answer with the corpus' figures."""
        found: dict[str, Any] | None = None
        if (self.console.config.home / "corpus.db").exists():
            try:
                found = (await self.console.jobs.objects(["corpus", "stats", "--json"], "", PATIENCE))[0]
            except BiobotError:
                found = None
        return HTMLResponse(self.render.part(PARTS, "corpus", found))
