"""How the bot is: `status`, the story of a post, and the check-up of the whole set-up. Nothing here changes state."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from biobot.app import training_record
from biobot.collect.ledger import month_spend
from biobot.config import Config
from biobot.errors import BiobotError, ModelError
from biobot.model.registry import Registry
from biobot.posting import locks, schedule
from biobot.posting.blocks import PROBLEMS, posting_block
from biobot.posting.budget import Budget
from biobot.posting.drafts import SamplingRecord
from biobot.posting.notices import problems
from biobot.posting.outbox import Outbox
from biobot.posting.post import PENDING, Post, State, slot_key, stamp
from biobot.settings import XSettings
from biobot.text.humanize import when
from biobot.text.terminal import clean
from biobot.worker.client import Worker
from biobot.worker.protocol import Replay


def look(config: Config) -> Outbox:
    """Open the bot's outbox without changing a byte of it (F9)."""
    return Outbox(config.home / "outbox.db", config.settings.post.network, read_only=True)


# -- status ------------------------------------------------------------------------------------------


def status(config: Config, now: datetime) -> dict[str, Any]:
    """Return how the bot is: the object of `biobot status --json`."""
    post = config.settings.post
    with look(config) as outbox:
        daemon = locks.holder(config.home, locks.DAEMON)
        left = Budget(outbox, post).left(now)
        block = posting_block(outbox, Budget(outbox, post), now)
        # what blocks posting is known better from the outbox as it is now, daemon or not
        said = [text for name, text in problems(outbox).items() if name not in PROBLEMS]
        if block is not None and block.kind != "paused":
            said.insert(0, block.text)
        try:
            model = Registry(config.home).find(config.settings.model.name).id
        except BiobotError as error:
            model = None
            said.append(str(error))
        last = outbox.last_attempt(now)
        counts = outbox.counts()
        state = "running" if daemon else "stopped"
        if block is not None and block.until is None:
            state = "paused" if block.kind == "paused" else "blocked"
        upcoming = next_slot(config, outbox, now)
        return {
            "state": state,
            "last_post": stamp(last) if last else None,
            "next_slot": slot_key(upcoming) if upcoming and state not in ("paused", "blocked") else None,
            "queue": counts,
            "unconfirmed": counts[State.UNCONFIRMED],
            "filters": outbox.refused(),
            "budget": {
                "posts_today": left.posts_today,
                "posts_per_day": left.posts_per_day,
                "usd_this_month": round(left.usd_month, 6),
                "usd_per_month": left.usd_per_month,
                "prices_as_of": post.prices.as_of,
                "next_post_from": stamp(left.until) if left.until else None,
            },
            "collect": {
                "usd_this_month": round(month_spend(config.home / "corpus.db", now), 6),
                "usd_per_month": config.settings.collect.usd_per_month,
            },
            "training": training_record.last(config.home),
            "model": model,
            "problems": said,
            "network": post.network,
            "review": post.review,
            "daemon": daemon,
            "home": str(config.home),
        }


def next_slot(config: Config, outbox: Outbox, now: datetime) -> datetime | None:
    """Return the next slot that a post may come at: not one that is settled already, nor one the budget forbids."""
    left = Budget(outbox, config.settings.post).left(now)
    for slot in schedule.slots(config.settings.schedule, left.until - timedelta(seconds=1) if left.until else now):
        row = outbox.at(slot)
        if row is None or row.state in PENDING:
            return slot
    return None


# -- why ---------------------------------------------------------------------------------------------


def why(config: Config, post: int) -> dict[str, Any]:
    """Return a post's whole story, and draw its text again with all that is on record about how it was drawn.

    `same` is whether that gives the same text; None when it cannot be drawn again. `note` says why, or what differs.
    """
    with look(config) as outbox:
        row, audit = outbox.get(post), outbox.audit(post)
    story: dict[str, Any] = row_facts(row) | {
        "model": row.model,
        "seed": row.seed,
        "controls": json.loads(row.controls),
        "approved_by": row.approved_by,
        "remote_id": row.remote_id,
        "account": row.account,
        "sent": stamp(row.attempted) if row.attempted else None,
        "story": [
            {"at": stamp(each.at), "was": each.was, "state": each.state, "by": each.by, "reason": each.reason}
            for each in audit
        ],
        "same": None,
        "drawn_again": None,
    }
    if row.text is None:
        return story | {"note": "a skipped slot has no text"}
    if row.seed is None or row.temperature is None or row.model is None:
        return story | {"note": "a person wrote the text"}
    try:
        record = SamplingRecord.read(row.controls)
        Registry(config.home).find(row.model)
        again = Worker(config).replay(Replay(row.model, row.temperature, row.seed, record.controls, record.numerics))
    except ModelError:
        return story | {"note": f"the model {row.model} is no longer here"}
    except BiobotError as error:
        return story | {"note": f"it could not be drawn again: {error}"}
    same = again.text == row.text
    if row.edited:
        note = "a person has edited it"
    elif record.numerics not in (None, again.numerics):
        note = f"it was drawn with {record.numerics}; here it is {again.numerics}, which can give another text"
    elif same:
        note = ""
    elif record.numerics is None:
        note = "the arithmetic it was drawn with is not on record; with other arithmetic a seed can give another text"
    else:
        note = "with everything on record the same, so the model's file or biobot itself has changed since"
    return story | {"same": same, "drawn_again": again.text, "note": note}


def story_lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield what `why` returns as lines for people."""
    yield f"post {found['id']} is {found['state']}" + (f" as {found['remote_id']}" if found["remote_id"] else "")
    yield f"  {clean(found['text'] or '(no text)')}"
    if found["seed"] is not None:
        yield f"model {found['model']}, temperature {found['temperature']:g}, seed {found['seed']}"
    for each in found["story"]:
        reason = f": {each['reason']}" if each["reason"] else ""
        yield f"{when(datetime.fromisoformat(each['at']))}  {each['state']:<11}  by {each['by']}{reason}"
    note = f" ({found['note']})" if found["note"] else ""
    if found["same"] is None:
        yield found["note"]
    elif found["same"]:
        yield f"redrawn: the same text{note}"
    else:
        yield f"redrawn: a different text{note}:"
        yield f"  {clean(found['drawn_again'])}"


def row_facts(row: Post) -> dict[str, Any]:
    """Return the object that `queue list --json` prints for a row."""
    return {
        "id": row.id,
        "rev": row.rev,
        "state": str(row.state),
        "text": row.text,
        "slot": slot_key(row.slot) if row.slot else None,
        "network": row.network,
        "temperature": row.temperature,
        "created": stamp(row.created),
        "reason": row.reason,
    }


# -- doctor ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the check-up: what was looked at, whether it is well, what was found, and the mend."""

    what: str
    well: bool
    found: str


def doctor(config: Config, now: datetime, *, online: bool = False) -> Iterator[Finding]:
    """Check the whole set-up, one part after the other; with `online` the account too, which makes a call or two."""
    checks: list[tuple[str, Callable[[Config, datetime], str]]] = [
        ("config", _config),
        ("secrets", _secrets),
        ("home", _home),
        ("outbox", _outbox),
        ("model", _model),
        ("plugins", _plugins),
        ("schedule", _schedule),
        ("budget", _budget),
        ("clock", _clock),
        ("disk", _disk),
        ("sqlite", _sqlite),
        ("torch", _torch),
    ]
    if online:
        checks.append(("account", _account))
    for what, check in checks:
        try:
            yield Finding(what, True, check(config, now))
        except BiobotError as error:
            yield Finding(what, False, str(error))


def _config(config: Config, _: datetime) -> str:
    x = config.settings.x
    host = urlsplit(x.api_base).hostname
    if config.settings.post.network == "x" and x.api_base != XSettings().api_base and host != "api.x.com":
        raise BiobotError(f"`x.api_base` is {x.api_base}: the keys go to {host}, not to X; mend it unless you mean it")
    return f"{config.file or 'no biobot.toml: all defaults'}; posts go to {config.settings.post.network}"


def _secrets(config: Config, _: datetime) -> str:
    from biobot.networks.secrets import POSTING, load

    secrets = load(config)
    missing = secrets.missing(*POSTING)
    if config.settings.post.network == "x":
        secrets.require(*POSTING)
    return "all of them are there" if not missing else f"{len(missing)} of 4 missing, and not needed for this network"


def _home(config: Config, _: datetime) -> str:
    folder = config.home
    there = next(each for each in (folder, *folder.resolve().parents) if each.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        raise BiobotError(f"{there} cannot be written; mend its rights, or give another --home")
    return f"{folder}{'' if folder.exists() else ' (made when it is needed)'}"


def _outbox(config: Config, now: datetime) -> str:
    with look(config) as outbox:
        (bad,) = outbox.ask("PRAGMA quick_check(1)")[0]
        if bad != "ok":
            raise BiobotError(f"{outbox.path} is damaged ({bad}): restore a backup before anything is posted")
        block = posting_block(outbox, Budget(outbox, config.settings.post), now)
        if block is not None and block.kind in ("blocked", "breaker"):
            raise BiobotError(block.text)
        counts = outbox.counts()
        said = ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "empty"
        return f"{said}{f'; {block.text}' if block else ''}"


def _model(config: Config, _: datetime) -> str:
    folder = Registry(config.home).find(config.settings.model.name)
    folder.header()
    if not folder.index.is_file():
        raise BiobotError(f"{folder.index} is missing, so copies could not be told: train or import the model again")
    return f"{folder.id} in {folder.path}"


def _plugins(config: Config, _: datetime) -> str:
    from biobot.filters import loader

    return ", ".join(plugin.name for plugin in loader.load(config) if plugin.enabled)


def _schedule(config: Config, now: datetime) -> str:
    found = schedule.next_slots(config.settings.schedule, now, 1)
    if not found:
        raise BiobotError("no slot ever comes; look at `schedule.cron` and `schedule.quiet`")
    zone = schedule.zone(config.settings.schedule)
    return f"next slot {when(found[0])}, {found[0].astimezone(zone):%H:%M:%S} in the time zone {zone}"


def _budget(config: Config, now: datetime) -> str:
    with look(config) as outbox:
        budget = Budget(outbox, config.settings.post)
        left = budget.left(now)
    per_day = timedelta(days=1) / schedule.interval(config.settings.schedule, now)
    month = min(per_day, left.posts_per_day) * 30 * budget.price("post")
    said = f"{left.posts_today} of {left.posts_per_day} posts today, ${left.usd_month:.2f} of ${left.usd_per_month:.2f}"
    said += f" this month (prices of {config.settings.post.prices.as_of})"
    if per_day > left.posts_per_day:
        said += f"; the schedule wants {per_day:.0f} posts a day, so slots will be missed"
    elif month > left.usd_per_month:
        said += f"; the schedule would cost ${month:.2f} a month, so slots will be missed"
    return said


def _clock(_: Config, now: datetime) -> str:
    if now < _BUILT:
        raise BiobotError(f"the clock says {now:%Y-%m-%d}: let NTP set it (timedatectl set-ntp true)")
    synchronised = Path("/run/systemd/timesync/synchronized").exists()
    return f"{when(now)}{', set by NTP' if synchronised else ''}"


def _disk(config: Config, _: datetime) -> str:
    there = next(each for each in (config.home, *config.home.resolve().parents) if each.exists())
    free = shutil.disk_usage(there).free / 2**20
    if free < _LEAST_MIB:
        raise BiobotError(f"{free:.0f} MiB are free at {there}; below {_LEAST_MIB} a post may not be written down")
    return f"{free / 1024:.1f} GiB free"


def _sqlite(_: Config, __: datetime) -> str:
    if sqlite3.sqlite_version_info < (3, 37):
        raise BiobotError(f"SQLite is {sqlite3.sqlite_version}; STRICT tables need 3.37: use a newer Python")
    return f"{sqlite3.sqlite_version}, rollback journal (TRUNCATE)"


def _torch(config: Config, _: datetime) -> str:
    try:
        version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        raise BiobotError("torch is not installed: pip install torch") from None
    cuda = any(name.startswith("nvidia-") for name in _packages()) and "+cpu" not in version
    gpu = Path("/dev/nvidiactl").exists() or Path("/proc/driver/nvidia/version").exists()
    if cuda and not gpu and sys.platform == "linux":
        return (
            f"{version}, a CUDA build on a machine without an NVIDIA GPU: it works; the CPU build saves 2.5 GB "
            "(pip install torch --index-url https://download.pytorch.org/whl/cpu)"
        )
    if config.settings.model.device == "cuda" and not gpu:
        raise BiobotError('`model.device` is "cuda", and there is no NVIDIA GPU here: set it to "auto"')
    return f"{version}{', with a GPU' if gpu else ', on the CPU'}"


def _packages() -> Iterator[str]:
    return (each.metadata["Name"] or "" for each in metadata.distributions())


def _account(config: Config, now: datetime) -> str:
    from biobot.app.networks import open_network

    network = open_network(config, lambda: now)
    try:
        account = network.me()
    finally:
        network.close()
    with look(config) as outbox:
        if outbox.account not in ("", account.id):
            raise BiobotError(f"the keys are @{account.handle}'s, but this outbox is account {outbox.account}'s")
    if account.access == "read":
        raise BiobotError(f'@{account.handle}: the keys may only read; set the app to "Read and write", make new ones')
    return f"@{account.handle} ({account.id}){', may read and write' if account.access else ''}"


_BUILT = datetime(2026, 1, 1, tzinfo=UTC)
_LEAST_MIB = 100
