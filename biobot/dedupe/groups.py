"""Bios that resemble each other stay on one side: the held-out split shares no near-duplicate with training (F34).

Held out are some bios by a hash of their folded text, so that the same bio is held out today and next year; and
whatever resembles one of those is not learnt either. The held-out bios are few (`most`), so memory is bounded,
and each bio to be learnt is looked up in a table: time is linear.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING

from biobot.dedupe import fingerprint
from biobot.text.normalize import fold

if TYPE_CHECKING:
    import numpy

BATCH = 8192
"""Texts that are compared at once."""

ALIKE = 0.5
"""The estimated share of common 3-grams from which two bios count as near-duplicates."""


def hold_out(texts: Iterable[str], *, share: float, most: int, seed: int = 0) -> list[str]:
    """Choose the bios to hold out: `share` of the texts, but at most `most`, each folded text once.

    The choice for a text depends on itself and `seed` only, except that `most` prefers the lowest hashes.
    """
    limit = int(share * (1 << 64))
    chosen: list[tuple[int, str]] = []  # a heap, the highest hash (as a negative number) on top
    seen: set[int] = set()
    for text in texts:
        place = group(text, seed)
        if place >= limit or place in seen:
            continue
        seen.add(place)
        heapq.heappush(chosen, (-place, text))
        if len(chosen) > most:
            seen.discard(-heapq.heappop(chosen)[0])
            limit = -chosen[0][0]
    return [text for _, text in sorted(chosen, reverse=True)]


def group(text: str, seed: int = 0) -> int:
    """Return the 64-bit number of a text's group: the same for texts that fold to the same."""
    raw = fold(text).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(raw, digest_size=8, salt=seed.to_bytes(8, "little")).digest(), "big")


def apart(texts: Iterable[str], held_out: list[str], left_out: Counter[str] | None = None) -> Iterator[str]:
    """Yield the texts that resemble none of `held_out`, in their order; count the others as "near_held_out"."""
    table = _Table(held_out)
    texts = iter(texts)
    while batch := list(islice(texts, BATCH)):
        for text, near in zip(batch, table.near(batch), strict=True):
            if not near:
                yield text
            elif left_out is not None:
                left_out["near_held_out"] += 1


class _Table:
    """The held-out bios by the keys of their fingerprints: two texts with a key in common may be alike."""

    def __init__(self, texts: list[str]) -> None:
        import numpy as np

        self.prints = fingerprint.of_many(texts) if texts else None
        if self.prints is not None:
            self.orders = [np.argsort(column, kind="stable") for column in self.prints.keys.T]
            self.sorted = [column[order] for column, order in zip(self.prints.keys.T, self.orders, strict=True)]

    def near(self, texts: list[str]) -> numpy.ndarray:
        """Return for each text whether it is equal to, or nearly equal to, one in the table: bool (n)."""
        import numpy as np

        if self.prints is None:
            return np.zeros(len(texts), dtype=bool)
        theirs = fingerprint.of_many(texts)
        found = np.isin(theirs.exact, self.prints.exact)
        for table, column in enumerate(theirs.keys.T):
            begin = np.searchsorted(self.sorted[table], column, "left")
            counts = np.searchsorted(self.sorted[table], column, "right") - begin
            counts[~theirs.keyed | found] = 0
            one = np.repeat(np.arange(len(texts)), counts)
            step = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            other = self.orders[table][np.repeat(begin, counts) + step]
            differing = np.unpackbits(theirs.sketches[one] ^ self.prints.sketches[other], axis=1).sum(axis=1)
            # of two sketches (1 + J) / 2 of the bits agree where J of the 3-grams do
            alike = (1 - 2 * differing / fingerprint.LANES >= ALIKE) & self.prints.keyed[other]
            found[one[alike]] = True
        return found
