"""The temperature lab: bios as they are drawn, tinted by the model's uncertainty, and figures over temperature."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from biobot.app import console, posting
from biobot.candidate import Candidate, Verdict
from biobot.errors import BiobotError
from biobot.posting.drafts import to_draft
from biobot.sampling.controls import Controls
from biobot.text.length import weighted_length
from biobot.web.page_context import PageContext, form, integer, number
from biobot.web.tuning import Tuner
from biobot.worker.protocol import Preview

STREAM_TIMEOUT = timedelta(minutes=2)
"""How long one request for bios may take."""

PARTS = "lab_parts.html"


@dataclass(frozen=True, slots=True)
class LabForm:
    """The fields of the lab's form; the sampler refuses values that are out of range."""

    temperature: float = 0.8
    prefix: str = ""
    seed: str = ""
    top_p: float = 1.0
    n: int = 12
    model: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> LabForm:
        """Read the fields from an address; raise BiobotError for anything that is not a number."""
        try:
            return cls(
                temperature=float(query.get("temperature") or 0.8),
                prefix=query.get("prefix", "").replace("\0", ""),
                seed=str(int(query["seed"])) if query.get("seed", "").strip() else "",
                top_p=float(query.get("top_p") or 1),
                n=max(1, min(200, int(query.get("n") or 12))),
                model=query.get("model", ""),
            )
        except ValueError as error:
            raise BiobotError(f"temperature, top-p, seed and the number of bios are numbers: {error}") from None

    def request(self) -> Preview:
        """Return the request for a worker; raise SampleError for values out of range."""
        return Preview(
            (self.temperature,),
            self.n,
            int(self.seed) if self.seed else secrets.randbits(32),
            Controls(top_p=self.top_p, prefix=self.prefix.encode()),
            self.model or None,
        )


@dataclass
class Tally:
    """How many bios were drawn and accepted, and how many each filter refused."""

    drawn: int = 0
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    def add(self, verdict: Verdict) -> None:
        """Count a bio."""
        self.drawn += 1
        self.accepted += verdict.accepted
        self.refused.update({each.filter for each in verdict.objections})


def routes(context: PageContext) -> list[Route]:
    """Return the lab's routes."""
    lab = Lab(context)
    return [
        Route("/lab", lab.page),
        Route("/lab/live", lab.live),
        Route("/lab/stream", lab.stream),
        Route("/lab/queue", lab.queue, methods=["POST"]),
        Route("/lab/tune", lab.tune, methods=["POST"]),
    ]


class Lab:
    """Answers the lab's requests."""

    def __init__(self, context: PageContext) -> None:
        self.context = context
        self.render = context.render
        self.tuner = Tuner(context.config, context.jobs)

    async def page(self, request: Request) -> Response:
        """Return the whole page."""
        asked = LabForm.read(request.query_params)

        def facts(_: object) -> dict[str, Any]:
            return {
                "asked": asked,
                "start": "temperature" in request.query_params,
                "models": console.models(self.context.config),
                "tuned": self.tuner.view(),
                "live": "/lab/live",
                "plots": True,
            }

        return await self.context.page("lab.html", "Lab", facts)

    async def live(self, request: Request) -> Response:
        """Answer with the live regions."""
        return await self.context.live(request, "lab_live.html", lambda _: {"tuned": self.tuner.view()})

    async def stream(self, request: Request) -> Response:
        """Answer with bios as they are drawn, as server-sent events; the worker ends with the connection."""
        return StreamingResponse(self._events(LabForm.read(request.query_params)), media_type="text/event-stream")

    async def _events(self, asked: LabForm) -> AsyncIterator[str]:
        tally = Tally()
        try:
            async with aclosing(self.context.jobs.stream(asked.request(), STREAM_TIMEOUT)) as verdicts:
                async for verdict in verdicts:
                    tally.add(verdict)
                    weight = weighted_length(verdict.candidate.text)
                    yield event("bio", self.render.part(PARTS, "sample", verdict, weight, asked, tally.drawn))
                    yield event("tally", self.render.part(PARTS, "tally", tally))
        except BiobotError as error:
            yield event("trouble", str(error))
            return
        yield event("done", f"{tally.drawn} bios, {tally.accepted} accepted.")

    async def queue(self, request: Request) -> Response:
        """Put a bio into the queue, if the filters accept it now."""
        fields = await form(request)
        bio = Candidate(
            fields.get("text", "").replace("\r\n", "\n"),
            temperature=number(fields.get("temperature", "")),
            seed=integer(fields.get("seed", "")),
            bits=number(fields.get("bits", "")),
            entropy=number(fields.get("entropy", "")),
            model=fields.get("model"),
            numerics=fields.get("numerics"),
        )
        score = number(fields["score"]) if fields.get("score") else None
        controls = Controls(top_p=number(fields.get("top_p", "")), prefix=fields.get("prefix", "").encode())

        def make() -> str:
            try:
                with self.context.outbox(write=True) as outbox:
                    row = posting.submit(
                        self.context.config,
                        outbox,
                        to_draft(Verdict(bio, score=score), None, controls),
                        self.context.clock(),
                    )
            except BiobotError as error:
                return self.render.part(PARTS, "refused", str(error))
            return self.render.part(PARTS, "queued", row)

        return HTMLResponse(await run_in_threadpool(make))

    async def tune(self, _request: Request) -> Response:
        """Start a sweep."""
        self.tuner.start(asyncio.get_running_loop())
        return HTMLResponse(self.render.part(PARTS, "curves", self.tuner.view()))


def event(name: str, text: str) -> str:
    """Return a server-sent event."""
    lines = "".join(f"data: {line}\n" for line in text.replace("\r", "").split("\n"))
    return f"event: {name}\n{lines}\n"
