"""What the outbox tells the process that judges: what must not be repeated, and what the owner decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biobot.candidate import Candidate
from biobot.config import Config
from biobot.corpus.store import Store
from biobot.model.registry import ModelFolder
from biobot.posting import engagement
from biobot.posting.outbox import Outbox

if TYPE_CHECKING:
    from biobot.dedupe.known_texts import CombinedIndex
    from biobot.taste.marks import Mark


def decisions(config: Config) -> list[Mark]:
    """Return what the owner decided about drafts, as marks; with `taste.engagement` also what people thought."""
    from biobot.taste.marks import Mark

    with Outbox(config.home / "outbox.db", config.settings.post.first, read_only=True) as outbox:
        decided = [Mark.of_decision(text, approved) for text, approved in outbox.decisions()]
        if config.settings.taste.engagement == "off":
            return decided
        known = {each.candidate.text for each in decided}
        popular = [Mark(Candidate(text), value, source="engagement") for text, value in engagement.weak_marks(outbox)]
        return [each for each in popular if each.candidate.text not in known] + decided


def same_texts(config: Config, row: str) -> list[str]:
    """Return the ids of the outbox rows, one a network, that have the text of this one."""
    with Outbox(config.home / "outbox.db", config.settings.post.first, read_only=True) as outbox:
        return [row, *map(str, outbox.siblings(int(row)))] if row.isdecimal() else []


def known_texts(config: Config, model: ModelFolder, *, may_write: bool = False) -> CombinedIndex:
    """Open the known texts of a bot whose model is `model`; `may_write` is for work that posts, not for looking on.

    Raises CorpusError or OutboxError for what cannot be read: nothing is posted that was not compared.
    """
    from biobot.dedupe.known_texts import open_known_texts  # numpy, which the daemon does without

    with Store(config.home / "corpus.db", read_only=True) as store:
        forgotten, sealed = store.fingerprints(), store.fingerprints_seal()
    with Outbox(config.home / "outbox.db", config.settings.post.first, read_only=True) as outbox:
        return open_known_texts(config.home, model.index, outbox, forgotten, sealed, may_write=may_write)
