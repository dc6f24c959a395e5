"""What is known about English words from many bios: how common they are, which follow each other, what they mean.

`lexicon.npz` beside this file was made by tools/make_lexicon.py from the starter's training bios. It holds hashes of
words, of pairs and of triples of words that at least HOLDERS bios share, so that no bio can be read out of it, and a
vector for each of the most common words: the left singular vectors of their positive pointwise mutual information
(Levy and Goldberg 2014), scaled by the square roots of the singular values. What a noun stands for comes from WordNet.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

HOLDERS = 5
"""A word or phrase that fewer bios hold may be one person's."""
VECTORS = 12_000
"""Words that have a vector."""
DIMENSIONS = 64
SENSES = (
    *("act", "animal", "artifact", "attribute", "body", "cognition", "communication", "event", "feeling", "food"),
    *("group", "location", "motive", "object", "person", "phenomenon", "plant", "possession", "process", "quantity"),
    *("relation", "shape", "state", "substance", "time"),
)
"""What nouns stand for: the names of WordNet's lexicographer files 04 to 28 (Fellbaum 1998), in their order."""
NEIGHBOURS = 8
"""Words that count as near in meaning to one, itself included."""
START, END = "<", ">"
"""Stand for the two ends of a text in pairs and triples."""

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")


def words(text: str) -> list[str]:
    """Return the words of `text` in lower case, such as "i'm"; numbers and signs are none."""
    return _WORD.findall(text.lower().replace("’", "'"))


@lru_cache(maxsize=50_000)
def hashed(word: str) -> int:
    """Return the 32-bit hash of a word or a sign."""
    return int.from_bytes(hashlib.blake2b(word.encode(errors="replace"), digest_size=4).digest(), "little")


def joined(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the 32-bit hashes, as uint64, of phrases from those of their two parts (Knuth's multiplicative hash)."""
    with np.errstate(over="ignore"):
        phrases: np.ndarray = ((first << np.uint64(32) | second) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)
    return phrases


def found(ascending: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where each of `values` is in `ascending`, which must not be empty, and whether it is there at all."""
    at = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    return at, ascending[at] == values


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Words, the most common first, and phrases by their hashes.

    `rows` is a word's row by its hash. After the words come a row for the start of a text, one for its end, and one
    for every unknown word, so that -1 stands for it. `counts`, float64 (rows), says in how many bios a word was found;
    `pairs`, uint32 in ascending order, with `pair_counts` the same of two words in a row; `triples` were found in
    HOLDERS or more. `vectors`, float32 (VECTORS + 1, DIMENSIONS), have unit length, and the last one, for words
    without, is 0. `senses`, uint8 (rows), are the numbers in SENSES of what words mostly stand for, plus 1; 0 for
    none. `neighbours`, uint16 (VECTORS, NEIGHBOURS), are the rows of the words nearest in meaning.
    """

    bios: int
    rows: dict[int, int]
    counts: np.ndarray
    log_frequency: np.ndarray
    pairs: np.ndarray
    pair_counts: np.ndarray
    triples: np.ndarray
    senses: np.ndarray
    vectors: np.ndarray
    neighbours: np.ndarray

    def near(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of the NEIGHBOURS words nearest in meaning to each, and how near they are: cosine ** 4."""
        near = self.neighbours[rows]
        likeness: np.ndarray = np.einsum("wnd,wd->wn", self.vectors[near], self.vectors[rows])
        return near, np.maximum(likeness, 0) ** 4

    def transitions(self, first: np.ndarray, second: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return which `pairs` of the words `first` and `second` are known, and the logs of how often each follows.

        That is the share of the bios with the first word in which the second one follows it, smoothed.
        """
        at, known = found(self.pairs, pairs)
        together = np.where(known, self.pair_counts[at], 0) + np.exp(self.log_frequency[second])
        return known, np.log(together / (self.counts[first] + 2))


@cache
def load() -> Lexicon:
    """Return the lexicon that biobot ships."""
    with np.load(Path(__file__).with_name("lexicon.npz"), allow_pickle=False) as data:
        bios, hashes = int(data["bios"]), data["words"].tolist()
        vectors = np.zeros((len(data["vectors"]) + 1, DIMENSIONS), np.float32)
        vectors[:-1] = data["vectors"]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-9
        frequency = np.concatenate([data["counts"] + 0.1, [bios, bios, 0.1]])
        return Lexicon(
            bios,
            {each: row for row, each in enumerate([*hashes, hashed(START), hashed(END)])},
            np.concatenate([data["counts"], [bios, bios, 0]]).astype(np.float64),
            np.log(frequency / bios),
            data["pairs"],
            data["pair_counts"],
            data["triples"],
            np.concatenate([data["senses"], [0, 0, 0]]),
            vectors,
            data["neighbours"],
        )
