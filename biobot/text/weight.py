"""A text's length as X counts it."""

from __future__ import annotations

import unicodedata


def weighted_length(text: str) -> int:
    """Count `text` as X does."""
    light = ((0, 4351), (8192, 8205), (8208, 8223), (8242, 8247))
    return sum(
        1 if any(low <= ord(character) <= high for low, high in light) else 2
        for character in unicodedata.normalize("NFC", text)
    )
