"""The verbs around collecting: what it would cost, a run, and looking again at whom we stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from biobot.collect import sources
from biobot.collect.collector import Collector, Step, Tally
from biobot.collect.ledger import Ledger
from biobot.collect.sources import RECHECK, WAYS, Estimate, Source
from biobot.config import Config
from biobot.corpus.store import Store
from biobot.errors import BiobotError, ConfigError
from biobot.text.humanize import counted

Pause = Callable[[timedelta], bool]
"""Waits, and tells whether to end; asked with nothing it only tells."""


def enabled(config: Config) -> list[Source]:
    """Return the sources to read; ConfigError when collecting is off, or there are none."""
    settings = config.settings.collect
    where = config.file or "biobot.toml"
    if not settings.enabled:
        raise ConfigError(f"{where}: collect.enabled is off; read docs/collecting.md, then decide")
    found = sources.configured(settings)
    if not found:
        raise ConfigError(f"{where}: [collect] names nobody: add followers, following, friends, lists, search or ids")
    return found


def estimate(config: Config, now: datetime, limit: int | None = None, budget: float | None = None) -> Estimate:
    """Return what `collect` would take at most; makes no connection and changes nothing."""
    found = enabled(config)
    sizes: dict[Source, int | None] = {
        source: sources.count_ids(config.folder / source.target) if source.kind == "ids" else None for source in found
    }
    spent = 0.0
    if _corpus(config).exists():
        with Store(_corpus(config)) as store:
            ledger = Ledger(store)
            spent = ledger.month(now)
            for source in found:
                rows = ledger.rows(source)
                young = any(row.changed > (now - config.settings.collect.again).timestamp() for row in rows)
                if rows and young and all(row.state == "done" for row in rows):
                    sizes[source] = 0
    return _estimate(config, found, sizes, spent, limit, budget)


def estimate_recheck(config: Config, now: datetime, limit: int | None = None, budget: float | None = None) -> Estimate:
    """Return what `corpus recheck` would take at most."""
    with Store(_corpus(config)) as store:
        ledger = Ledger(store)
        known = [row for row in ledger.rows(RECHECK) if row.state == "open"]
        after = int(known[0].token or 0) if known else 0
        sizes: dict[Source, int | None] = {RECHECK: store.count_authors(after)}
        return _estimate(config, [RECHECK], sizes, ledger.month(now), limit, budget)


def _estimate(
    config: Config,
    found: list[Source],
    sizes: dict[Source, int | None],
    spent: float,
    limit: int | None,
    budget: float | None,
) -> Estimate:
    settings = config.settings.collect
    left = max(settings.usd_per_month - spent, 0.0)
    return sources.estimate(
        found,
        sizes,
        limit=limit if limit is not None else settings.limit,
        budget=left if budget is None else min(budget, left),
        prices=config.settings.post.prices,
        pace=settings.pace,
    )


def collect(
    config: Config,
    clock: Callable[[], datetime],
    pause: Pause,
    *,
    limit: int | None = None,
    budget: float | None = None,
) -> Iterator[tuple[Step, Tally]]:
    """Fetch fresh bios from the config's sources into the corpus; give each step and what was done so far.

    Raises ConfigError when collecting is off, SecretsError without a bearer token, NetworkError when X refuses
    for good or keeps silent: what came before is stored, and the next run goes on from there.
    """
    yield from _run(config, enabled(config), clock, pause, limit, budget)


def before_training(config: Config, clock: Callable[[], datetime], stopped: Callable[[], bool]) -> Iterator[str]:
    """Collect what X gives without waiting, if the config says so; give lines for the person who waits.

    A training never fails for it: what goes wrong is a line, and the bios that are stored are learnt.
    """
    if not config.settings.collect.enabled:
        return
    over = False

    def pause(wait: timedelta) -> bool:
        nonlocal over
        over = over or bool(wait) or stopped()
        return over

    try:
        bound = estimate(config, clock())
        yield f"collecting at most {bound.people:,} people for ${bound.usd:,.2f}"
        tally, end = Tally(), "nothing to collect"
        for step, done in collect(config, clock, pause):
            tally, end = done, step.why
        yield f"collected {tally.people:,} people, {counted(tally.added, 'new bio')}, ${tally.usd:,.2f}: {end}"
    except BiobotError as error:
        yield f"collecting failed, going on with what is stored: {error}"


def recheck(
    config: Config,
    clock: Callable[[], datetime],
    pause: Pause,
    *,
    limit: int | None = None,
    budget: float | None = None,
) -> Iterator[tuple[Step, Tally]]:
    """Look up everyone who is stored: take over new bios, drop whoever is deleted, protected or suspended."""
    with Store(_corpus(config)) as store:
        every = store.count_authors(0) + WAYS["recheck"].most  # room for the page that finds nobody more
    yield from _run(config, [RECHECK], clock, pause, limit if limit is not None else every, budget)


def _run(
    config: Config,
    found: list[Source],
    clock: Callable[[], datetime],
    pause: Pause,
    limit: int | None,
    budget: float | None,
) -> Iterator[tuple[Step, Tally]]:
    from biobot.networks import secrets
    from biobot.networks.x.client import XClient

    settings = config.settings
    keys = secrets.load(config)
    keys.require(*secrets.COLLECTING)
    client = XClient(keys, settings.x.api_base, settings.x.timeout)
    try:
        with Store(_corpus(config)) as store:
            collector = Collector(
                store,
                client,
                settings,
                config.folder,
                found,
                clock,
                pause,
                limit if limit is not None else settings.collect.limit,
                budget if budget is not None else settings.collect.usd_per_month,
            )
            for step in collector.run():
                yield step, collector.tally
    finally:
        client.close()


def _corpus(config: Config) -> Path:
    return config.home / "corpus.db"
