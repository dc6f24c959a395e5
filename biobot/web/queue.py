"""The queue: drafts as the posts they would be, and a person's yes, no, or change."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from biobot.app import console as shown
from biobot.app.posting import objections
from biobot.errors import BiobotError, OutboxError
from biobot.posting import review
from biobot.posting.outbox import Outbox, Post
from biobot.text.length import weighted_length
from biobot.web.page_context import Console, form, number

PATIENCE = timedelta(seconds=20)
"""How long the filters may take to judge what the page shows."""

PARTS = "queue_parts.html"


def routes(console: Console) -> list[Route]:
    """Return the queue's routes."""
    queue = Queue(console)
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


Decision = Callable[[Outbox, int, int], Post]


class Queue:
    """The queue's answers."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.config = console.config
        self.render = console.render
        now = console.clock
        self.decisions: Mapping[str, tuple[str, Decision]] = {
            "approve": ("approved", lambda outbox, post, rev: review.approve(outbox, post, now(), rev)),
            "reject": ("rejected", lambda outbox, post, rev: review.reject(outbox, post, now(), rev)),
            "reopen": ("waits again", lambda outbox, post, rev: review.reopen(outbox, post, now(), rev)),
        }

    def _facts(self, outbox: Outbox) -> dict[str, Any]:
        return {"desk": shown.desk(self.config, outbox, self.console.clock()), "live": "/queue/live"}

    async def page(self, _request: Request) -> Response:
        """Answer with the whole page."""
        return await self.console.page("queue.html", "Queue", self._facts)

    async def live(self, request: Request) -> Response:
        """Answer with what may have changed."""
        return await self.console.live(request, "queue_live.html", self._facts)

    async def card(self, request: Request) -> Response:
        """Answer with one draft."""
        return HTMLResponse(await run_in_threadpool(self._card, int(request.path_params["post"])))

    async def editor(self, request: Request) -> Response:
        """Answer with a draft that can be written in."""

        def make() -> str:
            with self.console.outbox() as outbox:
                post = shown.card(outbox.get(int(request.path_params["post"])))
                return self.render.part(PARTS, "editor", post, self._desk(outbox), post.text, post.weight)

        return HTMLResponse(await run_in_threadpool(make))

    async def decide(self, request: Request) -> Response:
        """Note a yes, a no, or that it is taken back."""
        post, name = int(request.path_params["post"]), request.path_params["decision"]
        if name not in self.decisions:
            return PlainTextResponse("there is no such decision\n", 404)
        fields = await form(request)
        verb, act = self.decisions[name]

        def make() -> Response:
            try:
                with self.console.outbox(write=True) as outbox:
                    row = act(outbox, post, number(fields.get("rev", "")))
                    if name == "reopen":
                        return HTMLResponse(self.render.part(PARTS, "card", shown.card(row), self._desk(outbox)))
            except OutboxError as error:
                return HTMLResponse(self._card(post, f"Not {verb}: {error}"), 409)
            done = self.render.part(PARTS, "decided", row, verb)
            trigger = json.dumps({"changed": "", "decided": {"row": f"draft-{post}"}})
            return HTMLResponse(done, headers={"hx-trigger-after-swap": trigger})

        return await run_in_threadpool(make)

    async def bulk(self, request: Request) -> Response:
        """Decide on many drafts, each for itself."""
        fields = await form(request)
        pairs = [each.split(":") for each in fields.get("posts", "").split()]
        verb, act = self.decisions["approve" if fields.get("decision") == "approve" else "reject"]

        def make() -> str:
            done, kept = 0, []
            with self.console.outbox(write=True) as outbox:
                for post, rev in pairs:
                    try:
                        act(outbox, number(post), number(rev))
                        done += 1
                    except OutboxError as error:
                        kept.append(str(error))
            return f"{done} {verb}" + (f"; {len(kept)} had changed meanwhile: {kept[0]}" if kept else "")

        said = await run_in_threadpool(make)
        return Response(status_code=204, headers={"hx-trigger": json.dumps({"changed": "", "say": said})})

    async def edit(self, request: Request) -> Response:
        """Save a text, if every filter lets it pass; else give it back with what hinders it."""
        post, fields = int(request.path_params["post"]), await form(request)
        text, rev = fields.get("text", "").replace("\r\n", "\n"), number(fields.get("rev", ""))
        judge = partial(objections, self.config)

        def make() -> Response:
            try:
                with self.console.outbox(write=True) as outbox:
                    row = review.edit(outbox, judge, post, text, self.console.clock(), rev)
                    part = self.render.part(PARTS, "card", shown.card(row), self._desk(outbox))
            except BiobotError as error:
                return HTMLResponse(self._again(post, text, f"Not saved: {error}"), 409)
            return HTMLResponse(part, headers={"hx-trigger": json.dumps({"say": "Saved", "changed": ""})})

        return await run_in_threadpool(make)

    async def weigh(self, request: Request) -> Response:
        """Weigh a text as X does."""
        fields = await form(request)
        weight = weighted_length(fields.get("text", "").replace("\r\n", "\n"))
        return HTMLResponse(self.render.part(PARTS, "counter", number(fields.get("post", "0")), weight))

    async def verdict(self, request: Request) -> Response:
        """Ask the filters about a text that is being written."""
        fields = await form(request)
        post = number(fields.get("post", "0"))
        found = await self._judge([(post, fields.get("text", "").replace("\r\n", "\n"))])
        return HTMLResponse(self.render.part("parts.html", "verdict", found[post], post))

    async def verdicts(self, _request: Request) -> Response:
        """Ask the filters about the drafts that the page shows, all at once."""

        def read() -> list[tuple[int, str]]:
            with self.console.outbox() as outbox:
                return [(each.id, each.text) for each in shown.desk(self.config, outbox, self.console.clock()).held]

        rows = await run_in_threadpool(read)
        found = await self._judge(rows)
        parts = [self.render.part("parts.html", "verdict", found[post], post) for post, _ in rows]
        return HTMLResponse("".join(parts))

    async def _judge(self, rows: list[tuple[int, str]]) -> dict[int, dict[str, Any]]:
        """Have texts judged by a child; a row's own text does not count as seen."""
        lines = "".join(json.dumps({"text": text, "id": str(post)}) + "\n" for post, text in rows)
        try:
            found = await self.console.jobs.objects(["check", "--json", "-"], lines, PATIENCE) if rows else []
        except BiobotError as error:
            return {post: {"error": str(error)} for post, _ in rows}
        return {post: verdict for (post, _), verdict in zip(rows, found, strict=True)}

    def _desk(self, outbox: Outbox) -> shown.Desk:
        return shown.desk(self.config, outbox, self.console.clock())

    def _card(self, post: int, note: str = "") -> str:
        with self.console.outbox() as outbox:
            return self.render.part(PARTS, "card", shown.card(outbox.get(post)), self._desk(outbox), note)

    def _again(self, post: int, text: str, note: str) -> str:
        with self.console.outbox() as outbox:
            row = shown.card(outbox.get(post))
            return self.render.part(PARTS, "editor", row, self._desk(outbox), text, weighted_length(text), note)
