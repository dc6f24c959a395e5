"""Which words are real: those that several people's bios hold, in whatever language; kept as hashes, not as words.

`words.bin` beside this file is what `build` made of the starter's training bios: it ships with biobot and not with
a model, so that all models are measured alike. It holds 32-bit hashes, little-endian and sorted.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections import Counter
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path

from biobot.text.normalize import fold

HOLDERS = 5
"""A word that fewer bios hold may be somebody's name, or a slip."""

_NO_WORD = re.compile(r"[@＠#＃]\S*|\S+://\S*|\S+\.\w{2,}\S*")
_UNSPACED = (  # Thai to Lao, Myanmar, Khmer, kana, Han: scripts that leave no space between words
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[^\W\d_{_UNSPACED}]{{2,}}(?:['’][^\W\d_{_UNSPACED}]+)*")


def words(text: str) -> list[str]:
    """Return a text's words of two letters and more, folded; names, tags, links and scripts without spaces left out."""
    return _WORD.findall(fold(_NO_WORD.sub(" ", text)))


def share(texts: Iterable[str]) -> float | None:
    """Return the share of real words among all words of the texts; None when they hold no word."""
    every = [_hash(word) in _known() for text in texts for word in words(text)]
    return sum(every) / len(every) if every else None


def build(bios: Iterable[str], path: Path) -> int:
    """Write the hashes of the words that at least HOLDERS of the bios hold; give how many there are."""
    holders = Counter(word for bio in bios for word in set(words(bio)))
    hashes = sorted({_hash(word) for word, count in holders.items() if count >= HOLDERS})
    path.write_bytes(struct.pack(f"<{len(hashes)}I", *hashes))
    return len(hashes)


@cache
def _known() -> frozenset[int]:
    hashes = Path(__file__).with_name("words.bin").read_bytes()
    return frozenset(number for (number,) in struct.iter_unpack("<I", hashes))


@lru_cache(maxsize=50_000)
def _hash(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(errors="surrogatepass"), digest_size=4).digest(), "little")
