"""Make biobot/taste/lexicon.npz again: `python tools/make_lexicon.py BIOS [WORDNET]`.

BIOS is a corpus file. WORDNET is the folder of WordNet's database, by default Debian's /usr/share/wordnet.
Takes some minutes and 2 GB of memory.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from biobot.corpus.readers import Bio, read
from biobot.taste import lexicon
from biobot.taste.lexicon import DIMENSIONS, END, HOLDERS, NEIGHBOURS, SENSES, START, VECTORS, hashed, joined, words

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


def build(bios: Iterable[str], wordnet: Path, path: Path) -> None:
    """Write the lexicon of `bios`, most common words first."""
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


def main(bios: Path, wordnet: Path = Path("/usr/share/wordnet")) -> None:
    """Write the lexicon into the package."""
    texts = (each.text for each in read(bios) if isinstance(each, Bio))
    build(texts, wordnet, Path(lexicon.__file__).with_name("lexicon.npz"))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
