"""What a post is on Bluesky: its key, and its record with the links and tags that a reader can follow.

Sources: the lexicons of app.bsky.feed.post and app.bsky.richtext.facet, and the AT protocol's specification of TIDs.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from datetime import datetime, timedelta
from typing import Any

from biobot.text.language import language_apart
from biobot.text.links import links

POST = "app.bsky.feed.post"
FACET = "app.bsky.richtext.facet"
MAX_TAG = 64

_ALPHABET = "234567abcdefghijklmnopqrstuvwxyz"
_TAG = re.compile(r"(?:^|(?<=\s))[#＃](?!\ufe0f)\S+")


def tid(at: datetime, clock_id: int) -> str:
    """Return the TID of a moment: its microseconds since 1970 and 10 bits, in 13 characters that sort like it."""
    microseconds = (at - datetime.fromtimestamp(0, at.tzinfo)) // timedelta(microseconds=1)
    number = microseconds << 10 | clock_id & 1023
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(60, -1, -5))


def key(text: str, row: int, at: datetime) -> str:
    """Return the record key of a post: the TID of its slot, told apart from other tries at it by row and text."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return tid(at + timedelta(microseconds=row % 1_000_000), int.from_bytes(digest[:2], "big"))


def record(text: str, now: datetime) -> dict[str, Any]:
    """Return the record of a post made `now`."""
    found: dict[str, Any] = {
        "$type": POST,
        "text": text,
        "createdAt": now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03}Z",
    }
    if tongue := language_apart(text):
        found["langs"] = [tongue]
    if marked := facets(text):
        found["facets"] = marked
    return found


def facets(text: str) -> list[dict[str, Any]]:
    """Return the links and tags of `text`, with their places in its UTF-8.

    A handle stays plain text: a bot that mentions people nobody asked for is not welcome.
    """
    found: list[tuple[int, int, dict[str, str]]] = []
    for link in links(text):
        uri = link.text if "://" in link.text else f"https://{link.text}"
        found.append((link.start, link.end, {"$type": f"{FACET}#link", "uri": uri}))
    for match in _TAG.finditer(text):
        tag = match[0][1:]
        while tag and unicodedata.category(tag[-1]).startswith("P"):
            tag = tag[:-1]
        start, end = match.start(), match.start() + 1 + len(tag)
        if not tag or tag.isdigit() or len(tag) > MAX_TAG or any(a < end and start < b for a, b, _ in found):
            continue
        found.append((start, end, {"$type": f"{FACET}#tag", "tag": tag}))
    return [
        {"index": {"byteStart": _bytes(text[:start]), "byteEnd": _bytes(text[:end])}, "features": [feature]}
        for start, end, feature in sorted(found, key=lambda each: each[0])
    ]


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
