"""Whose bio it is: the names under which exporters keep bios, ids and handles, and the spellings of their values."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any


@dataclass(frozen=True, slots=True)
class Bio:
    """A bio as it was found; `author` is the id of a user of X, if it is known."""

    text: str
    author: int | None = None
    handle: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Names:
    """The keys or columns that the caller names, with dots for nested JSON; None where they are to be recognised."""

    field: str | None = None
    author: str | None = None
    handle: str | None = None


@dataclass(frozen=True, slots=True)
class Columns:
    """Which names of a record hold what, the best first; `bare` is an id of a person only in a list of people.

    `tweet` says that the record is a tweet, or has one.
    """

    bios: tuple[str, ...]
    ids: tuple[str, ...]
    handles: tuple[str, ...]
    bare: tuple[str, ...]
    tweet: bool


_OF = "((?:from|user|author|profile|account|external)*)"
_BIO = re.compile(f"{_OF}(?:raw|legacy)*(bio|description|biography|about|aboutme)")
_ID = re.compile(f"{_OF}(id|twitterid|idstr|restid)")
_HANDLE = re.compile(f"{_OF}(screenname|handle|username|author|user)")
_TWEET = {
    *("text", "fulltext", "rawcontent", "renderedcontent", "tweet", "tweettext", "tweetid", "statusid", "retweetcount"),
    *("conversationid", "conversationidstr", "inreplytostatusid", "inreplytostatusidstr"),
}
"""Where one of these stands, an id without a prefix is that of a tweet."""

_INNER = (
    *("user", "author", "profile", "description", "account", "result", "user_results", "retweeted_status"),
    *("quoted_status", "retweetedTweet", "quotedTweet", "referenced_tweets", "mentionedUsers", "data", "includes"),
    *("users", "follower", "following", "_source"),
)
"""Where a record may hold people: the API's answers (v1.1, v2, GraphQL), twarc, snscrape, twscrape, X's archives."""

MAX_DEPTH = 24


@lru_cache(maxsize=4096)
def columns(names: tuple[str, ...]) -> Columns:
    """Return what a record's keys or a table's columns mean, whatever their case and punctuation."""
    plain = {name: re.sub(r"[\W_]+", "", name.casefold()) for name in names}
    tweet = not _TWEET.isdisjoint(plain.values())

    def matching(pattern: re.Pattern[str], bare_last: bool) -> list[tuple[bool, int, str, bool]]:
        order = pattern.pattern.rpartition("(")[2].rstrip(")").split("|")
        found = ((name, match) for name, word in plain.items() if (match := pattern.fullmatch(word)))
        return sorted((bare_last and not of[1], order.index(of[2]), name, not of[1]) for name, of in found)

    bios, handles = matching(_BIO, tweet), matching(_HANDLE, tweet)
    if not handles and "nick" in plain.values():  # gallery-dl calls the handle a name, and the name a nick
        handles = [(False, 0, name, True) for name, word in plain.items() if word == "name"]
    ids, bare = [], []
    beside = any(each[3] for each in bios)  # the bio stands without a prefix, as the id does
    for _, place, name, without in matching(_ID, True):
        if not without:
            ids.append(name)
        elif not tweet and (beside or not bios):
            bare.append(name)
            if beside and (place > 1 or any(each[3] for each in handles)):  # else it may be the number of a row
                ids.append(name)
    return Columns(tuple(each[2] for each in bios), tuple(ids), tuple(each[2] for each in handles), tuple(bare), tweet)


def people(record: Any, names: Names, depth: int = 0) -> Iterator[Bio]:
    """Yield every user's bio in a JSON value: a plain record, a user, a tweet, a page of an API, or a list of these."""
    if depth > MAX_DEPTH:
        return
    if isinstance(record, list):
        for each in record:
            yield from people(each, names, depth + 1)
    elif isinstance(record, dict):
        if names.field:
            holder, key = _down(record, names.field)
            if isinstance(holder.get(key), str):
                yield person(holder, holder[key], columns(tuple(holder)), names, record)
            return
        record = _flat(record)
        found = columns(tuple(record))
        text = next((record[name] for name in found.bios if isinstance(record[name], str)), None)
        if text is not None:
            yield person(record, text, found, names)
            return
        inner: list[Any] = [record[name] for name in _INNER if isinstance(record.get(name), dict | list)]
        if not inner and all(isinstance(each, dict) for each in record.values()):
            inner = list(
                record.values()
            )  # people by their id, their handle, or only their number: so not read as either
        for each in inner:
            yield from people(each, names, depth + 1)


def ids(record: Any, depth: int = 0) -> Iterator[int]:
    """Yield the ids of the people in a JSON value: of its users, or of a list of bare ids."""
    if depth > MAX_DEPTH:
        return
    if isinstance(record, list):
        for each in record:
            yield from ids(each, depth + 1)
    elif isinstance(record, dict):
        record = _flat(record)
        found = columns(tuple(record))
        known = first_id(record, (*found.ids, *found.bare))
        if known is not None:
            yield known
        deeper = known is None or "referenced_tweets" in record or "retweeted_status" in record
        for name in (*_INNER, "ids") if deeper else ():
            if isinstance(record.get(name), dict | list):
                yield from ids(record[name], depth + 1)
    elif (known := user_id(record)) is not None:
        yield known


def person(
    record: Mapping[str, Any], text: str, found: Columns, names: Names, above: Mapping[str, Any] | None = None
) -> Bio:
    """Return the bio `text` of a record with its author, who is read from the fields beside it."""
    author = first_id(record, found.ids)
    if names.author:
        author = user_id(_named(names.author, record, above))
    if names.handle:
        name = handle(_named(names.handle, record, above))
    else:
        name = next(filter(None, (handle(record.get(each)) for each in found.handles)), None)
    if name is not None and author is None and name.isdecimal() and not names.handle:
        author, name = user_id(name), None  # a column `author` of ids
    source = None if found.tweet else record.get("source")  # that of a tweet is an app
    return Bio(text, author, name, source if isinstance(source, str) and source else None)


def first_id(record: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    """Return the first of these fields that holds an id."""
    return next((number for name in names if (number := user_id(record.get(name))) is not None), None)


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """Return a GraphQL user with what lies in its parts written out; any other record as it is."""
    inner = [record[name] for name in ("legacy", "core", "profile_bio") if isinstance(record.get(name), dict)]
    for each in inner:
        record = {**record, **each}
    return record


def _down(record: Mapping[str, Any], name: str) -> tuple[Mapping[str, Any], str]:
    """Return the record and the key that a dotted name leads to, or a record without it."""
    if name in record:
        return record, name
    *above, last = name.split(".")
    inner: Any = record
    for each in above:
        inner = inner.get(each) if isinstance(inner, dict) else None
    return (inner if isinstance(inner, dict) else {}), last


def _named(name: str, record: Mapping[str, Any], above: Mapping[str, Any] | None) -> Any:
    holder, key = _down(above or record, name)
    return holder.get(key, record.get(name))


# -- values ------------------------------------------------------------------------------------------

NOTHING = frozenset(("nan", "none", "null", "<na>", "n/a", "#n/a", "undefined", "\\n", "[]", "{}"))
"""What pandas, SQL, spreadsheets and JavaScript write for nothing."""

_ID_VALUE = re.compile(
    r"[=\"']{0,3}(?:[ux]|ID:)?(\d{1,19})(\.0+)?[\"']?"
)  # Excel's ="1", rtweet's x1, TwiBot's u1, pandas' 1.0
_NAME = r"([\w\ud800-\udfff][\w.\-\ud800-\udfff]{0,99}(?:@[\w.\-]{1,99})?)"
_HANDLE_VALUE = re.compile(
    rf"(?:https?://)?(?:www\.|mobile\.|m\.)?(?:twitter|x)\.com/(?!(?:i|intent|search|hashtag|home)\b)@?{_NAME}(?:[/?#].*)?"
    rf"|(?:b['\"]@?{_NAME}['\"])|@?{_NAME}",
    re.IGNORECASE,
)
_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#\d{1,7}|#x[\da-f]{1,6});", re.IGNORECASE)


def user_id(value: Any) -> int | None:
    """Return an id of X, from digits or a number, or None; a long float has lost digits, so it is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    found = _ID_VALUE.fullmatch(value.strip() if isinstance(value, str) else repr(value))
    number = int(found[1]) if found else 0
    return number if found and 0 < number < (1 << 53 if found[2] else 1 << 63) else None


def handle(value: Any) -> str | None:
    """Return the handle that a value spells, without @, address or quotes; None if it is not one."""
    if not isinstance(value, str):
        return None
    found = _HANDLE_VALUE.fullmatch(value.strip().replace("＠", "@"))
    name = next(filter(None, found.groups())) if found else ""
    return name if name and name.casefold() not in NOTHING else None


def unescape(text: str) -> str:
    """Return a text with its character references (&amp; and the like) written out."""
    return _ENTITY.sub(lambda found: html.unescape(found[0]), text) if "&" in text else text


def escape(text: str) -> str:
    """Return a text that `unescape` turns back into this one."""
    return text.replace("&", "&amp;") if "&" in text and _ENTITY.search(text) else text
