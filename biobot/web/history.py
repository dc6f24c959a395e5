"""The history: every post with what happened to it, and the unconfirmed ones to settle."""

from __future__ import annotations

import json
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from biobot.app import console, corpus, health, posting
from biobot.corpus.store import Stats
from biobot.errors import BiobotError
from biobot.posting.outbox import Outbox
from biobot.posting.post import Post
from biobot.posting.poster import Poster
from biobot.web.page_context import PageContext, integer, post_id

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
        query = request.query_params
        return console.history(outbox, query.get("state") or None, integer(query.get("below") or "0"))

    async def page(self, request: Request) -> Response:
        """Return the whole page."""
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
        """Draw a text once more with all that is on record about it, as `biobot why` does."""
        found = await run_in_threadpool(health.why, self.context.config, post_id(request))
        return HTMLResponse(self.render.part(PARTS, "said", list(health.story_lines(found))))

    async def undo(self, request: Request) -> Response:
        """Delete a post from the network."""
        return await self._settle(request, lambda poster, post: poster.undo(post))

    async def reconcile(self, request: Request) -> Response:
        """Look for a post on the timeline now."""
        return await self._settle(request, lambda poster, post: poster.reconcile(post)[0])

    async def resend(self, request: Request) -> Response:
        """Send a text of unknown fate again, because a person wants it."""
        return await self._settle(request, lambda poster, post: poster.send(post, resend=True))

    async def _settle(self, request: Request, act: Callable[[Poster, int], Post]) -> Response:
        """Do something on the network, and show the row's new state on a fresh page."""
        config, post = self.context.config, post_id(request)

        def run() -> Post:
            stop, network = self.context.jobs.stopping, posting.network_of(config, post)
            with posting.opened_poster(
                config, self.context.clock, who="the console", stop=stop, network=network
            ) as poster:
                return act(poster, post)

        row = await run_in_threadpool(run)
        said = f"{row.id} is {row.state}{f': {row.reason}' if row.reason else ''}"
        return Response(status_code=204, headers={"hx-trigger": json.dumps({"settled": said})})

    async def corpus(self, _request: Request) -> Response:
        """Answer with the corpus' figures."""
        config = self.context.config

        def read() -> Stats | None:
            try:
                with corpus.open_store(config, read_only=True) as store:
                    return store.stats(config.settings.train)
            except BiobotError:
                return None

        found = await run_in_threadpool(read) if (config.home / "corpus.db").exists() else None
        return HTMLResponse(self.render.part(PARTS, "corpus", found))
