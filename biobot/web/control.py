"""Pausing and resuming, posting a draft now, and the settings that hold."""

from __future__ import annotations

import json
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from biobot.app import settings_text
from biobot.errors import OutboxError
from biobot.posting import bot_state, locks
from biobot.posting.outbox import Outbox
from biobot.posting.post import State
from biobot.web.page_context import PageContext, post_id


def routes(context: PageContext) -> list[Route]:
    """Return the routes."""
    control = Control(context)
    return [
        Route("/settings", control.settings),
        Route("/pause", control.pause, methods=["POST"]),
        Route("/resume", control.resume, methods=["POST"]),
        Route("/queue/{post:int}/now", control.now, methods=["POST"]),
    ]


class Control:
    """Answers what concerns the bot as a whole."""

    def __init__(self, context: PageContext) -> None:
        self.context = context

    async def settings(self, _request: Request) -> Response:
        """Answer with every key as the daemon has it, else as the file has it."""
        config = self.context.config
        text = "\n".join(settings_text.lines(config.settings))
        file = str(config.file) if config.file else None
        return await self.context.page("settings.html", "Settings", lambda _: {"text": text, "file": file})

    async def pause(self, _request: Request) -> Response:
        """Stop posting."""
        return await self._done(lambda outbox: bot_state.pause(outbox, self.context.clock()), "paused")

    async def resume(self, _request: Request) -> Response:
        """Resume posting."""
        return await self._done(lambda outbox: bot_state.resume(outbox, self.context.clock()), "resumed")

    async def now(self, request: Request) -> Response:
        """Take a draft's slot away, so that the daemon posts it at once; the console itself posts nothing."""
        post = post_id(request)

        def free(outbox: Outbox) -> None:
            if locks.holder(self.context.config.home, locks.DAEMON) is None:
                raise OutboxError("the bot is not running, and only it posts: start it with `biobot run`")
            row = outbox.get(post)
            if row.state is not State.APPROVED:
                raise OutboxError(f"post {post} is {row.state}: only an approved draft is posted")
            outbox.assign_slot(None, post, self.context.clock())

        return await self._done(free, f"the bot posts {post} within seconds")

    async def _done(self, act: Callable[[Outbox], None], said: str) -> Response:
        def run() -> None:
            with self.context.outbox(write=True) as outbox:
                act(outbox)

        await run_in_threadpool(run)
        return Response(status_code=204, headers={"hx-trigger": json.dumps({"settled": said})})
