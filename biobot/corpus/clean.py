"""What a bio goes through before it is learnt; the store keeps bios as they were found."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from biobot.corpus.readers import BLANK, Bio, Skipped
from biobot.settings import TrainSettings
from biobot.text.contacts import has_email, has_phone, without_emails
from biobot.text.language import language
from biobot.text.links import links

URL, EMAIL, PHONE = 1, 2, 4
TRAITS = {"url": URL, "email": EMAIL, "phone": PHONE}
"""What a bio may hold that `[train]` can leave out, as bits; the names are the keys of the policy."""

LANGUAGE = 3
"""From this bit on the traits hold the number of the bio's language."""

STORED_LANGUAGES = (
    *("en", "es", "fr", "de", "pt", "it", "nl", "sv", "da", "no", "fi", "pl", "cs", "tr", "hu", "fil", "id"),
    *("ja", "ko", "th", "ru", "ar", "hi", "he", "el", "zh", "und"),
)
"""The language of each number, "und" where it is unknown. corpus.db holds the numbers: only ever append."""

RULES = 2
"""Counts up when `traits` changes its mind, so that a store counts its bios anew."""

_DOT = re.compile(r"\.\w")


def traits(text: str) -> int:
    """Return what `holds` does, and the language: all that the policies ask for, but the size."""
    return holds(text) | STORED_LANGUAGES.index(language(text) or "und") << LANGUAGE


def holds(text: str) -> int:
    """Return the bits of what `text` holds: a URL (bare domains count), an e-mail address, a phone number."""
    found = 0
    if has_email(text):
        found |= EMAIL
        text = without_emails(text)  # the domain of an address is no URL
    if has_phone(text):
        found |= PHONE
    if "://" in text or (_DOT.search(text) and links(text)):
        found |= URL
    return found


def reason(found: int, size: int, policy: TrainSettings) -> str | None:
    """Say why a bio with these traits and `size` bytes of UTF-8 is not learnt: a key of the policy, or None."""
    if size < policy.min_bytes:
        return "min_bytes"
    if size > policy.max_bytes:
        return "max_bytes"
    if policy.languages and STORED_LANGUAGES[found >> LANGUAGE] not in policy.languages:
        return "languages"
    return next((name for name, bit in TRAITS.items() if found & bit and getattr(policy, name) == "drop"), None)


def clean(
    bios: Iterable[Bio | Skipped],
    policy: TrainSettings,
    left_out: Counter[str],
    forgotten: Callable[[Bio], bool] = lambda _: False,
) -> Iterator[str]:
    """Yield the texts to learn from, in order, and count in `left_out` why others are not learnt.

    What a reader skipped is counted as "skipped", whom `forgotten` knows as "forgotten"; the other reasons are
    keys of `[train]`. With `line_ends = "newline"` every line end becomes a single newline.
    """
    look = traits if policy.languages else holds  # telling the language takes as long as all the rest
    for bio in bios:
        if isinstance(bio, Skipped):
            if bio.why != BLANK:
                left_out["skipped"] += 1
        elif forgotten(bio):  # F41
            left_out["forgotten"] += 1
        elif why := reason(look(bio.text), len(bio.text.encode()), policy):
            left_out[why] += 1
        elif policy.line_ends == "newline":
            yield bio.text.replace("\r\n", "\n").replace("\r", "\n")
        else:
            yield bio.text
