"""The checks of `biobot doctor`: plain functions in one table. Nothing here changes anything."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from shlex import quote
from urllib.parse import urlsplit

from biobot import storage
from biobot.app.corpus import check_opt_outs, open_store
from biobot.app.health import open_outbox
from biobot.app.installing import adding
from biobot.config import Config
from biobot.corpus.opt_outs import FINGERPRINTS
from biobot.errors import BiobotError
from biobot.model.registry import Registry
from biobot.posting import schedule
from biobot.posting.blocks import posting_block
from biobot.posting.budget import Budget
from biobot.posting.outbox import Outbox
from biobot.settings import XSettings
from biobot.text.humanize import counted, when
from biobot.worker.client import PROBE, Worker

OLDEST_CLOCK = datetime(2026, 1, 1, tzinfo=UTC)
"""A clock that shows an earlier time was never set."""

MIN_FREE_MIB = 100
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found: how things are, or what is wrong and how to fix it."""

    name: str
    ok: bool
    found: str


def check_all(config: Config, now: datetime, *, online: bool = False) -> Iterator[CheckResult]:
    """Run one check after the other; with `online` also that of the account, which makes a call or two."""
    for name, check in CHECKS.items():
        if name != "account" or online:
            try:
                yield CheckResult(name, True, check(config, now))
            except BiobotError as error:
                yield CheckResult(name, False, str(error))


def _config(config: Config, _: datetime) -> str:
    folder = config.file.resolve().parent if config.file else None
    if folder and storage.others_can_write(folder) and not folder.stat().st_mode & stat.S_ISVTX:
        fix = f"chmod go-w {quote(str(folder))}"
        raise BiobotError(f"others can write into {folder}, and put another biobot.toml there; fix it with: {fix}")
    x = config.settings.x
    host = urlsplit(x.api_base).hostname
    if "x" in config.settings.post.all and x.api_base != XSettings().api_base and host != "api.x.com":
        raise BiobotError(f"`x.api_base` is {x.api_base}: the keys go to {host}, not to X; correct it if that is wrong")
    odd = ", ".join(f"{each:g}" for each in config.settings.sample.temperatures if not 0 < each <= 2)
    odd = (
        f"; is `sample.temperatures` meant to have {odd}? 0 draws one bio for ever, and above 2 all is noise"
        if odd
        else ""
    )
    return f"{config.file or 'no biobot.toml: all defaults'}; posts go to {', '.join(config.settings.post.all)}{odd}"


def _secrets(config: Config, _: datetime) -> str:
    from biobot.app.networks import require

    for name in config.settings.post.all:
        require(config, name)
    names = config.settings.post.all
    return f"all there that {' and '.join(names)} need{'s' if len(names) == 1 else ''}"


def _home(config: Config, _: datetime) -> str:
    folder, there = config.home, _existing(config.home)
    if not os.access(there, os.W_OK | os.X_OK):
        raise BiobotError(f"{there} cannot be written; correct its permissions, or choose another --home")
    if there == folder and storage.is_exposed(folder):
        raise BiobotError(f"other users can look into {folder}: chmod 700 {quote(str(folder))}")
    return f"{folder}{'' if folder.exists() else ' (made when it is needed)'}"


def _outbox(config: Config, now: datetime) -> str:
    with open_outbox(config) as outbox:
        (bad,) = outbox.ask("PRAGMA quick_check(1)")[0]
        if bad != "ok":
            raise BiobotError(f"{outbox.path} is damaged ({bad}): restore a backup before anything is posted")
    found = []
    for name in config.settings.post.all:
        with Outbox(outbox.path, name, read_only=True) as outbox:
            block = posting_block(outbox, Budget(outbox, config.settings.post), now)
            counts = ", ".join(f"{count} {state}" for state, count in outbox.counts().items() if count) or "empty"
        prefix = f"{name}: " if len(config.settings.post.all) > 1 else ""
        if block is not None and block.kind in ("blocked", "breaker"):
            raise BiobotError(f"{prefix}{block.text}")
        found.append(f"{prefix}{counts}{f'; {block.text}' if block else ''}")
    return f"{'; '.join(found)}{_interrupted(outbox.path)}"


def _corpus(config: Config, _: datetime) -> str:
    from biobot.dedupe.known_texts import open_forgotten  # numpy

    with open_store(config, read_only=True) as store:
        stats = store.stats(config.settings.train)
        check_opt_outs(store)
        open_forgotten(config.home / FINGERPRINTS, store.fingerprints(), store.fingerprints_seal())
    return f"{counted(stats.bios, 'bio')}, {counted(stats.forgotten, 'opt-out')}{_interrupted(store.path)}"


def _model(config: Config, _: datetime) -> str:
    folder = Registry(config.home).find(config.settings.model.name)
    folder.header()
    if not folder.index.is_file():
        raise BiobotError(f"{folder.index} is missing, so copies go unnoticed: train or import the model again")
    return f"{folder.id} in {folder.path}"


def _plugins(config: Config, _: datetime) -> str:
    found = Worker(config).list_plugins(require=True)
    if broken := [each.problem for each in found if each.problem]:
        raise BiobotError("; ".join(broken))
    plugins = [plugin for plugin in found if plugin.enabled]
    bundled = [each.name for each in plugins if each.origin.startswith("bundled")]
    named = ", ".join(bundled + [f"{each.name} ({each.origin})" for each in plugins if each.name not in bundled])
    longest = next((each.settings.get("max") for each in plugins if each.name == "length"), None)
    return "; ".join([named, *_too_long(config, longest)])


def _too_long(config: Config, longest: object) -> Iterator[str]:
    """Yield for which networks the filter of lengths lets too long texts pass."""
    from biobot.networks.opening import find

    for name in config.settings.post.all:
        most = find(config, name).max_length
        if isinstance(longest, int) and isinstance(most, int) and longest > most:
            skipped = "skipped there" if len(config.settings.post.all) > 1 else "refused"
            yield f"filters.length.max = {longest} is above the {most} of {name}: longer texts are {skipped}"


def _filters(config: Config, _: datetime) -> str:
    """Have a text judged as a draft is: a filter that fails on it would refuse every draft."""
    verdict = Worker(config).answer(PROBE)
    if broken := [str(each) for each in verdict.objections if each.failed]:
        raise BiobotError(f"{'; '.join(broken)}; nothing can be posted before that is fixed (docs/plugins.md)")
    return f"a text was judged in {sum(seconds for _, seconds in verdict.seconds):.2f} s"


def _schedule(config: Config, now: datetime) -> str:
    slots = schedule.next_slots(config.settings.schedule, now, 1)
    if not slots:
        raise BiobotError("there is never a slot; correct `schedule.cron` and `schedule.quiet`")
    zone = schedule.zone(config.settings.schedule)
    return f"next slot {when(slots[0])}, {slots[0].astimezone(zone):%H:%M:%S} in the time zone {zone}"


def _budget(config: Config, now: datetime) -> str:
    found = []
    for name in config.settings.post.all:
        with Outbox(config.home / "outbox.db", name, read_only=True) as outbox:
            prefix = f"{name}: " if len(config.settings.post.all) > 1 else ""
            found.append(prefix + _used(config, Budget(outbox, config.settings.post), now))
    return "; ".join(found)


def _used(config: Config, budget: Budget, now: datetime) -> str:
    left = budget.left(now)
    per_day = timedelta(days=1) / schedule.interval(config.settings.schedule, now)
    month = min(per_day, left.posts_per_day) * 30 * budget.price("post")
    used = f"{left.posts_today} of {left.posts_per_day} posts today, ${left.usd_month:.2f} of ${left.usd_per_month:.2f}"
    used += f" this month (prices of {config.settings.post.prices.as_of})"
    if per_day > left.posts_per_day:
        return f"{used}; the schedule wants {per_day:.0f} posts a day, so slots will be missed"
    if month > left.usd_per_month:
        return f"{used}; the schedule would cost ${month:.2f} a month, so slots will be missed"
    return used


def _clock(_: Config, now: datetime) -> str:
    if now < OLDEST_CLOCK:
        raise BiobotError(f"the clock says {now:%Y-%m-%d}: let NTP set it (timedatectl set-ntp true)")
    synchronised = Path("/run/systemd/timesync/synchronized").exists()
    return f"{when(now)}{', set by NTP' if synchronised else ''}"


def _disk(config: Config, _: datetime) -> str:
    there = _existing(config.home)
    free = shutil.disk_usage(there).free / 2**20
    if free < MIN_FREE_MIB:
        raise BiobotError(f"only {free:.0f} MiB are free at {there}; free at least {MIN_FREE_MIB}, or posts stop")
    return f"{free / 1024:.1f} GiB free"


def _sqlite(_: Config, __: datetime) -> str:
    if sqlite3.sqlite_version_info < (3, 37):
        raise BiobotError(f"SQLite is {sqlite3.sqlite_version}; STRICT tables need 3.37: use a newer Python")
    return f"{sqlite3.sqlite_version}, rollback journal (TRUNCATE)"


def _torch(config: Config, _: datetime) -> str:
    try:
        version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        raise BiobotError(f"torch is not installed: {adding(['torch'])}") from None
    packages = (each.metadata["Name"] or "" for each in metadata.distributions())
    cuda = "+cpu" not in version and any(name.startswith("nvidia-") for name in packages)
    gpu = Path("/dev/nvidiactl").exists() or Path("/proc/driver/nvidia/version").exists()
    if cuda and not gpu and sys.platform == "linux":
        return (
            f"{version}, a CUDA build on a machine without an NVIDIA GPU: it works; the CPU build saves 2.5 GB "
            f"({adding(['torch'], index=CPU_INDEX)})"
        )
    if config.settings.model.device == "cuda" and not gpu:
        raise BiobotError('`model.device` is "cuda", and there is no NVIDIA GPU here: set it to "auto"')
    return f"{version}, {'with a GPU' if gpu else 'on the CPU'}"


def _account(config: Config, now: datetime) -> str:
    from biobot.app.networks import check

    return "; ".join(line for name in config.settings.post.all for line in check(config, lambda: now, name))


def _existing(path: Path) -> Path:
    """Return the folder itself, else the nearest of those above it that exists."""
    return next(each for each in (path, *path.resolve().parents) if each.exists())


def _interrupted(path: Path) -> str:
    killed = storage.is_interrupted(path)
    return "; interrupted: a process was killed while it wrote; the next one that writes undoes it" if killed else ""


CHECKS: dict[str, Callable[[Config, datetime], str]] = {
    "config": _config,
    "secrets": _secrets,
    "home": _home,
    "outbox": _outbox,
    "corpus": _corpus,
    "model": _model,
    "plugins": _plugins,
    "filters": _filters,
    "schedule": _schedule,
    "budget": _budget,
    "clock": _clock,
    "disk": _disk,
    "sqlite": _sqlite,
    "torch": _torch,
    "account": _account,
}
"""Each returns how things are; BiobotError says what is wrong and how to fix it."""
