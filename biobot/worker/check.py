"""Judging given texts as the filters would: for `check`, for a text that waited, for one that a person edited."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from biobot.candidate import Candidate, Verdict
from biobot.config import Config
from biobot.filters import loader
from biobot.filters.judge import Judge
from biobot.model.registry import Registry
from biobot.worker.known import known_texts


@dataclass(frozen=True, slots=True)
class Given:
    """A text to judge; `id` names the outbox row that it is the text of."""

    text: str
    id: str | None = None


def check(config: Config, texts: Iterable[Given], model: str | None = None) -> Iterator[Verdict]:
    """Judge texts in their order, against what `model` learnt; by default the model that the config names."""
    plugins = loader.load(config)
    known = known_texts(config, Registry(config.home).find(model or config.settings.model.name))
    for given in texts:
        others = known if given.id is None else known.without(given.id)
        yield Judge(plugins, others, config.settings.filters.timeout).judge(Candidate(given.text))
