"""Training: the run under way, the models with their figures, and which of them speaks."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from biobot.app import console as shown
from biobot.errors import BiobotError, ModelError
from biobot.model.registry import Registry
from biobot.web.page_context import Console, form

PATIENCE = timedelta(minutes=2)
"""How long two models may take to draw a few bios each."""

PARTS = "training_parts.html"

SAMPLES = 6
"""How many bios of each model stand side by side."""


def routes(console: Console) -> list[Route]:
    """Return the routes of the training page."""
    training = Training(console)
    return [
        Route("/training", training.page),
        Route("/training/live", training.live),
        Route("/training/compare", training.compare),
        Route("/training/promote", training.promote, methods=["POST"]),
        Route("/training/rollback", training.rollback, methods=["POST"]),
    ]


class Training:
    """The training page's answers."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.config = console.config
        self.render = console.render

    def _facts(self, _: object) -> dict[str, Any]:
        models = shown.models(self.config)
        run = shown.training_run(self.config, self.console.clock())
        drawn = [("this run", run.curve)] if run else []
        drawn += [(each.id, each.curve) for each in sorted(models, key=lambda each: not each.current) if each.curve]
        return {
            "models": models,
            "run": run,
            "names": [name for name, _ in drawn[: shown.CURVES]],
            "curves": shown.curves(drawn[: shown.CURVES]) if drawn else None,
            "named": self.config.settings.model.name,
            "live": "/training/live",
            "plots": True,
        }

    async def page(self, _request: Request) -> Response:
        """Answer with the whole page."""
        return await self.console.page("training.html", "Training", self._facts)

    async def live(self, request: Request) -> Response:
        """Answer with what may have changed."""
        return await self.console.live(request, "training_live.html", self._facts)

    async def compare(self, request: Request) -> Response:
        """Answer with bios of two models, drawn with the same seeds."""
        query = request.query_params
        try:
            temperature = float(query.get("temperature") or 0.8)
        except ValueError:
            raise BiobotError("the temperature is a number") from None
        names = [query.get("one", ""), query.get("other", "")]
        drawn = await asyncio.gather(*(self._bios(name, temperature) for name in names))
        return HTMLResponse(self.render.part(PARTS, "pair", list(zip(names, drawn, strict=True))))

    async def _bios(self, model: str, temperature: float) -> dict[str, Any]:
        command = ["preview", "--json", f"--temperature={temperature:g}", f"-n{SAMPLES}", "--seed=1"]
        try:
            return {"bios": await self.console.jobs.objects([*command, f"--model={model}"], "", PATIENCE)}
        except BiobotError as error:
            return {"bios": [], "error": str(error)}

    async def promote(self, request: Request) -> Response:
        """Let a model speak."""
        name = (await form(request)).get("model", "")
        return await self._change(lambda registry: f"{registry.promote(name).id} speaks from the next draft on")

    async def rollback(self, _request: Request) -> Response:
        """Let the model speak that spoke before."""
        return await self._change(lambda registry: f"{registry.rollback().id} speaks again from the next draft on")

    async def _change(self, act: Any) -> Response:
        def change() -> dict[str, Any]:
            try:
                return {"say": act(Registry(self.config.home)), "changed": ""}
            except ModelError as error:
                return {"trouble": str(error)}

        said = await run_in_threadpool(change)
        return Response(status_code=204, headers={"hx-trigger": json.dumps(said)})
