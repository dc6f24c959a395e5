"""Everything that was seen before: what the model learnt, who opted out, what was posted, what waits."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from biobot.candidate import Match, Source
from biobot.config import Config
from biobot.dedupe import fingerprint
from biobot.dedupe.index import Index, TextIndex
from biobot.errors import OutboxError

WAITING = ("held", "approved", "rejected", "skipped")
"""States of an outbox row whose text is not on its way: `queued`. All others may be on the network: `posted`."""


class Everything:
    """Several indexes asked as one; each text's fingerprint is taken once."""

    def __init__(self, indexes: Sequence[Index | TextIndex]) -> None:
        self._indexes = tuple(indexes)

    def matches(self, text: str) -> tuple[Match, ...]:
        """Return every resemblance of `text`, the strongest of each source and layer."""
        mark = fingerprint.of(text)
        return tuple(match for index in self._indexes for match in index.look_up(mark))


def seen(config: Config, model_folder: Path, *, but: str | int | None = None) -> Everything:
    """Open what was seen by the bot of `config` whose model is in `model_folder`.

    The outbox row `but` does not count: its own text is judged again. Raises CorpusError when the model's
    index cannot be read, OutboxError when the outbox cannot: nothing is posted that was not compared.
    """
    texts = _outbox(config.home / "outbox.db", but)
    return Everything(
        [
            Index.open(model_folder / "seen.idx"),
            TextIndex.read(forgotten(config), "forgotten"),
            *(TextIndex(texts[source], source) for source in texts),
        ]
    )


def forgotten(config: Config) -> Path:
    """Where the fingerprints of opted-out texts are: written with `biobot.dedupe.index.append`."""
    return config.home / "forgotten.idx"


def _outbox(path: Path, but: str | int | None) -> dict[Source, list[str]]:
    texts: dict[Source, list[str]] = {"posted": [], "queued": []}
    if not path.exists():
        return texts
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10) as database:
            rows = database.execute("SELECT id, state, text FROM post WHERE text IS NOT NULL").fetchall()
        database.close()
    except sqlite3.Error as error:
        raise OutboxError(f"cannot read {path}: {error}") from None
    for row, state, text in rows:
        if but is None or str(row) != str(but):
            texts["queued" if state in WAITING else "posted"].append(text)
    return texts
