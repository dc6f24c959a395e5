"""What commands do with collecting: what it would cost, a run, and a recheck of everyone who is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from biobot.app.corpus import check_opt_outs, discard_training_text, open_store
from biobot.collect import sources
from biobot.collect.collector import Collector, Step, Tally
from biobot.collect.ledger import Ledger
from biobot.collect.sources import ENDPOINTS, RECHECK, Estimate, Source
from biobot.config import Config
from biobot.errors import BiobotError, ConfigError
from biobot.text.humanize import counted

Pause = Callable[[timedelta], bool]
"""Waits, and returns whether the run is to end; given no time at all it only returns that."""


def enabled(config: Config) -> list[Source]:
    """Return the sources to read; raise ConfigError if collecting is off, or there are none."""
    settings = config.settings.collect
    where = config.file or "biobot.toml"
    if not settings.enabled:
        raise ConfigError(f"{where}: collect.enabled is false; read docs/collecting.md before you set it to true")
    found = sources.configured(settings)
    if not found:
        raise ConfigError(f"{where}: [collect] has no source; add followers, following, friends, lists, search or ids")
    return found


def estimate(config: Config, now: datetime, limit: int | None = None, budget: float | None = None) -> Estimate:
    """Return what `collect` would take at most; makes no connection and changes nothing."""
    found = enabled(config)
    sizes: dict[Source, int | None] = {
        source: sources.count_ids(config.folder / source.target) if source.kind == "ids" else None for source in found
    }
    with open_store(config, read_only=True) as store:
        ledger = Ledger(store)
        for source in found:
            rows = ledger.rows(source)
            young = any(row.changed > (now - config.settings.collect.again).timestamp() for row in rows)
            if rows and young and all(row.state == "done" for row in rows):
                sizes[source] = 0
        return _estimate(config, found, sizes, ledger.month_spend(now), limit, budget)


def estimate_recheck(config: Config, now: datetime, limit: int | None = None, budget: float | None = None) -> Estimate:
    """Return what `corpus recheck` would take at most; makes no connection and changes nothing."""
    with open_store(config, read_only=True) as store:
        ledger = Ledger(store)
        known = [row for row in ledger.rows(RECHECK) if row.state == "open"]
        after = int(known[0].token or 0) if known else 0
        sizes: dict[Source, int | None] = {RECHECK: store.count_authors(after)}
        return _estimate(config, [RECHECK], sizes, ledger.month_spend(now), limit, budget)


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
    """Fetch fresh bios from the config's sources into the corpus; yield each step and the tally so far.

    Raises ConfigError if collecting is off, SecretsError without a bearer token, NetworkError if X refuses for
    good or does not answer: what came before is stored, and the next run goes on from there.
    """
    yield from _run(config, enabled(config), clock, pause, limit, budget)


def before_training(config: Config, clock: Callable[[], datetime], stopped: Callable[[], bool]) -> Iterator[str]:
    """Collect what X gives without waiting, if the config says so; yield lines to show.

    A training never fails for it: what goes wrong is a line, and the training uses the bios that are stored.
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
    with open_store(config, read_only=True) as store:
        every = store.count_authors(0) + ENDPOINTS["recheck"].max_page  # room for the page that finds nobody more
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
        with open_store(config) as store:
            check_opt_outs(store)
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
                if step.event == "end" and collector.tally.removed:
                    discard_training_text(store)
    finally:
        client.close()
