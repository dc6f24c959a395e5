"""What is known about English words from many bios: how common they are, which follow each other, what they mean.

`lexicon.npz` beside this file was made by `build` from the starter's training bios. It holds hashes of words, of
pairs and of triples of words that at least HOLDERS bios share, so that no bio can be read out of it, and a vector
for each of the most common words: the left singular vectors of their positive pointwise mutual information
(Levy and Goldberg 2014), scaled by the square roots of the singular values.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np

HOLDERS = 5
"""A word or phrase that fewer bios hold may be one person's."""
VECTORS = 12_000
"""Words that have a vector."""
DIMENSIONS = 64
WINDOW = 5
"""Words to each side whose company a word is known by, weighted by 1 / distance."""
NEIGHBOURS = 8
"""Words that count as near in meaning to one, itself included."""
START, END = "<", ">"
"""Stand for the two ends of a text in pairs and triples."""

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")


def words(text: str) -> list[str]:
    """Return the words of `text` in lower case, such as "i'm"; numbers and signs are none."""
    return _WORD.findall(text.lower().replace("’", "'"))


@lru_cache(maxsize=100_000)
def hashed(*phrase: str) -> int:
    """Return the 32-bit hash of one word, or of several that follow each other."""
    return int.from_bytes(hashlib.blake2b(" ".join(phrase).encode(errors="replace"), digest_size=4).digest(), "little")


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Words and phrases by their hashes.

    `counts` and `pairs` say in how many bios a word, or two words in a row, were found; `triples` were found in
    HOLDERS or more. `rows` is a word's row in `vectors`, float32 (VECTORS, DIMENSIONS) of unit length, and in
    `neighbours`, uint16 (VECTORS, NEIGHBOURS), the rows of the words nearest in meaning.
    """

    bios: int
    counts: dict[int, int]
    pairs: dict[int, int]
    triples: frozenset[int]
    rows: dict[int, int]
    vectors: np.ndarray
    neighbours: np.ndarray

    def near(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of the NEIGHBOURS words nearest in meaning, itself among them, and how near: cosine ** 4."""
        rows = self.neighbours[row]
        return rows, np.maximum(self.vectors[rows] @ self.vectors[row], 0) ** 4

    def log_frequency(self, word: str) -> float:
        """Return the natural logarithm of the share of bios that hold `word`."""
        return math.log((self.counts.get(hashed(word), 0) + 0.1) / self.bios)

    def log_transition(self, first: str, second: str) -> float:
        """Return the log of the share of the bios with `first` in which `second` follows it, smoothed."""
        before = self.bios if first == START else self.counts.get(hashed(first), 0)
        alone = 1.0 if second == END else (self.counts.get(hashed(second), 0) + 0.1) / self.bios
        return math.log((self.pairs.get(hashed(first, second), 0) + alone) / (before + 2))

    def topic(self, found: Sequence[str]) -> np.ndarray:
        """Return the mean vector of a text's words, weighted by rarity (Arora et al. 2017); zeros if none is known."""
        total, weights = np.zeros(DIMENSIONS, np.float32), 0.0
        for word in found:
            row = self.rows.get(hashed(word))
            if row is not None:
                weight = 1e-2 / (1e-2 + self.counts[hashed(word)] / self.bios)
                total += weight * self.vectors[row]
                weights += weight
        return total / weights if weights else total


@cache
def load() -> Lexicon:
    """Return the lexicon that biobot ships."""
    with np.load(Path(__file__).with_name("lexicon.npz"), allow_pickle=False) as data:
        hashes = data["words"].tolist()
        vectors = data["vectors"].astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-9
        return Lexicon(
            int(data["bios"]),
            dict(zip(hashes, data["counts"].tolist(), strict=True)),
            dict(zip(data["pairs"].tolist(), data["pair_counts"].tolist(), strict=True)),
            frozenset(data["triples"].tolist()),
            {each: row for row, each in enumerate(hashes[: len(vectors)])},
            vectors,
            data["neighbours"],
        )


def build(bios: Iterable[str], path: Path) -> None:
    """Write the lexicon of `bios`, most common words first; takes some minutes and 2 GB of memory."""
    texts = [words(bio) for bio in bios]
    counts = Counter(word for text in texts for word in set(text))
    pairs, triples = Counter[int](), Counter[int]()
    for text in texts:
        ends = [START, *text, END]
        pairs.update({hashed(*each) for each in pairwise(ends)})
        triples.update({hashed(*each) for each in zip(ends, ends[1:], ends[2:], strict=False)})
    common = [(word, count) for word, count in counts.most_common() if count >= HOLDERS]
    vectors = _vectors(texts, {word: row for row, (word, _) in enumerate(common[:VECTORS])})
    kept = {each: count for each, count in pairs.items() if count >= HOLDERS}
    np.savez_compressed(
        path,
        bios=len(texts),
        words=np.array([hashed(word) for word, _ in common], np.uint32),
        counts=np.array([count for _, count in common], np.uint32),
        pairs=np.array(list(kept), np.uint32),
        pair_counts=np.array(list(kept.values()), np.uint32),
        triples=np.array(sorted(each for each, count in triples.items() if count >= HOLDERS), np.uint32),
        neighbours=_neighbours(vectors),
        vectors=np.round(127 * vectors / np.abs(vectors).max(axis=1, keepdims=True)).astype(np.int8),
    )


def _neighbours(vectors: np.ndarray) -> np.ndarray:
    unit = vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-9)
    return np.concatenate(
        [np.argpartition(-(part @ unit.T), NEIGHBOURS, axis=1)[:, :NEIGHBOURS] for part in np.array_split(unit, 24)]
    ).astype(np.uint16)


def _vectors(texts: Sequence[Sequence[str]], rows: dict[str, int]) -> np.ndarray:
    """Return a vector for each word of `rows`, from the words within WINDOW of it; float32 (words, DIMENSIONS)."""
    size = len(rows)
    together = np.zeros((size, size), np.float32)
    for text in texts:
        ids = np.array([rows.get(word, -1) for word in text])
        for distance in range(1, min(WINDOW, len(ids) - 1) + 1):
            left, right = ids[:-distance], ids[distance:]
            both = (left >= 0) & (right >= 0)
            np.add.at(together, (left[both], right[both]), 1 / distance)
            np.add.at(together, (right[both], left[both]), 1 / distance)
    once = together.sum(axis=1) + 1e-9
    context = once**0.75
    with np.errstate(divide="ignore"):
        together = np.log(together * (context.sum() / (once[:, None] * context)), out=together)
    np.maximum(together, 0, out=together)
    # the randomised range finder of Halko, Martinsson and Tropp (2011), with three power iterations
    basis = np.random.default_rng(0).standard_normal((size, DIMENSIONS + 16), np.float32)
    for _ in range(4):
        basis, _r = np.linalg.qr(together @ (together.T @ basis) if _ else together @ basis)
    left, sizes, _right = np.linalg.svd(basis.T @ together, full_matrices=False)
    found: np.ndarray = (basis @ left)[:, :DIMENSIONS] * np.sqrt(sizes[:DIMENSIONS])
    return found
