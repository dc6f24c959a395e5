"""The texts that a bot must not repeat: what its model learnt, what was posted or waits, and whose author opted out.

They are opened once in a process, before any text is judged. The outbox is the only truth about the bot's own texts:
the fingerprints in OUTBOX_INDEX count for those rows whose id and text they were computed from, all others' are
computed anew. So a copy of that file that is old, damaged or another bot's costs time, and lets nothing pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import islice
from pathlib import Path

import numpy as np

from biobot.candidate import Match, Source
from biobot.dedupe import fingerprint
from biobot.dedupe.fingerprint import Array
from biobot.dedupe.index import Index
from biobot.errors import CorpusError
from biobot.storage import atomic_write

OUTBOX_INDEX = "outbox.idx"
FORGOTTEN = "forgotten.idx"
QUEUED_STATES = ("held", "approved", "rejected", "skipped")
"""States of an outbox row whose text is not on its way: `queued`. All others may be on the network: `posted`."""
MAX_UNSAVED = 500
"""So many of the bot's own texts, or a twentieth of them, may wait to be saved in OUTBOX_INDEX."""

OutboxRow = tuple[int, str, str]
"""The id, state and text of a row of the outbox."""


@dataclass(frozen=True, slots=True)
class Part:
    """An index, or those texts in it that `among`, bool (n), says, and what they are."""

    index: Index
    source: Source
    among: Array | None = None


class CombinedIndex:
    """Several indexes asked as one: a `biobot.candidate.KnownTexts`."""

    def __init__(self, parts: Iterable[Part]) -> None:
        self._parts = tuple(parts)

    def matches(self, text: str) -> tuple[Match, ...]:
        """Return every resemblance of `text`, the strongest of each source and layer."""
        mark = fingerprint.compute(text)
        found = [match for each in self._parts for match in each.index.look_up(mark, each.source, each.among)]
        strongest = {(match.source, match.layer): match for match in sorted(found, key=lambda match: match.amount)}
        return tuple(match for match in found if strongest[match.source, match.layer] is match)

    def without(self, row: str) -> CombinedIndex:
        """Return the same but for the text of the outbox row with this id: judged again, it is no copy of itself."""
        row_id = int(row) if row.isdecimal() else -1
        return CombinedIndex(
            each if each.among is None else replace(each, among=each.among & (each.index.ids != row_id))
            for each in self._parts
        )


def open_known_texts(
    home: Path, learnt: Path, rows: Callable[[], Iterable[OutboxRow]], *, may_write: bool = False
) -> CombinedIndex:
    """Open all that the bot with this home must not repeat; `learnt` is its model's index.

    `rows` reads the outbox. Only with `may_write` the fingerprints of the bot's own texts are saved. Raises CorpusError
    when something cannot be compared with.
    """
    own = own_texts(home / OUTBOX_INDEX, rows, may_write=may_write)
    return CombinedIndex(
        [Part(Index.open(learnt), "learnt"), Part(open_forgotten(home / FORGOTTEN), "forgotten"), *own]
    )


# -- the bot's own texts -----------------------------------------------------------------------------


def own_texts(path: Path, rows: Callable[[], Iterable[OutboxRow]], *, may_write: bool = False) -> list[Part]:
    """Return the texts of the outbox, posted and queued, with the fingerprints saved in `path` and those it lacks."""
    try:
        saved = Index.open(path)
    except CorpusError:  # it is only a copy: what cannot be read is computed again
        saved = _index(())
    digests = dict(zip(saved.ids.tolist(), saved.digests.tolist(), strict=True))
    same, queued, unsaved = list[int](), list[int](), list[OutboxRow]()
    for row, state, text in rows():
        if digests.get(row) == _digest(text):
            same.append(row)
        else:
            unsaved.append((row, state, text))
        if state in QUEUED_STATES:
            queued.append(row)
    if may_write and len(unsaved) > max(MAX_UNSAVED, len(digests) // 20):
        with suppress(CorpusError):  # a full disk costs time, but no post
            save_own_texts(path, rows())
    new = _index(unsaved)
    parts = []
    for index, there in ((saved, np.isin(saved.ids, same)), (new, np.ones(len(new.ids), dtype=bool))):
        waits = np.isin(index.ids, queued)
        parts += [Part(index, "posted", there & ~waits), Part(index, "queued", there & waits)]
    return parts


def save_own_texts(path: Path, rows: Iterable[OutboxRow]) -> None:
    """Save the fingerprints of all texts of an outbox; raise CorpusError if that cannot be done."""
    _index(rows).save(path)


def _index(rows: Iterable[OutboxRow]) -> Index:
    left, stored, ids, digests = iter(rows), [fingerprint.compute_batch([])], list[int](), list[int]()
    while some := list(islice(left, 10_000)):
        stored.append(fingerprint.compute_batch([text for _, _, text in some]))
        ids += [row for row, _, _ in some]
        digests += [_digest(text) for _, _, text in some]
    return Index.of(fingerprint.concatenate(stored), np.array(ids, np.int64), np.array(digests, np.uint64))


def _digest(text: str) -> int:
    """Return a hash that tells whether a row still has the text whose fingerprint was saved."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())


# -- opt-outs ----------------------------------------------------------------------------------------


def open_forgotten(path: Path) -> Index:
    """Return the fingerprints of opted-out texts; raise CorpusError if they are damaged."""
    try:
        lines = path.read_text(encoding="ascii").split() if path.exists() else []
        stored = [fingerprint.unpack(bytes.fromhex(line)) for line in lines]
    except OSError as error:
        raise CorpusError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise CorpusError(f"{path} is damaged; restore it from a backup, or forget those texts again") from None
    return Index.of(fingerprint.concatenate([fingerprint.compute_batch([]), *stored]))


def forget(path: Path, texts: Iterable[str]) -> int:
    """Add the fingerprints of opted-out texts, not the texts, to a file, and return how many it holds."""
    try:
        old = path.read_text(encoding="ascii").split() if path.exists() else []
        lines = list(dict.fromkeys([*old, *(fingerprint.pack(text).hex() for text in texts)]))
        with atomic_write(path) as file:
            file.write("".join(f"{line}\n" for line in lines).encode())
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"cannot write {path}: {error}") from None
    return len(lines)
