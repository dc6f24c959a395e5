"""Which bios are left out of training, by the policy in `[train]`; the store keeps them as they were found."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from biobot.corpus.readers import Bio, Skipped
from biobot.settings import TrainSettings
from biobot.text.contacts import has_email, has_phone, without_emails
from biobot.text.language import LANGUAGES, language
from biobot.text.links import links

URL, EMAIL, PHONE = 1, 2, 4
TRAITS = {"url": URL, "email": EMAIL, "phone": PHONE}
"""What a bio may hold that the policy can leave out: a key of `[train]`, and the bit that stands for it."""

LANGUAGE = 3
"""The first bit of the number of the bio's language."""

STORED_LANGUAGES = (*LANGUAGES[:26], "und", *LANGUAGES[26:])
"""Languages by their number, "und" for an unknown one. corpus.db holds the numbers: append, never reorder."""

RULES = 3
"""The version of `traits`: bump it when they change, so that stores recompute them."""

_DOT = re.compile(r"\.\w")


def traits(text: str) -> int:
    """Return the bits of `holds`, and above them the number of the language: all that a policy needs but the size."""
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
    """Return the key of the policy that leaves out a bio with these traits and `size` bytes of UTF-8, or None."""
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
    """Yield the texts to train on, in order, and count in `left_out` why others are left out.

    The reasons are keys of `[train]`, "skipped" for what a reader skipped, and "forgotten" for whom `forgotten`
    knows. With `line_ends = "newline"` every line end becomes a single newline.
    """
    find = traits if policy.languages else holds  # the language takes as long as all the rest
    for bio in bios:
        if isinstance(bio, Skipped):
            left_out["skipped"] += 1
        elif forgotten(bio):  # F41
            left_out["forgotten"] += 1
        elif why := reason(find(bio.text), len(bio.text.encode()), policy):
            left_out[why] += 1
        elif policy.line_ends == "newline":
            yield bio.text.replace("\r\n", "\n").replace("\r", "\n")
        else:
            yield bio.text
