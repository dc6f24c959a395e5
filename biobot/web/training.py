"""The training page: bios imported, a training started and stopped, the models with their figures."""

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

from biobot.app import console, training_process
from biobot.corpus.readers import Names
from biobot.errors import BiobotError, ModelError
from biobot.model.registry import Registry
from biobot.web.importing import Importer
from biobot.web.middleware import UPLOAD
from biobot.web.page_context import PageContext, form, integer, number
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
        Route(UPLOAD, training.import_, methods=["POST"]),
        Route("/training/import/cancel", training.cancel_import, methods=["POST"]),
        Route("/training/start", training.start, methods=["POST"]),
        Route("/training/stop", training.stop, methods=["POST"]),
        Route("/training/promote", training.promote, methods=["POST"]),
        Route("/training/rollback", training.rollback, methods=["POST"]),
    ]


class Training:
    """Answers the training page's requests."""

    def __init__(self, context: PageContext) -> None:
        self.context = context
        self.render = context.render
        self.importer = Importer(context.config)
        context.jobs.closing.append(self.importer.cancel)

    def _facts(self, _: object) -> dict[str, Any]:
        models = console.models(self.context.config)
        run = console.training_run(self.context.config)
        running = run is not None and (run.alive or run.resumable)
        curves: list[tuple[str, Sequence[Sequence[float]]]] = [("this run", run.curve)] if run and running else []
        curves += [(each.id, each.curve) for each in sorted(models, key=lambda each: not each.active) if each.curve]
        curves = curves[: console.CURVES]
        return {
            "models": models,
            "run": run,
            "job": self.importer.job,
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

    async def import_(self, request: Request) -> Response:
        """Import the file that is the request's body."""
        query, size = request.query_params, integer(request.headers.get("content-length", ""))
        names = Names(*(query.get(each) or None for each in ("field", "author", "handle")))
        config, pieces = self.context.config, request.stream()
        await self.importer.run(config, query.get("name", ""), size, pieces, names, self.context.clock())
        return Response(status_code=204)

    async def cancel_import(self, _request: Request) -> Response:
        """End the import under way."""
        self.importer.cancel()
        return Response(status_code=204, headers={"hx-trigger": "changed"})

    async def start(self, request: Request) -> Response:
        """Start a training, or go on with the one that was interrupted."""
        given = await form(request)
        if "resume" in given:
            words = ["--resume"]
        else:
            amount, unit = number(given.get("amount", "")), given.get("unit")
            if amount <= 0 or unit not in ("epochs", "max-minutes"):
                raise BiobotError("say for how many passes or minutes to train")
            words = [f"--{unit}", f"{amount:g}"]
            if base := given.get("from"):
                words += ["--from", Registry(self.context.config.home).find(base).id]
            words += [] if "promote" in given else ["--no-promote"]
        await run_in_threadpool(training_process.start, self.context.config, words)
        return Response(status_code=204, headers={"hx-trigger": "changed"})

    async def stop(self, request: Request) -> Response:
        """End the training under way: its best model is measured, unless all of it is cancelled."""
        at_once = "at_once" in await form(request)
        await run_in_threadpool(training_process.stop, self.context.config, at_once=at_once)
        said = (
            "cancelled; it can be continued"
            if at_once
            else "it stops, and its best model is measured: half a minute or so"
        )
        return Response(status_code=204, headers={"hx-trigger": json.dumps({"say": said, "changed": ""})})

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
