"""Judging given texts as the filters would: for `check`, for a text that waited, for one that a person edited."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from biobot.candidate import Candidate, Verdict
from biobot.config import Config
from biobot.dedupe.known_texts import seen
from biobot.filters import loader
from biobot.filters.judge import Judge
from biobot.model.registry import Registry


@dataclass(frozen=True, slots=True)
class Given:
    """A text to judge; `id` names the outbox row that it is the text of."""

    text: str
    id: str | None = None


def check(config: Config, texts: Iterable[Given], model: str | None = None) -> Iterator[Verdict]:
    """Judge texts in their order, against what `model` learnt; by default the model that the config names."""
    plugins = loader.load(config)
    folder = Registry(config.home).find(model or config.settings.model.name).path
    timeout = config.settings.filters.timeout
    usual = Judge(plugins, seen(config, folder), timeout)
    for given in texts:
        judge = usual if given.id is None else Judge(plugins, seen(config, folder, but=given.id), timeout)
        yield judge.judge(Candidate(given.text))
