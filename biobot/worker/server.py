"""What a worker does: bios drawn and judged, texts judged, one bio drawn again.

`biobot preview`, `check` and `tune` do the same in their own process. Nothing imports torch until something is drawn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

from biobot.candidate import Candidate, DraftRequest, DraftResult, Verdict
from biobot.config import Config
from biobot.filters import loader
from biobot.filters.judge import Judge
from biobot.model import runtime
from biobot.model.registry import Registry
from biobot.sampling.controls import Controls, Request
from biobot.worker import protocol
from biobot.worker.known import known_texts

if TYPE_CHECKING:
    from biobot.evaluation.tune import Row
    from biobot.sampling.sampler import Sampler

DRAFT_ROWS = 16
"""Bios drawn at once for a draft, the first accepted of which ends the drawing."""

SWEEP_ROWS = 256
"""Bios drawn at once by a sweep: more are not faster."""

MAX_ROWS = 1024
"""The most bios that a preview draws at once."""


def answer(config: Config, request: protocol.AnyRequest) -> Iterator[Any]:
    """Yield the answers to a request."""
    match request:
        case protocol.Draw(requests):
            yield from drafts(config, requests)
        case protocol.Preview():
            yield from preview(config, request)
        case protocol.Judge(texts, model, score):
            yield from verdicts(config, texts, model, score)
        case protocol.Replay():
            yield replay(config, request)
        case protocol.Sweep():
            yield from _figures(sweep(config, request))
        case protocol.LoadPlugins():
            yield from (protocol.Loaded(each.name, tuple(each.hooks)) for each in loader.load(config) if each.enabled)


def drafts(config: Config, requests: Iterable[DraftRequest]) -> Iterator[DraftResult]:
    """Yield a draft for each request: its first accepted candidate, or where plugins score the best of `best_of`."""
    judge = open_judge(config, may_write=True)
    sampler = open_sampler(config, rows=DRAFT_ROWS)
    best_of = config.settings.sample.best_of if judge.scores else 1
    for each in requests:
        yield _draft(each, sampler, judge, best_of)


def _draft(request: DraftRequest, sampler: Sampler, judge: Judge, best_of: int) -> DraftResult:
    accepted: list[Verdict] = []
    refused = Counter[str]()
    tries = 0
    for candidate in sampler.draw(seeds(request.temperature, request.tries, request.seed), Controls()):
        tries += 1
        verdict = judge.judge(replace(candidate, probabilities=(), entropies=()))
        if verdict.accepted:
            accepted.append(judge.score(verdict) if best_of > 1 else verdict)
            if len(accepted) == best_of:
                break
        else:
            refused.update({each.filter for each in verdict.objections})
    best = max(accepted, key=lambda each: each.score or 0.0, default=None)  # of equals the earliest
    return DraftResult(request.id, best, tries, refused)


def preview(config: Config, request: protocol.Preview) -> Iterator[Verdict]:
    """Yield `count` bios for each temperature with verdict and score; without filters all of them are accepted."""
    judge = open_judge(config, request.model) if request.filters else None
    sampler = open_sampler(config, request.model, rows=min(request.count * len(request.temperatures), MAX_ROWS))
    wanted = (each for T in request.temperatures for each in seeds(T, request.count, request.seed))
    for candidate in sampler.draw(wanted, request.controls):
        yield judge.score(judge.judge(candidate)) if judge else Verdict(candidate)


def verdicts(
    config: Config, texts: Iterable[protocol.Text], model: str | None = None, score: bool = False
) -> Iterator[Verdict]:
    """Yield the verdict on each text, compared with what `model` learnt; by default the model that the config names."""
    plugins = loader.load(config)
    known = known_texts(config, Registry(config.home).find(model or config.settings.model.name))
    for each in texts:
        others = known if each.row is None else known.without(each.row)
        judge = Judge(plugins, others, config.settings.filters.timeout)
        verdict = judge.judge(Candidate(each.text))
        yield judge.score(verdict) if score else verdict


def sweep(config: Config, request: protocol.Sweep, tick: Callable[[float], object] = lambda _: None) -> Iterator[Row]:
    """Yield what `biobot tune` measures at each temperature, calling `tick(temperature)` at each bio."""
    judge = open_judge(config, request.model)
    sampler = open_sampler(config, request.model, rows=min(request.bios, SWEEP_ROWS))

    from biobot.evaluation import tune

    for temperature in request.temperatures:
        yield tune.row(sampler, temperature, request.bios, judge.known, judge.judge, tick)


def _figures(rows: Iterator[Row]) -> Iterator[protocol.Figures]:
    from biobot.evaluation import tune

    measured = []
    for row in rows:
        measured.append(row)
        yield protocol.Figures(row.as_dict())
    yield protocol.Figures({"recommended": tune.recommend(measured)})


def replay(config: Config, request: protocol.Replay) -> Candidate:
    """Return a bio drawn again."""
    sampler = open_sampler(config, request.model, rows=1, numerics=request.numerics)
    (candidate,) = sampler.draw([Request(request.seed, request.temperature)], request.controls)
    return candidate


def open_judge(config: Config, model: str | None = None, *, may_write: bool = False) -> Judge:
    """Load the plugins and open the known texts of a bot with that model (None: the one that the config names).

    `may_write` is for work that posts: what is computed then is saved for the next time.
    """
    folder = Registry(config.home).find(model or config.settings.model.name)
    known = known_texts(config, folder, may_write=may_write)
    return Judge(loader.load(config), known, config.settings.filters.timeout)


def open_sampler(config: Config, model: str | None = None, *, rows: int = 256, numerics: str | None = None) -> Sampler:
    """Load the model that `model` (None: the config) names; `rows` is the most bios drawn at once.

    `numerics` is an earlier sampler's: its number type is used again. By default it is the fastest one here.
    """
    folder = Registry(config.home).find(model or config.settings.model.name)
    runtime.load()
    from biobot.model import checkpoint
    from biobot.sampling.sampler import Sampler, device
    from biobot.sampling.stepper import NumericKind

    kind = next((each for each in get_args(NumericKind) if each == (numerics or "").partition(",")[0]), None)
    return Sampler(checkpoint.load(folder.weights, device(config.settings.model.device)), rows, kind, folder.id)


def seeds(temperature: float, count: int, seed: int) -> Iterator[Request]:
    """Yield requests for `count` bios, bio i with the seed `seed` + i."""
    return (Request(seed + i, temperature) for i in range(count))
