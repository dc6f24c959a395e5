"""The texts that a bot must not repeat: training bios, posted and queued texts, and those of people who opted out.

They are opened once in a process, before any text is judged. The outbox is the only truth about the bot's own texts:
saved fingerprints count only for blocks of rows whose ids and texts are still those that they were computed from, all
others are computed again. So a saved file that is old, damaged or another bot's costs time, and lets nothing pass.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import numpy as np

from biobot.candidate import Match, Source
from biobot.corpus.opt_outs import FINGERPRINTS
from biobot.dedupe import fingerprint
from biobot.dedupe.fingerprint import Array
from biobot.dedupe.index import Index
from biobot.errors import CorpusError
from biobot.storage import atomic_write

OUTBOX_INDEX = "outbox.idx"
BLOCK = 256
"""Rows of the outbox that are compared with what was saved, and computed again, together."""
MAX_UNSAVED = 2
"""OUTBOX_INDEX is rewritten once more blocks than this, or than a twentieth of all, have changed."""


class OwnTexts(Protocol):
    """The texts of a bot's outbox."""

    def text_blocks(self, size: int) -> Iterable[tuple[int, str, list[int]]]:
        """Yield the rows that have a text, in blocks of `size` ids.

        Each block is its number (its ids divided by `size`), a JSON object of ids and texts, and the ids of those that
        are only queued.
        """
        ...


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

    def without(self, *rows: str) -> CombinedIndex:
        """Return the same but for the texts of the outbox rows with these ids: judged again, a text is not a copy."""
        ids = [int(row) for row in rows if row.isdecimal()]
        return CombinedIndex(
            each if each.among is None else replace(each, among=each.among & ~np.isin(each.index.ids, ids))
            for each in self._parts
        )


def open_known_texts(
    home: Path, learnt: Path, outbox: OwnTexts, forgotten: int | None, sealed: str = "", *, may_write: bool = False
) -> CombinedIndex:
    """Open all that the bot with this home must not repeat; `learnt` is its model's index.

    There must be `forgotten` opted-out texts, those `sealed`, or more (see `open_forgotten`). Only with `may_write`
    the fingerprints of the bot's own texts are saved. Raises CorpusError if something cannot be read: nothing may be
    posted that was not compared with it.
    """
    own = own_texts(home / OUTBOX_INDEX, outbox, may_write=may_write)
    return CombinedIndex(
        [
            Part(Index.open(learnt), "learnt"),
            Part(open_forgotten(home / FINGERPRINTS, forgotten, sealed), "forgotten"),
            *own,
        ]
    )


# -- the bot's own texts -----------------------------------------------------------------------------


def own_texts(path: Path, outbox: OwnTexts, *, may_write: bool = False) -> list[Part]:
    """Return the texts of the outbox, posted and queued, with the fingerprints saved in `path` and those it lacks."""
    try:
        saved = Index.open(path)
    except CorpusError:  # it is only a copy: what cannot be read is computed again
        saved = _index(())
    numbers, rows = np.unique(saved.ids // BLOCK, return_index=True)
    digests = dict(zip(numbers.tolist(), saved.digests[rows].tolist(), strict=True))
    same, changed, queued = list[int](), list[tuple[int, str]](), list[int]()
    for number, texts, waiting in outbox.text_blocks(BLOCK):
        if digests.get(number) == _digest(texts):
            same.append(number)
        else:
            changed.append((number, texts))
        queued += waiting
    if may_write and len(changed) > max(MAX_UNSAVED, len(digests) // 20):
        with suppress(CorpusError):  # a full disk costs time, but no post
            save_own_texts(path, outbox)
    new, parts = _index(changed), []
    for index, there in ((saved, np.isin(saved.ids // BLOCK, same)), (new, np.ones(len(new.ids), dtype=bool))):
        waits = np.isin(index.ids, queued)
        parts += [Part(index, "posted", there & ~waits), Part(index, "queued", there & waits)]
    return parts


def save_own_texts(path: Path, outbox: OwnTexts) -> None:
    """Save the fingerprints of all texts of an outbox; raise CorpusError if that cannot be done."""
    _index((number, texts) for number, texts, _ in outbox.text_blocks(BLOCK)).save(path)


def _index(blocks: Iterable[tuple[int, str]]) -> Index:
    stored, ids, digests = [fingerprint.compute_batch([])], list[int](), list[int]()
    for _, raw in blocks:
        texts = json.loads(raw)
        stored.append(fingerprint.compute_batch(list(texts.values())))
        ids += map(int, texts)
        digests += [_digest(raw)] * len(texts)
    return Index.of(fingerprint.concatenate(stored), np.array(ids, np.int64), np.array(digests, np.uint64))


def _digest(texts: str) -> int:
    return int.from_bytes(blake2b(texts.encode(), digest_size=8).digest())


# -- opt-outs ----------------------------------------------------------------------------------------


def open_forgotten(path: Path, expected: int | None, sealed: str = "") -> Index:
    """Return the fingerprints of opted-out texts.

    Raises CorpusError if they are damaged, fewer than `expected` (None: there may be none), gone, or not those of the
    list that was `sealed`, or that list with more at its end.
    """
    try:
        raw = path.read_text(encoding="ascii") if path.exists() else ""
        lines = raw.split()
        if raw[-1:] not in ("", "\n"):
            raise ValueError("cut off")
        stored = [fingerprint.unpack(bytes.fromhex(line)) for line in lines]
    except OSError as error:
        raise CorpusError(f"cannot read {path}: {error.strerror}") from None
    except ValueError:
        raise CorpusError(f"{path} is damaged; restore it from a backup, or forget those texts again") from None
    if expected is not None and (len(lines) < expected or not path.exists()):
        raise CorpusError(
            f"{path} holds {len(lines)} of the {expected} texts whose authors opted out; nothing is posted without "
            "them: restore it from a backup, or forget those texts again"
        )
    check_seal(path, lines, sealed)
    return Index.of(fingerprint.concatenate([fingerprint.compute_batch([]), *stored]))


def listed(path: Path) -> list[str]:
    """Return the lines of a file of opted-out texts; of one that is not there, or cannot be read, none."""
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="ascii").split()
    return []


def seal(lines: list[str]) -> str:
    """Return what tells a list of opted-out texts from any other."""
    return f"{len(lines)} {blake2b(' '.join(lines).encode(), digest_size=16).hexdigest()}"


def check_seal(path: Path, lines: list[str], sealed: str) -> None:
    """Raise CorpusError unless a list begins with the one that was `sealed`; one that is shorter is told by that."""
    count = int(sealed.partition(" ")[0] or 0)
    if count <= len(lines) and sealed not in ("", seal(lines[:count])):
        raise CorpusError(
            f"{path} is not the list of opt-outs that this bot wrote, and nothing is posted without that: restore it "
            "from a backup, or remove it and forget those texts again"
        )


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
