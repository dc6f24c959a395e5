"""The console's routes, put together."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from biobot.config import Config
from biobot.errors import BiobotError
from biobot.posting.schedule import zone
from biobot.text.length import weighted_length
from biobot.web.assets import Assets
from biobot.web.jobs import Jobs
from biobot.web.middleware import Door, Guard, cookie
from biobot.web.page_context import Console
from biobot.web.render import Render
from biobot.web.sessions import Links, Sessions


def application(
    config: Config, door: Door, links: Links, clock: Callable[[], datetime]
) -> tuple[ASGIApp, Callable[[], None]]:
    """Make the console's application, and what ends its streams and children."""
    from biobot.web import history, lab, queue, training

    weighted_length("bio.example")  # builds the patterns for links, which takes a while: now, and not in use
    assets = Assets()
    render = Render(assets, zone(config.settings.schedule), clock)
    jobs = Jobs(config)
    desk = Console(config, render, jobs, clock)
    sessions = Sessions()

    def signed_out(request: Request) -> Response:
        if request.headers.get("hx-request") or request.headers.get("x-biobot-poll"):
            return PlainTextResponse("signed out\n", 401)
        return HTMLResponse(render("gate.html", stale="token=" in request.url.query), 401)

    async def sign_out(request: Request) -> Response:
        sessions.close(cookie(request, door))
        return RedirectResponse("/", 303)

    routes = [
        Route("/static/{mark}/{name}", assets.serve),
        Route("/sign-out", sign_out, methods=["POST"]),
        *queue.routes(desk),
        *lab.routes(desk),
        *training.routes(desk),
        *history.routes(desk),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(GZipMiddleware, minimum_size=1000, compresslevel=6)],
        exception_handlers={BiobotError: _refused, 404: _nothing, 405: _nothing},
    )
    return Guard(app, door, links, sessions, clock, signed_out), jobs.end


async def _refused(_request: Request, error: Exception) -> Response:
    """Say what biobot says, in its one line."""
    return PlainTextResponse(str(error), 409)


async def _nothing(_request: Request, _error: Exception) -> Response:
    return PlainTextResponse("there is no such page\n", 404)
