"""For the tests of a plugin: judge one text with it, without a bot, a model or a network.

In a `conftest.py`, `pytest_plugins = ["biobot.testing"]` gives every test the fixture `judge`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from biobot.candidate import Candidate, Match
from biobot.filters import loader
from biobot.filters.judge import Judge


@dataclass(frozen=True, slots=True)
class FakeKnownTexts:
    """Stands for everything that was seen: it answers every text with the same matches."""

    found: tuple[Match, ...] = ()

    def matches(self, text: str) -> tuple[Match, ...]:  # noqa: ARG002
        """Return the matches that it was made with."""
        return self.found


def judge(
    plugin: str | Path, text: str, seen: Iterable[Match] = (), settings: dict[str, Any] | None = None, **facts: Any
) -> str | None:
    """Return the objection that the plugin in the file `plugin` has to `text`, or None.

    `settings` is the plugin's table in biobot.toml; `facts` are the candidate's, such as temperature=0.8. A plugin
    that raises, takes longer than two seconds or answers nonsense has an objection, as in the bot.
    """
    path = Path(plugin)
    loaded = _loaded(path, path.stat().st_mtime_ns, json.dumps(settings))
    verdict = Judge(loader.Plugins((loaded,)), FakeKnownTexts(tuple(seen)), timedelta(seconds=2)).judge(
        Candidate(text, **facts)
    )
    return verdict.objections[0].reason if verdict.objections else None


@lru_cache(maxsize=32)
def _loaded(path: Path, _changed: int, settings: str) -> loader.Plugin:
    return loader.load_file(path, json.loads(settings))


@pytest.fixture(name="judge")
def _judge() -> Callable[..., str | None]:
    return judge
