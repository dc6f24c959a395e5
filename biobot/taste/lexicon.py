"""What is known about English words from many bios: how common they are, which follow each other, what they mean.

`lexicon.npz` beside this file was made by `build` from the starter's training bios. It holds hashes of words, of
pairs and of triples of words that at least HOLDERS bios share, so that no bio can be read out of it, and a vector
for each of the most common words: the left singular vectors of their positive pointwise mutual information
(Levy and Goldberg 2014), scaled by the square roots of the singular values. What a noun stands for comes from WordNet.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
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
_PLURALS = (
    ("men", "man"),
    ("ses", "s"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("ies", "y"),
    ("s", ""),
)
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


def build(bios: Iterable[str], wordnet: Path, path: Path) -> None:
    """Write the lexicon of `bios`, most common words first; takes some minutes and 2 GB of memory.

    `wordnet` is the folder of WordNet's database, such as Debian's /usr/share/wordnet.
    """
    texts = [words(bio) for bio in bios]
    counts = Counter(word for text in texts for word in set(text))
    pairs, triples = Counter[int](), Counter[int]()
    for text in texts:
        ends = np.array([hashed(each) for each in (START, *text, END)], np.uint64)
        twos = joined(ends[:-1], ends[1:])
        pairs.update(set(twos.tolist()))
        triples.update(set(joined(twos[:-1], ends[2:]).tolist()))
    common = [(word, count) for word, count in counts.most_common() if count >= HOLDERS]
    vectors = _vectors(texts, {word: row for row, (word, _) in enumerate(common[:VECTORS])})
    kept = sorted(each for each, count in pairs.items() if count >= HOLDERS)
    np.savez_compressed(
        path,
        bios=len(texts),
        words=np.array([hashed(word) for word, _ in common], np.uint32),
        counts=np.array([count for _, count in common], np.uint32),
        pairs=np.array(kept, np.uint32),
        pair_counts=np.array([pairs[each] for each in kept], np.uint32),
        triples=np.array(sorted(each for each, count in triples.items() if count >= HOLDERS), np.uint32),
        senses=_senses([word for word, _ in common], wordnet),
        neighbours=_neighbours(vectors),
        vectors=np.round(127 * vectors / np.abs(vectors).max(axis=1, keepdims=True)).astype(np.int8),
    )


def _senses(found: Iterable[str], wordnet: Path) -> np.ndarray:
    """Return the number in SENSES, plus 1, of what each word stands for; 0 if it is rarely or never a noun."""

    def lines(name: str) -> Iterator[list[str]]:
        with (wordnet / name).open(encoding="latin-1") as file:
            yield from (line.split() for line in file if not line.startswith(" "))

    senses = {}
    for synset, number, _kind, size, *rest in lines("data.noun"):
        senses[synset] = max(int(number) - 3, 0)
        for name in rest[: 2 * int(size, 16) : 2]:
            if number == "03" and name in SENSES:  # "animal" and its synonyms are in a file of their own
                senses[synset] = SENSES.index(name) + 1
    nouns = {word: senses[rest[-int(count)]] for word, _kind, count, *rest in lines("index.noun")}
    irregular = {word: noun for word, noun, *_ in lines("noun.exc")}
    others = {each[0] for kind in ("verb", "adj", "adv") for each in lines(f"index.{kind}")}
    uses = Counter[tuple[str, bool]]()
    for key, _sense, count in lines("cntlist.rev"):
        word, _, kind = key.partition("%")
        uses[word, kind.startswith("1")] += int(count)

    def sense(word: str) -> int:
        singular = (word.removesuffix(end) + other for end, other in _PLURALS if word.endswith(end))
        noun = next((each for each in (word, irregular.get(word, ""), *singular) if each in nouns), None)
        if noun is None or len(word) < 3:
            return 0
        counted = word if uses[word, True] + uses[word, False] else noun
        as_noun, otherwise = uses[counted, True], uses[counted, False]
        is_common = 4 * as_noun >= otherwise if as_noun + otherwise else word not in others
        return nouns[noun] if is_common else 0

    return np.array([sense(word) for word in found], np.uint8)


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
