"""Auditing a model for what it has memorised of its training set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from biobot.app.corpus import open_store
from biobot.app.training import open_model, resembles
from biobot.config import Config
from biobot.corpus import clean
from biobot.corpus.readers import read
from biobot.dedupe import groups
from biobot.dedupe.index import Index
from biobot.errors import CorpusError
from biobot.evaluation.report import MIN_BYTES
from biobot.model.registry import Registry

if TYPE_CHECKING:
    from biobot.evaluation.audit import Row


@dataclass(frozen=True, slots=True)
class Options:
    """The options of `biobot audit`; `most` limits how many bios of each kind are measured."""

    model: str | None = None
    temperatures: tuple[float, ...] = (0.8, 1.0)
    corpus: Path | None = None
    dev: Path | None = None
    most: int | None = None


def audit(config: Config, options: Options, progress: Callable[[int, int], object]) -> tuple[str, list[Row]]:
    """Return the model's id and its rows; `progress` is called with how many of how many bios are measured.

    Training bios are those at hand that the model's index holds, unseen ones those that resemble nothing in it.
    Raises CorpusError if there are none of either.
    """
    folder = Registry(config.home).find(options.model or config.settings.model.name)
    known = Index.open(folder.index)

    def cleaned(file: Path | None) -> list[str]:
        with open_store(config, read_only=True) as store:
            bios = read(file) if file else store.bios()
            texts = clean.clean(bios, config.settings.train, Counter(), store.forgotten().covers)
            return [each for each in texts if len(each.encode()) >= MIN_BYTES]

    at_hand = _shuffled(cleaned(options.corpus))
    training: list[str] = []
    others: list[str] = []
    for text in at_hand:
        (training if known.verbatim(text)[0] else others).append(text)
        if options.most and len(training) >= options.most and (options.dev or len(others) >= options.most):
            break
    if not training:
        raise CorpusError(
            f"an audit needs bios that {folder.id} was trained on, and its index holds none of the {len(at_hand):,} at "
            f"hand of {MIN_BYTES} bytes or more; `biobot corpus import` them, or name their file: --corpus FILE"
        )
    candidates = _shuffled(cleaned(options.dev)) if options.dev else others
    unseen = [each for each in candidates[: options.most] if not resembles(known, each)]
    if not unseen:
        raise CorpusError(
            f"an audit needs bios that {folder.id} was not trained on, to compare with; name a file of some: --dev FILE"
        )
    from biobot.evaluation.audit import measure

    return folder.id, measure(
        open_model(config, str(folder.path))[1], (training[: options.most], unseen), options.temperatures, progress
    )


def _shuffled(texts: Iterable[str]) -> list[str]:
    """Return distinct texts in an order that depends on them alone."""
    return [text for _, text in sorted({groups.group(text, 1): text for text in texts}.items())]
