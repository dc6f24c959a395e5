"""The console's application: its pages behind access control."""

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
from biobot.web.middleware import AccessMiddleware, Origin, cookie
from biobot.web.page_context import PageContext
from biobot.web.render import Render
from biobot.web.sessions import Links, Sessions


def application(
    config: Config, origin: Origin, links: Links, clock: Callable[[], datetime]
) -> tuple[ASGIApp, Callable[[], None]]:
    """Return the console's application, and what ends its streams and workers."""
    from biobot.web import control, history, lab, queue, rate, training

    weighted_length("bio.example")  # compiles slow patterns: at the start rather than in the first request
    assets = Assets()
    render = Render(assets, zone(config.settings.schedule), clock)
    jobs = Jobs(config)
    context = PageContext(config, render, jobs, clock)
    sessions = Sessions()

    def signed_out(request: Request) -> Response:
        if request.headers.get("hx-request") or request.headers.get("x-biobot-poll"):
            return PlainTextResponse("signed out\n", 401)
        return HTMLResponse(render("signed_out.html", stale="token=" in request.url.query), 401)

    async def sign_out(request: Request) -> Response:
        sessions.close(cookie(request, origin))
        return RedirectResponse("/", 303)

    routes = [
        Route("/static/{mark}/{name}", assets.serve),
        Route("/sign-out", sign_out, methods=["POST"]),
        *control.routes(context),
        *queue.routes(context),
        *rate.routes(context),
        *lab.routes(context),
        *training.routes(context),
        *history.routes(context),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(GZipMiddleware, minimum_size=1000, compresslevel=6)],
        exception_handlers={BiobotError: _failed, 404: _no_page, 405: _no_page},
    )
    return AccessMiddleware(app, origin, links, sessions, clock, signed_out), jobs.end


async def _failed(_request: Request, error: Exception) -> Response:
    return PlainTextResponse(str(error), 409)


async def _no_page(_request: Request, _error: Exception) -> Response:
    return PlainTextResponse("there is no such page\n", 404)
