"""Bios that resemble each other stay on one side: the held-out split shares no near-duplicate with training (F34).

Held out are some bios by a hash of their folded text, so that the same bio is held out today and next year; and
whatever resembles one of those is left out of training, too. The held-out bios are few (`most`), so memory is bounded,
and each bio to be learnt is looked up in a table: time is linear.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import islice

import numpy as np

from biobot.dedupe import fingerprint
from biobot.dedupe.fingerprint import Array
from biobot.text.normalize import fold

BATCH = 8192
"""Texts that are compared at once."""

KEY_SLOTS = ((34, 127), (10, 56), (73, 68), (84, 194), (134, 22), (110, 91), (55, 39))
"""Pairs of MinHashes to look texts up by: those whose values the fewest bios share (measured)."""

NEAR = "near_held_out"
"""Why a text was left out that resembles a held-out one."""

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
    """Yield the texts that resemble none of `held_out`, in their order; count the others as `NEAR`."""
    table = _Table(held_out)
    texts = iter(texts)
    while batch := list(islice(texts, BATCH)):
        for text, near in zip(batch, table.near(batch), strict=True):
            if not near:
                yield text
            elif left_out is not None:
                left_out[NEAR] += 1


def fewest_relatives(texts: Iterable[str], candidates: list[str], cost: int, least: int) -> list[str]:
    """Choose the candidates that the fewest texts resemble, as long as these are at most `cost`; at least `least`."""
    table, texts = _Table(candidates), iter(texts)
    relatives = np.zeros(len(candidates), dtype=np.int64)
    while batch := list(islice(texts, BATCH)):
        relatives += table.relatives(batch)
    order = np.argsort(relatives, kind="stable")
    affordable = int(np.searchsorted(np.cumsum(relatives[order]), cost, "right"))
    return [candidates[each] for each in order[: max(affordable, least)]]


class _Table:
    """The held-out bios by keys of two MinHashes each: two texts with a key in common may be alike."""

    def __init__(self, texts: list[str]) -> None:
        self._exact, self._sketches, self._comparable, keys = _near(texts)
        self._orders = np.argsort(keys, axis=1, kind="stable")
        self._sorted = np.take_along_axis(keys, self._orders, axis=1)

    def near(self, texts: list[str]) -> Array:
        """Return for each text whether it is equal to, or nearly equal to, one in the table: bool (n)."""
        exact, sketches, comparable, keys = _near(texts)
        found = np.isin(exact, self._exact)
        for one, _ in self._alike(sketches, comparable & ~found, keys):
            found[one] = True
        return found

    def relatives(self, texts: list[str]) -> Array:
        """Return for each text in the table how many of `texts` are nearly equal to it: int (n)."""
        _, sketches, comparable, keys = _near(texts)
        pairs = [one * len(self._comparable) + other for one, other in self._alike(sketches, comparable, keys)]
        found = np.unique(np.concatenate(pairs)) % len(self._comparable)
        return np.bincount(found, minlength=len(self._comparable))

    def _alike(self, sketches: Array, asked: Array, keys: Array) -> Iterator[tuple[Array, Array]]:
        """Yield, for one pair of MinHashes after the other, the texts that are `asked` for and those they resemble."""
        for order, known, column in zip(self._orders, self._sorted, keys, strict=True):
            begin = np.searchsorted(known, column, "left")
            counts = np.searchsorted(known, column, "right") - begin
            counts[~asked] = 0
            one = np.repeat(np.arange(len(asked)), counts)
            step = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            other = order[np.repeat(begin, counts) + step]
            unequal = np.bitwise_count(sketches[one] ^ self._sketches[other]).sum(axis=1)
            # of two sketches (1 + J) / 2 of the bits agree where J of the 3-grams do
            alike = (1 - unequal / (fingerprint.MINHASH_SLOTS / 2) >= ALIKE) & self._comparable[other]
            yield one[alike], other[alike]


def _near(texts: list[str]) -> tuple[Array, Array, Array, Array]:
    """Return the texts' hashes, their sketches, whether they have 3-grams, and their keys: each row for one pair."""
    folded = [fold(text) for text in texts]
    slots = fingerprint.minhash_slots(folded)
    exact = np.array([fingerprint.exact(text) for text in folded], dtype=np.uint64)
    keys = np.array([slots[:, one].astype(np.uint32) << 15 | slots[:, other] for one, other in KEY_SLOTS])
    return exact, fingerprint.sketches(slots), np.array([len(text) >= 3 for text in folded], dtype=bool), keys
