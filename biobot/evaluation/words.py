"""Real words: those that several people's bios contain, in whatever language; stored as hashes, not as words.

`words.bin` beside this file is what `build` made of the starter's training bios. It ships with biobot rather than
with a model, so that all models are measured alike. It holds sorted 32-bit hashes, little-endian.
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

MIN_BIOS = 5
"""A word in fewer bios may be somebody's name, or a typo."""

_NO_WORD = re.compile(r"[@＠#＃]\S*|\S+://\S*|\S+\.\w{2,}\S*")
_UNSPACED = (  # Thai to Lao, Myanmar, Khmer, kana, Han: scripts without spaces between words
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[^\W\d_{_UNSPACED}]{{2,}}(?:['’][^\W\d_{_UNSPACED}]+)*")


def words(text: str) -> list[str]:
    """Return a text's words of two letters or more, folded, without handles, hashtags, links and unspaced scripts."""
    return _WORD.findall(fold(_NO_WORD.sub(" ", text)))


def share(texts: Iterable[str]) -> float | None:
    """Return the share of real words among all words of the texts; None when there are no words."""
    every = [_hash(word) in _known() for text in texts for word in words(text)]
    return sum(every) / len(every) if every else None


def build(bios: Iterable[str], path: Path) -> int:
    """Write the hashes of the words that at least MIN_BIOS bios contain, and return their number."""
    counts = Counter(word for bio in bios for word in set(words(bio)))
    hashes = sorted({_hash(word) for word, count in counts.items() if count >= MIN_BIOS})
    path.write_bytes(struct.pack(f"<{len(hashes)}I", *hashes))
    return len(hashes)


@cache
def _known() -> frozenset[int]:
    hashes = Path(__file__).with_name("words.bin").read_bytes()
    return frozenset(number for (number,) in struct.iter_unpack("<I", hashes))


@lru_cache(maxsize=50_000)
def _hash(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(errors="surrogatepass"), digest_size=4).digest(), "little")
