"""Training: runs, models, and which of them speaks."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from biobot.web.desk import Console


def routes(console: Console) -> list[Route]:
    """Give the routes of the training page."""
    training = Training(console)
    return [Route("/training", training.page)]


class Training:
    """The training page's answers."""

    def __init__(self, console: Console) -> None:
        self.console = console

    async def page(self, _request: Request) -> Response:
        """Answer with the whole page."""
        return await self.console.page("training.html", "Training", lambda _: {})
