"""For tests of plugins and of whole bots.

`judge` judges one text with one plugin, without a bot, a model or a network; in a `conftest.py`,
`pytest_plugins = ["biobot.testing"]` makes it a fixture. `fill_outbox` gives a bot a past.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

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


def fill_outbox(home: Path, texts: Iterable[str], network: str = "rehearsal") -> None:
    """Put texts into a bot's outbox as if they had been posted, 17 a day, the last of them a day ago.

    What looks the same as another is left out. The index of known texts is written as well, as a bot does.
    """
    from biobot.dedupe import known_texts
    from biobot.posting.outbox import Outbox

    last, step, unique = datetime.now(UTC) - timedelta(days=1), timedelta(days=1) / 17, list(dict.fromkeys(texts))
    with Outbox(home / "outbox.db", network) as outbox:
        before, backwards = sum(outbox.counts().values()), reversed(range(len(unique)))
        outbox.add_posted(
            (text, last - back * step, f"filled-{before + back}") for back, text in zip(backwards, unique, strict=True)
        )
        known_texts.save_own_texts(home / known_texts.OUTBOX_INDEX, outbox)


try:
    import pytest
except ImportError:  # `fill_outbox` does without
    pass
else:

    @pytest.fixture(name="judge")
    def _judge() -> Callable[..., str | None]:
        return judge
