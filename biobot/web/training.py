"""The training page: the unfinished run, the models with their figures, and which of them is active."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from biobot.app import console
from biobot.errors import BiobotError, ModelError
from biobot.model.registry import Registry
from biobot.web.page_context import PageContext, form, number
from biobot.worker.protocol import Preview

TIMEOUT = timedelta(minutes=2)
"""How long a model may take to draw a few bios."""

PARTS = "training_parts.html"

SAMPLES = 6
"""How many bios of each model stand side by side."""


def routes(context: PageContext) -> list[Route]:
    """Return the routes of the training page."""
    training = Training(context)
    return [
        Route("/training", training.page),
        Route("/training/live", training.live),
        Route("/training/compare", training.compare),
        Route("/training/promote", training.promote, methods=["POST"]),
        Route("/training/rollback", training.rollback, methods=["POST"]),
    ]


class Training:
    """Answers the training page's requests."""

    def __init__(self, context: PageContext) -> None:
        self.context = context
        self.render = context.render

    def _facts(self, _: object) -> dict[str, Any]:
        models = console.models(self.context.config)
        run = console.training_run(self.context.config, self.context.clock())
        curves: list[tuple[str, Sequence[Sequence[float]]]] = [("this run", run.state.curve)] if run else []
        curves += [(each.id, each.curve) for each in sorted(models, key=lambda each: not each.active) if each.curve]
        curves = curves[: console.CURVES]
        return {
            "models": models,
            "run": run,
            "names": [name for name, _ in curves],
            "curves": console.learning_curves(curves) if curves else None,
            "named": self.context.config.settings.model.name,
            "live": "/training/live",
            "plots": True,
        }

    async def page(self, _request: Request) -> Response:
        """Return the whole page."""
        return await self.context.page("training.html", "Training", self._facts)

    async def live(self, request: Request) -> Response:
        """Answer with the live regions."""
        return await self.context.live(request, "training_live.html", self._facts)

    async def compare(self, request: Request) -> Response:
        """Answer with bios of two models, drawn with the same seeds."""
        query = request.query_params
        temperature = number(query.get("temperature") or "0.8")
        names = [query.get("one", ""), query.get("other", "")]
        drawn = await asyncio.gather(*(self._bios(name, temperature) for name in names))
        return HTMLResponse(self.render.part(PARTS, "pair", list(zip(names, drawn, strict=True))))

    async def _bios(self, model: str, temperature: float) -> dict[str, Any]:
        try:
            request = Preview((temperature,), SAMPLES, seed=1, model=model)
            async with aclosing(self.context.jobs.stream(request, TIMEOUT)) as verdicts:
                return {"bios": [each async for each in verdicts]}
        except BiobotError as error:
            return {"bios": [], "error": str(error)}

    async def promote(self, request: Request) -> Response:
        """Make a model the active one."""
        name = (await form(request)).get("model", "")
        return await self._change(lambda registry: f"{registry.promote(name).id} is active from the next draft on")

    async def rollback(self, _request: Request) -> Response:
        """Make the previously active model active again."""
        return await self._change(lambda registry: f"{registry.rollback().id} is active again from the next draft on")

    async def _change(self, act: Any) -> Response:
        def change() -> dict[str, Any]:
            try:
                return {"say": act(Registry(self.context.config.home)), "changed": ""}
            except ModelError as error:
                return {"trouble": str(error)}

        said = await run_in_threadpool(change)
        return Response(status_code=204, headers={"hx-trigger": json.dumps(said)})
