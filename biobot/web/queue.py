"""The queue: drafts shown as the posts they would be, and a person's decisions on them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from biobot.app import console, posting
from biobot.errors import BiobotError, OutboxError
from biobot.posting import transitions
from biobot.posting.outbox import Outbox
from biobot.posting.post import Post
from biobot.web.page_context import PageContext, form, integer, post_id
from biobot.worker.protocol import Judge, Text

JUDGE_TIMEOUT = timedelta(seconds=20)
"""How long the filters may take to judge the drafts on the page."""

PARTS = "queue_parts.html"

DECISIONS: Mapping[str, tuple[str, Callable[[Outbox, int, datetime, int], Post]]] = {
    "approve": ("approved", transitions.approve),
    "reject": ("rejected", transitions.reject),
    "reopen": ("reopened", transitions.reopen),
}
"""What a person can decide: how the page says that it was done, and what does it."""


def routes(context: PageContext) -> list[Route]:
    """Return the queue's routes."""
    queue = Queue(context)
    return [
        Route("/", queue.page),
        Route("/queue/live", queue.live),
        Route("/queue/weigh", queue.weigh, methods=["POST"]),
        Route("/queue/verdict", queue.verdict, methods=["POST"]),
        Route("/queue/verdicts", queue.verdicts),
        Route("/queue/bulk", queue.bulk, methods=["POST"]),
        Route("/queue/{post:int}", queue.card),
        Route("/queue/{post:int}/edit", queue.editor, methods=["GET"]),
        Route("/queue/{post:int}/edit", queue.edit, methods=["POST"]),
        Route("/queue/{post:int}/{decision:str}", queue.decide, methods=["POST"]),
    ]


class Queue:
    """Answers the queue's requests."""

    def __init__(self, context: PageContext) -> None:
        self.context = context
        self.render = context.render

    def _facts(self, request: Request) -> Callable[[Outbox], dict[str, Any]]:
        best_first = request.query_params.get("sort") == "score"
        live = f"/queue/live{'?sort=score' if best_first else ''}"
        return lambda outbox: {"queue": self._view(outbox, best_first), "live": live}

    async def page(self, request: Request) -> Response:
        """Return the whole page."""
        return await self.context.page("queue.html", "Queue", self._facts(request))

    async def live(self, request: Request) -> Response:
        """Answer with the live regions."""
        return await self.context.live(request, "queue_live.html", self._facts(request))

    async def card(self, request: Request) -> Response:
        """Answer with one draft."""
        post = post_id(request)
        return await self.context.answer(lambda outbox: self._card(outbox, outbox.get(post)))

    async def editor(self, request: Request) -> Response:
        """Answer with a draft in an editor."""
        post = post_id(request)
        return await self.context.answer(lambda outbox: self._editor(outbox, outbox.get(post)))

    async def decide(self, request: Request) -> Response:
        """Approve, reject or reopen a draft."""
        post, name = post_id(request), request.path_params["decision"]
        if name not in DECISIONS:
            return PlainTextResponse("there is no such decision\n", 404)
        done, act = DECISIONS[name]
        rev = integer((await form(request)).get("rev", ""))

        def make() -> Response:
            with self.context.outbox(write=True) as outbox:
                try:
                    row = act(outbox, post, self.context.clock(), rev)
                except OutboxError as error:
                    return HTMLResponse(self._card(outbox, outbox.get(post), f"Not {done}: {error}"), 409)
                if name == "reopen":
                    return HTMLResponse(self._card(outbox, row))
            trigger = json.dumps({"changed": "", "decided": {"row": f"draft-{post}"}})
            headers = {"hx-trigger-after-swap": trigger}
            return HTMLResponse(self.render.part(PARTS, "decided", row, done), headers=headers)

        return await run_in_threadpool(make)

    async def bulk(self, request: Request) -> Response:
        """Take one decision on many drafts: on all of them, or on none when one has changed."""
        fields = await form(request)
        pairs = [tuple(map(integer, each.partition(":")[::2])) for each in fields.get("posts", "").split()]
        done, act = DECISIONS["approve" if fields.get("decision") == "approve" else "reject"]

        def make() -> dict[str, str]:
            try:
                with self.context.outbox(write=True) as outbox, outbox.transaction():
                    rows = [act(outbox, post, self.context.clock(), rev) for post, rev in pairs]
            except OutboxError as error:
                return {"changed": "", "trouble": f"None was {done}: {error}"}
            said_of = Counter("unconfirmed" if row.in_doubt else done for row in rows)
            return {"changed": "", "say": ", ".join(f"{n} {what}" for what, n in said_of.items())}

        said = await run_in_threadpool(make)
        return Response(status_code=204, headers={"hx-trigger": json.dumps(said)})

    async def edit(self, request: Request) -> Response:
        """Save a text if every filter lets it pass; otherwise answer with the editor and their objections."""
        post, fields = post_id(request), await form(request)
        text, rev = _text(fields), integer(fields.get("rev", ""))

        def make() -> Response:
            with self.context.outbox(write=True) as outbox:
                try:
                    row = posting.edit(self.context.config, outbox, post, text, self.context.clock(), rev)
                except BiobotError as error:
                    again = self._editor(outbox, outbox.get(post), text, f"Not saved: {error}")
                    return HTMLResponse(again, 409)
                headers = {"hx-trigger": json.dumps({"say": "Saved", "changed": ""})}
                return HTMLResponse(self._card(outbox, row), headers=headers)

        return await run_in_threadpool(make)

    async def weigh(self, request: Request) -> Response:
        """Answer with the weighted length of a text."""
        fields = await form(request)
        return HTMLResponse(self.render.part(PARTS, "counter", integer(fields.get("post", "")), _text(fields)))

    async def verdict(self, request: Request) -> Response:
        """Answer with the filters' verdict on a text that is being edited."""
        fields = await form(request)
        return HTMLResponse(await self._verdicts([(integer(fields.get("post", "")), _text(fields))]))

    async def verdicts(self, _request: Request) -> Response:
        """Answer with the filters' verdicts on all drafts that the page shows."""

        def read() -> list[tuple[int, str]]:
            with self.context.outbox() as outbox:
                return [(row.id, row.text or "") for row in self._view(outbox).held]

        return HTMLResponse(await self._verdicts(await run_in_threadpool(read)))

    async def _verdicts(self, rows: list[tuple[int, str]]) -> str:
        """Have texts judged by a worker; a row's own text does not count as known."""
        request = Judge(tuple(Text(text, str(post)) for post, text in rows))
        found: list[Any]
        try:
            found = await self.context.jobs.answers(request, JUDGE_TIMEOUT) if rows else []
        except BiobotError as error:
            found = [{"error": str(error)}] * len(rows)
        judged = zip(found, rows, strict=True)
        return "".join(self.render.part("parts.html", "verdict", each, post) for each, (post, _) in judged)

    def _view(self, outbox: Outbox, best_first: bool = False) -> console.QueueView:
        return console.queue(self.context.config, outbox, self.context.clock(), best_first=best_first)

    def _card(self, outbox: Outbox, row: Post, note: str = "") -> str:
        return self.render.part(PARTS, "card", row, self._view(outbox), note)

    def _editor(self, outbox: Outbox, row: Post, text: str | None = None, note: str = "") -> str:
        return self.render.part(PARTS, "editor", row, self._view(outbox), row.text if text is None else text, note)


def _text(fields: Mapping[str, str]) -> str:
    return fields.get("text", "").replace("\r\n", "\n")
