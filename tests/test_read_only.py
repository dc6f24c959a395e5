"""What only reads changes nothing: no byte and no time of any file, whatever it meets."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from biobot import storage
from biobot.app.corpus import forget
from biobot.cli import main
from biobot.collect.ledger import Ledger
from biobot.config import Config
from biobot.corpus.readers import Bio
from biobot.corpus.store import Store
from biobot.rehearsal.state import State as FakeState
from tests.conftest import made_up_bios
from tests.homes import kill_within_a_transaction, snapshot
from tests.web import scene
from tests.web.browser import served

pytestmark = pytest.mark.usefixtures("worker_here")

COMMANDS = (
    ["status"],
    ["status", "--json"],
    ["doctor"],
    ["queue", "list"],
    ["queue", "list", "--json", "--state", "posted"],
    ["why", "1"],
    ["corpus", "stats"],
    ["corpus", "stats", "--json"],
    ["corpus", "export", "-"],
    ["networks", "list"],
    ["networks", "list", "--json"],
    ["models", "list"],
    ["models", "show", "current"],
    ["plugins", "list"],
    ["taste", "show"],
    ["taste", "show", "--json"],
)
SLOW_COMMANDS = (["check", "--text", "hello there"], ["preview", "-n", "1", "--json"])
PAGES = (
    *("/", "/queue/live", "/queue/14", "/queue/14/edit"),
    *("/history", "/history?state=posted", "/history/rows?below=9", "/history/1", "/history/corpus"),
    *("/lab", "/lab/live", "/rate", "/training", "/training/live"),
)
SLOW_PAGES = (
    "/queue/verdicts?posts=14:1",
    "/history/1/again",
    "/lab/stream?n=1&seed=1",
    "/training/compare?one=starter&other=starter",
)

NEW_NAMES = {"sending": "attempted", "freed": "slot_released", "checks": "reconcile_misses"}
"""Columns that a migration has renamed."""

Run = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command that does what it is asked for; return what it printed."""

    def command(*words: str) -> str:
        with pytest.raises(SystemExit) as left:
            main(list(words))
        said = capsys.readouterr()
        assert left.value.code == 0, said.err
        return said.out

    return command


@pytest.fixture
def config(bot: Callable[[str], Path]) -> Config:
    """A bot with a past: outbox, corpus with opt-outs and spending, models, a training, a rehearsal, curves."""
    folder = bot(scene.TOML)
    now = datetime.now(UTC)
    config = scene.build(folder)
    scene.train(config, now)
    scene.tune(config)
    with Store(config.home / "corpus.db") as corpus:
        corpus.add([Bio(text, number + 1, f"person{number}") for number, text in enumerate(made_up_bios(1500))], now)
        forget(corpus, ["5"], [], now)
        with corpus.transaction():
            Ledger(corpus).charge("read_user", 50, 0.01, now)
    fake = FakeState(config.home / "rehearsal.db")
    fake.add("hello there", now)
    fake.close()
    record = {"began": "2026-11-14T04:15:00Z", "ended": None, "outcome": "running", "step": "train", "model": None}
    (config.home / "training.json").write_text(json.dumps(record | {"why": "", "collected": None}), encoding="utf-8")
    return config


def test_commands_and_pages_that_only_read_change_no_byte_and_no_time(config: Config, run: Run) -> None:
    with served(config) as site, httpx.Client(base_url=site.url, timeout=60) as browser:
        assert browser.get(site.link(), follow_redirects=True).status_code == 200
        looked_at(config, run, browser, COMMANDS + SLOW_COMMANDS, PAGES + SLOW_PAGES)


def test_a_home_whose_writer_was_killed_is_read_as_if_the_transaction_had_not_begun(config: Config, run: Run) -> None:
    before = figures(run)
    with served(config) as site, httpx.Client(base_url=site.url, timeout=60) as browser:
        assert browser.get(site.link(), follow_redirects=True).status_code == 200
        kill_within_a_transaction(config.home / "outbox.db", "UPDATE post SET text = hex(randomblob(9000))")
        kill_within_a_transaction(config.home / "corpus.db", "DELETE FROM author")
        looked_at(config, run, browser, COMMANDS, PAGES)
        said = run("doctor")
    assert figures(run) == before
    assert "interrupted" in said
    assert storage.is_interrupted(config.home / "outbox.db")
    run("pause")
    assert not storage.is_interrupted(config.home / "outbox.db")


def test_a_home_of_an_older_biobot_is_read_and_stays_as_it_is(config: Config, run: Run) -> None:
    before = figures(run)
    with served(config) as site, httpx.Client(base_url=site.url, timeout=60) as browser:
        assert browser.get(site.link(), follow_redirects=True).status_code == 200
        downgrade(config.home / "corpus.db", storage.migrations("corpus")[:1], ("bio", "author", "forgotten"))
        downgrade(config.home / "outbox.db", storage.migrations("posting")[:1], ("post",))
        looked_at(config, run, browser, COMMANDS, PAGES)
    assert figures(run) == before


def looked_at(
    config: Config, run: Run, browser: httpx.Client, commands: tuple[list[str], ...], pages: tuple[str, ...]
) -> None:
    """Run every command, open every page, and see after each that nothing has changed."""
    before = snapshot(config.home)
    for words in commands:
        run(*words)
        assert snapshot(config.home) == before, words
    for page in pages:
        answer = browser.get(page)
        assert answer.status_code == 200, page
        assert snapshot(config.home) == before, page


def figures(run: Run) -> tuple[Any, ...]:
    """Return what is known of a home's outbox and corpus."""
    corpus, status = json.loads(run("corpus", "stats", "--json")), json.loads(run("status", "--json"))
    return corpus, status["queue"], status["last_post"], run("queue", "list", "--json")


def downgrade(path: Path, steps: list[str] | tuple[str, ...], tables: tuple[str, ...]) -> None:
    """Make a database again as the migrations `steps` leave it, with the same rows in `tables`."""
    newer = path.rename(path.with_name("newer.db"))
    with closing(storage.open_read_write(path, steps)) as db:
        db.execute("ATTACH ? AS newer", (str(newer),))
        for table in tables:
            columns = [name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")]
            there = {name for _, name, *_ in db.execute(f"PRAGMA newer.table_info({table})")}
            pairs = {name: NEW_NAMES.get(name, name) for name in columns if NEW_NAMES.get(name, name) in there}
            db.execute(
                f"INSERT INTO {table} ({', '.join(pairs)}) SELECT {', '.join(pairs.values())} FROM newer.{table}"
            )
    for each in path.parent.glob("newer.db*"):
        each.unlink()
