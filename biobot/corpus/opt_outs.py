"""Who and what opted out: keys that recognise a person or a text, and from which neither can be read."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from hashlib import blake2b

from biobot.corpus.people import Bio, unescape
from biobot.text.normalize import caseless

FINGERPRINTS = "forgotten.idx"
"""The file in the home with the fingerprints of opted-out texts."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The keys of everyone and everything that opted out."""

    keys: frozenset[bytes] = field(default_factory=frozenset)

    def covers(self, bio: Bio) -> bool:
        """Return whether this bio's author opted out, or its text did."""
        return bool(self.keys) and (self.names(bio) or not self.keys.isdisjoint(text_keys(bio.text)))

    def names(self, bio: Bio) -> bool:
        """Return whether this bio's author opted out, by id or by handle."""
        return (bio.author is not None and id_key(bio.author) in self.keys) or (
            bio.handle is not None and handle_key(bio.handle) in self.keys
        )


def id_key(author: int) -> bytes:
    """Return the key of a user's id."""
    return _key("id", str(author))


def handle_key(handle: str) -> bytes:
    """Return the key of a handle, with or without its @, in any case."""
    return _key("handle", handle.removeprefix("@").lower())


def text_key(text: str) -> bytes:
    """Return the key of a text: the same for texts that differ in case, spaces, or Unicode's ways to write them."""
    return _key("text", caseless(text))


def text_keys(text: str) -> set[bytes]:
    """Return the keys of a text as it stands, and with its character references (&amp;) written out or put in."""
    if not any(each in text for each in "&<>\"'"):
        return {text_key(text)}
    return {text_key(each) for each in (text, unescape(text), html.escape(text, quote=False), html.escape(text))}


def _key(kind: str, value: str) -> bytes:
    raw = f"{kind}:{value}".encode(errors="surrogatepass")  # handles come from anywhere
    return blake2b(raw, digest_size=16, person=b"biobot-forgotten").digest()
