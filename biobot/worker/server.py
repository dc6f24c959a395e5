"""What a worker does: bios drawn and judged, texts judged, one bio drawn again.

Where no plugin runs that is not biobot's own, commands do the same in their own process. Nothing imports torch until
something is drawn.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from biobot.candidate import Candidate, DraftRequest, DraftResult, Verdict
from biobot.config import Config
from biobot.errors import BiobotError, PluginError, SampleError
from biobot.filters import loader, scaffold
from biobot.filters.judge import Judge
from biobot.model import runtime
from biobot.model.registry import Registry
from biobot.networks import opening
from biobot.sampling.controls import Controls, Request
from biobot.text.humanize import duration
from biobot.worker import protocol
from biobot.worker.known import decisions, known_texts, same_texts

if TYPE_CHECKING:
    from biobot.evaluation.tune import Row
    from biobot.sampling.sampler import Sampler
    from biobot.taste.taste import Taste

DRAFT_ROWS = 16
"""Bios drawn at once for a draft, where the first accepted one ends the drawing."""

MAX_DRAFT_ROWS = 160
"""Bios drawn at once where the best of many is chosen."""

DRAFT_THREADS = 1
"""Two would wait for each other at every byte: beside a busy process that takes three times as long."""

TRIES = 1.6
"""Bios drawn for each accepted one that is still needed: more than half are accepted."""

PART_OF_DEADLINE = 0.6
"""After this part of `sample.deadline` the best so far is taken."""

SWEEP_ROWS = 256
"""Bios drawn at once by a sweep: more are not faster."""

ENOUGH_FAILURES = 10
"""A filter that failed on each of this many bios will fail on the others."""

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
        case protocol.Choice():
            yield choice(config, request)
        case protocol.Explain(candidate):
            yield explain(config, candidate)
        case protocol.LearnTaste():
            yield learn_taste(config)
        case protocol.Sweep():
            yield from _figures(sweep(config, request))
        case protocol.LoadPlugins(broken, require):
            yield from (_loaded(config, each) for each in load_plugins(config, broken=broken, require=require))
        case protocol.TryPlugin():
            yield trial(config, request)


def trial(config: Config, request: protocol.TryPlugin) -> protocol.Tried:
    """Return what one filter makes of texts; raise PluginError if there is no such filter, or it is off."""
    found, name = load_plugins(config, require=False), request.plugin
    if name.endswith(".py"):
        if not Path(name).is_file():
            raise PluginError(f"there is no file {name}")
        own = loader.load_file(Path(name), config.settings.filters.tables.get(Path(name).stem))
        name = own.name
        found = loader.Plugins((*(each for each in found if each.name != name), own))
    if name not in (known := [each.name for each, _ in found.with_hook("biobot_filter")]):
        raise PluginError(f"there is no filter {name!r} that is on; these are: {', '.join(known)}")
    texts: Iterable[str] = request.texts
    if request.count:
        drawn = open_sampler(config).draw(seeds(request.temperature, request.count, request.seed), Controls())
        texts = (each.text for each in drawn)
    model = Registry(config.home).find(config.settings.model.name)
    judge = Judge(found, known_texts(config, model), config.settings.filters.timeout)
    verdicts = [judge.judge(Candidate(text)) for text in texts]
    seconds = tuple(spent for each in verdicts for plugin, spent in each.seconds if plugin == name)
    refused = [(each, said.reason) for each in verdicts for said in each.objections if said.filter == name]
    alone = sum(len(each.objections) == 1 for each, _ in refused)
    reasons = Counter(re.sub(r"\d+", "N", reason) for _, reason in refused)
    examples = tuple((each.candidate.text, reason) for each, reason in refused[: request.examples])
    return protocol.Tried(len(verdicts), len(refused), alone, seconds, reasons, examples)


def load_plugins(config: Config, *, require: bool = True, broken: Mapping[str, str] | None = None) -> loader.Plugins:
    """Load the plugins as `loader.load` does; check the networks that they bring and these networks' tables, too."""
    found = loader.load(config, require=require, broken=broken)
    return loader.Plugins(tuple(_with_network(config, each, keep=broken is not None) for each in found))


def _with_network(config: Config, plugin: loader.Plugin, *, keep: bool) -> loader.Plugin:
    try:
        if "biobot_network" in plugin.hooks:
            opening.settings_of(config, opening.of_plugin(plugin))
    except BiobotError as error:
        if isinstance(error, PluginError) and plugin.name not in config.settings.post.all:
            error = PluginError(f'{error}; fix it, or turn it off with filters.disabled = ["{plugin.name}"]')
        if not keep:
            raise error from None
        return replace(plugin, problem=str(error))
    return plugin


def _written(value: object) -> str:
    """Return a value that JSON does not know as biobot.toml would have it."""
    return duration(value) if isinstance(value, timedelta) else str(value)


def _loaded(config: Config, plugin: loader.Plugin) -> protocol.Loaded:
    kind = plugin.kind
    if kind is None and "biobot_network" in plugin.hooks and not plugin.problem:
        network = opening.of_plugin(plugin)
        kind = network.settings
        plugin = replace(plugin, kind=kind, settings=opening.settings_of(config, network))
    settings = json.loads(json.dumps(scaffold.settings_of(plugin), default=_written))
    about = (kind and kind.__doc__) or ""
    return protocol.Loaded(
        plugin.name, tuple(plugin.hooks), plugin.origin, plugin.enabled, settings, about, plugin.problem
    )


def drafts(config: Config, requests: Iterable[DraftRequest]) -> Iterator[DraftResult]:
    """Yield a draft for each request: of `sample.best_of` accepted candidates the one with the highest score.

    What a candidate has in common with recent posts, waiting drafts and those just chosen lowers its score.
    """
    requests, start, settings = list(requests), time.monotonic(), config.settings
    judge = open_judge(config, may_write=True)
    best_of = settings.sample.best_of if judge.scores else 1
    sampler = open_sampler(config, rows=DRAFT_ROWS if best_of == 1 else MAX_DRAFT_ROWS, threads=DRAFT_THREADS)
    likeness, note = _variety(config) if best_of > 1 else (lambda _: 0.0, lambda _: None)
    share = PART_OF_DEADLINE * settings.sample.deadline.total_seconds() / max(len(requests), 1)
    for number, each in enumerate(requests, 1):
        result = _draft(each, sampler, judge, best_of, likeness, start + number * share)
        if result.verdict is not None:
            note(result.verdict.candidate.text)
        yield result


def _draft(
    request: DraftRequest,
    sampler: Sampler,
    judge: Judge,
    best_of: int,
    likeness: Callable[[str], float],
    until: float,
) -> DraftResult:
    accepted: list[Verdict] = []
    fitting = 0
    refused, failures = Counter[str](), Counter[str]()
    reasons = dict[str, str]()
    tries = 0
    wanted = seeds(request.temperature, request.tries, request.seed)

    def portion() -> tuple[Request, ...]:
        return tuple(islice(wanted, max(int((best_of - fitting) * TRIES), DRAFT_ROWS)))

    # bios come in the order of their seeds: in one go, all tries would be drawn while one long bio is waited for
    for candidate in chain.from_iterable(sampler.draw(each, Controls()) for each in iter(portion, ())):
        tries += 1
        verdict = judge.judge(replace(candidate, probabilities=(), entropies=()))
        if verdict.accepted:
            accepted.append(judge.score(verdict) if best_of > 1 else verdict)
            fitting += not verdict.misfits
            if fitting == best_of or time.monotonic() > until:
                break
        else:
            refused.update({each.filter for each in verdict.objections})
            failed = {each.filter: str(each) for each in verdict.objections if each.failed}
            failures.update(failed.keys())
            reasons |= failed
            if tries == ENOUGH_FAILURES or time.monotonic() > until:
                _check_filters([reasons[name] for name, count in failures.items() if count == tries], tries)
    accepted = _fitting(accepted)
    worth = [(each.score or 0.0) - likeness(each.candidate.text) for each in accepted]
    best = accepted[worth.index(max(worth))] if accepted else None  # of equals the earliest
    return DraftResult(request.id, best, tries, refused, len(accepted), request.seed)


def _fitting(accepted: list[Verdict]) -> list[Verdict]:
    """Return the texts that every network takes, else those that some do."""
    return [each for each in accepted if each.accepted and not each.misfits] or accepted


def _check_filters(broken: list[str], tries: int) -> None:
    """Raise SampleError if there are filters that could judge none of the bios: they would judge no other one."""
    if broken:
        raise SampleError(f"{'; '.join(broken)} (on each of {tries} bios); nothing is posted before every filter works")


def _variety(config: Config) -> tuple[Callable[[str], float], Callable[[str], None]]:
    """Return what a text's likeness to recent posts and waiting drafts costs, and what adds to these."""
    from biobot.posting.outbox import Outbox
    from biobot.posting.post import State
    from biobot.taste.variety import COST, RECENT, Variety

    with Outbox(config.home / "outbox.db", config.settings.post.first, read_only=True) as outbox:
        rows = outbox.posts(State.POSTED, State.UNCONFIRMED, State.SENDING, limit=RECENT, everywhere=True)
        rows += outbox.posts(State.HELD, State.APPROVED, everywhere=True)
    variety = Variety(row.text for row in rows if row.text)
    cost = COST * config.settings.taste.variety
    return lambda text: cost * variety.likeness(text), variety.add


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
    plugins = load_plugins(config)
    networks = opening.objections(config, plugins)
    known = known_texts(config, Registry(config.home).find(model or config.settings.model.name))
    taste = open_taste(config) if score else None
    for each in texts:
        others = known if each.row is None else known.without(*same_texts(config, each.row))
        judge = Judge(plugins, others, config.settings.filters.timeout, taste, networks)
        verdict = judge.judge(Candidate(each.text))
        yield judge.score(verdict) if score else verdict


def sweep(config: Config, request: protocol.Sweep, tick: Callable[[float], object] = lambda _: None) -> Iterator[Row]:
    """Yield what `biobot tune` measures at each temperature, calling `tick(temperature)` at each bio."""
    judge = open_judge(config, request.model)
    sampler = open_sampler(config, request.model, rows=min(request.bios, SWEEP_ROWS))

    from biobot.evaluation import tune

    for temperature in request.temperatures:
        yield tune.row(
            sampler,
            temperature,
            request.bios,
            judge.known,
            lambda candidate: judge.score(judge.judge(candidate)),
            tick,
            config.settings.sample.best_of,
            config.settings.sample.max_tries,
        )


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


def choice(config: Config, request: protocol.Choice) -> protocol.Chosen:
    """Return how those drawn for a draft score, by today's filters and taste."""
    sampler = open_sampler(config, request.model, rows=MAX_DRAFT_ROWS, numerics=request.numerics)
    known = known_texts(config, Registry(config.home).find(request.model)).without(request.row)
    plugins = load_plugins(config)
    networks = opening.objections(config, plugins)
    judge = Judge(plugins, known, config.settings.filters.timeout, open_taste(config), networks)
    drawn = sampler.draw(seeds(request.temperature, request.tries, request.seed), Controls())
    verdicts = [judge.score(judge.judge(replace(each, probabilities=(), entropies=()))) for each in drawn]
    scores = {each.candidate.text: each.score for each in _fitting(verdicts) if each.score is not None}
    ranked = sorted(scores, key=lambda text: -scores[text])
    return protocol.Chosen(tuple(protocol.Scored(text, scores[text]) for text in ranked))


def explain(config: Config, candidate: Candidate) -> protocol.Explanation:
    """Return how the owner's taste scores a text, and why."""
    from biobot.taste import taste

    found = taste.load(config.home, decisions(config))
    return protocol.Explanation(found.scores([candidate])[0], found.explain(candidate))


def learn_taste(config: Config) -> protocol.Learnt:
    """Train the taste on the owner's marks, save it, and return a summary."""
    from biobot.taste import taste

    return protocol.Learnt(taste.state(config.home, decisions(config), may_write=True).why)


def open_judge(config: Config, model: str | None = None, *, may_write: bool = False) -> Judge:
    """Load the plugins and open the known texts of a bot with that model (None: the one that the config names).

    `may_write` is for work that posts: what is computed then is saved for the next time.
    """
    folder = Registry(config.home).find(model or config.settings.model.name)
    known = known_texts(config, folder, may_write=may_write)
    plugins, taste = load_plugins(config), open_taste(config, may_write=may_write)
    return Judge(plugins, known, config.settings.filters.timeout, taste, opening.objections(config, plugins))


def open_taste(config: Config, *, may_write: bool = False) -> Callable[[Candidate], float] | None:
    """Return what scores candidates as this bot's owner would; None where the taste is turned off.

    `may_write` is for work that posts: what new decisions taught is saved for the next time.
    """
    if not config.settings.taste.enabled:
        return None

    @cache
    def load() -> Taste:  # at the first accepted candidate: a refused one needs none
        from biobot.taste import taste

        return taste.load(config.home, decisions(config), may_write=may_write)

    return lambda candidate: load().scores([candidate])[0]


def open_sampler(
    config: Config,
    model: str | None = None,
    *,
    rows: int = 256,
    numerics: str | None = None,
    threads: int | None = None,
) -> Sampler:
    """Load the model that `model` (None: the config) names; `rows` is the most bios drawn at once.

    `numerics` is an earlier sampler's: its number type is used again. By default it is the fastest one here.
    `threads` are those of this process from then on (None: one a core); what is drawn does not depend on them.
    """
    folder = Registry(config.home).find(model or config.settings.model.name)
    runtime.load(threads)
    from biobot.model import checkpoint
    from biobot.sampling.sampler import Sampler, device
    from biobot.sampling.stepper import NumericKind

    kind = next((each for each in get_args(NumericKind) if each == (numerics or "").partition(",")[0]), None)
    return Sampler(checkpoint.load(folder.weights, device(config.settings.model.device)), rows, kind, folder.id)


def seeds(temperature: float, count: int, seed: int) -> Iterator[Request]:
    """Yield requests for `count` bios, bio i with the seed `seed` + i."""
    return (Request(seed + i, temperature) for i in range(count))
