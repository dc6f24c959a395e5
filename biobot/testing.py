"""For tests of plugins and of whole bots.

`judge` judges one text with one plugin, without a bot, a model or a network; in a `conftest.py`,
`pytest_plugins = ["biobot.testing"]` makes it a fixture. `network` opens a plugin's network, and `try_network` asks all
of it that the bot relies on. `fill_outbox` gives a bot a past.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from biobot.candidate import Candidate, Match
from biobot.filters import loader
from biobot.filters.judge import Judge

if TYPE_CHECKING:
    from biobot.networks.network import Network


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


@contextmanager
def network(
    plugin: str | Path,
    home: Path,
    secrets: Mapping[str, str] = MappingProxyType({}),
    settings: dict[str, Any] | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[Network]:
    """Yield the network of the plugin in the file `plugin`, checked and opened as the bot does it; then close it.

    `settings` is the network's table in biobot.toml, `home` a folder for its files.
    """
    from biobot.config import Where, build
    from biobot.networks.network import Opening
    from biobot.networks.opening import guarded, of_plugin

    loaded = loader.load_file(Path(plugin))
    kind = of_plugin(loaded)
    table: Any = build(kind.settings, settings or {}, Where("biobot.toml", (kind.name,)))
    opened = guarded(kind, loaded, Opening(table, {**dict.fromkeys(kind.secrets, ""), **secrets}, home, clock), "test")
    try:
        yield opened
    finally:
        opened.close()


def try_network(network: Network, clock: Callable[[], datetime] = lambda: datetime.now(UTC), posts: int = 45) -> None:
    """Post, post again under the same keys, read and delete; raise AssertionError where that is not as it must be.

    Best with a fake server: it makes `posts` posts, which should be more than a page of the timeline, and deletes them.
    """
    from biobot.networks.errors import Kind, Refused
    from biobot.text.normalize import published

    account, begin, sent = network.me(), clock() + (network.clock_offset or timedelta(0)) - timedelta(minutes=1), {}
    assert network.me().id == account.id, "`me` does not name the same account twice"
    for number in range(posts):
        text = f"Number {number} of the posts of a trial."
        key = network.make_key(text, number + 1, clock(), clock()) if network.key_lasts is not None else ""
        request = network.compose(text, clock())
        sent[network.post(request, key)] = text
        assert len(sent) == number + 1, "two posts have the same id"
        if key:
            network.post(request, key)
            assert network.post(request, key) in sent, (
                "the same call under the same key made another post: no key_lasts"
            )
    found = network.timeline(begin, 10 * posts)
    reaches, mine = getattr(found, "reaches", None), [each for each in found if each.id in sent]
    assert reaches is not None, "`timeline` does not say how far it reaches: return Timeline(posts, reaches=since)"
    assert reaches <= begin, f"`timeline` was asked for the posts since {begin}, and reaches back to {reaches} only"
    lacks = len(sent) - len({each.id for each in mine})
    assert not lacks, f"`timeline` lacks {lacks} of {posts} posts: read page after page until `since`, or until `limit`"
    assert len(mine) == posts, "`timeline` has a post twice, or the same call under the same key made another post"
    for each in mine:
        assert published(each.text) == published(sent[each.id]), f"a post reads {each.text!r}, not {sent[each.id]!r}"
    dates = [each.created for each in mine if each.created is not None]
    assert dates == sorted(dates, reverse=True), "`timeline` is not in the order of the times, newest first"
    assert len(network.timeline(begin, 3)) <= 3, "`timeline` returns more than `limit` posts"
    assert network.objection("x" * (network.max_length + 1)), "`objection` has none to a text longer than `max_length`"
    for each in mine:
        network.delete(each.id)
    assert not sent.keys() & {each.id for each in network.timeline(begin, 10 * posts)}, "`delete` deletes no post"
    kind = None
    try:
        network.delete(mine[0].id)
    except Refused as error:
        kind = error.kind
    assert kind in (None, Kind.NOT_FOUND), f"the deletion of a post that is gone is refused as {kind}, not as NOT_FOUND"


try:
    import pytest
except ImportError:  # `fill_outbox` does without
    pass
else:

    @pytest.fixture(name="judge")
    def _judge() -> Callable[..., str | None]:
        return judge
