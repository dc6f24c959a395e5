"""What X turns into a link: URLs, and bare domains too ("gmail.com" counts, and costs, as much as a URL)."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

LINK_LIKE = re.compile(r"https?://\S+|\b[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}(?:/\S*)?", re.IGNORECASE)
"""Whatever a network might turn into a link: more than `links` finds, which knows X's rules alone."""

_MAX_URL = 4096
_DOTS = re.compile("[\u3002\uff0e\uff61]")
_DIRECTION = "\u202a-\u202e\u061c\u200e\u200f\u2066-\u2069"
_NEVER = "\ufffe\ufeff\uffff"
_SPACE = "\t-\r \x85\xa0\u1680\u180e\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_ACCENTS = (
    "\xc0-\xd6\xd8-\xf6\xf8-\u024f\u0253\u0254\u0256\u0257\u0259\u025b"
    "\u0263\u0268\u026f\u0272\u0289\u028b\u02bb\u0300-\u036f\u1e00-\u1eff"
)
_LABEL = rf"[^!'#%&()*+,\\\-./:;<=>?@\[\]^_{{|}}~${_SPACE}{_NEVER}{_DIRECTION}]"
_PATH = rf"[A-Za-z0-9\u0400-\u04ff!*';:=+,.$/%#\[\]\-\u2013_~@|&{_ACCENTS}]"
_PATH_END = rf"[A-Za-z0-9\u0400-\u04ff+\-=_#/{_ACCENTS}]"
_BRACKETS = rf"\((?:{_PATH}+|{_PATH}*\({_PATH}+\){_PATH}*)\)"
_QUERY = r"[A-Za-z0-9!?*'@();:&=+$/%#\[\]\-_.,~|]"
_QUERY_END = r"[A-Za-z0-9\-_&=#/]"


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of a text, with where it begins and ends."""

    text: str
    start: int
    end: int


def links(text: str) -> tuple[Span, ...]:
    """Return what X would turn into links; X looks at the text's NFC form, this at the text as it is."""
    found: list[Span] = []
    done = 0
    for ending in _ending().finditer(text) if "." in text else ():
        if ending.start() >= done:
            # no link holds a space, but a link may depend on the space before it
            begun = max(0, text.rfind(" ", 0, ending.start()))
            done = text.find(" ", ending.start())
            done = len(text) if done < 0 else done
            for start, end in _in_units(text[begun:done]):
                found.append(Span(text[begun + start : begun + end], begun + start, begun + end))
    return tuple(found)


def _in_units(text: str) -> Iterable[tuple[int, int]]:
    """Yield where links begin and end. Like X, look at UTF-16 code units, so half an emoji may count as a letter."""
    if max(text) <= "\uffff":
        return _links(text)
    units = text.encode("utf-16-le", "surrogatepass")
    halves = "".join(chr(low | high << 8) for low, high in zip(units[::2], units[1::2], strict=True))
    places = [0]
    for character in text:
        places.append(places[-1] + (2 if character > "\uffff" else 1))
    return ((bisect_right(places, start) - 1, bisect_left(places, end)) for start, end in _links(halves))


def _links(text: str) -> Iterator[tuple[int, int]]:
    url, ascii_domain, short = _patterns()
    for match in url.finditer(text):
        start, end = match.span("url")
        before, protocol, domain, path = match["before"], match["protocol"], match["domain"], match["path"]
        if domain.startswith("xn--") and not ascii_domain.search(domain):
            continue
        if not _encodable(domain, len(protocol or "https://") + end - start - len(domain)):
            continue
        if protocol:
            if shortened := short.match(text, start):
                if len(shortened[1]) > 40:
                    continue
                end = shortened.end()
            yield start, end
        elif before not in ("-", "_", ".", "/"):
            # of a bare domain only the ASCII parts become links, the last of them with the path
            spans = [(start + part.start(), start + part.end()) for part in ascii_domain.finditer(domain)]
            if spans and path:
                # X adds the length of the path to that of the ASCII part, even with something between them
                spans[-1] = spans[-1][0], spans[-1][1] + end - match.end("domain")
            yield from spans


def _encodable(domain: str, rest: int) -> bool:
    """Return whether a link fits X's limit, and each label of its domain the limit of the DNS, once encoded for it."""
    length = rest + domain.count(".")
    for label in domain.split("."):
        size = len(label) if label.isascii() else sum(_encoded(part) + 1 for part in _DOTS.split(label)) - 1
        if size > 63:
            return False
        length += size
    return length <= _MAX_URL


def _encoded(label: str) -> int:
    """Return the length of a label as the DNS encodes it."""
    if label.isascii():
        return len(label)
    whole = label.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return 4 + len(whole.encode("punycode", "surrogatepass"))


@cache
def _top() -> str:
    """Return the pattern of a top-level domain; it is large and takes long to compile."""
    lines = Path(__file__).with_name("tlds.txt").read_text(encoding="utf-8").splitlines()
    names = _any_of(sorted(line for line in lines if not line.startswith("#")))
    return rf"(?:{names}(?=[^0-9A-Za-z@+-]|$)|xn--[-0-9a-z]+)"


@cache
def _ending() -> re.Pattern[str]:
    """Return the pattern of a domain's end, which every link holds, so that most texts need no other.

    It begins with a literal dot, which makes the search fast.
    """
    return re.compile(rf"\.(?=[^\W\d_])(?<={_LABEL}\.){_top()}", re.IGNORECASE)


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """Return the patterns of a URL, of an ASCII domain, and of X's own short URL."""
    top = _top()
    subdomain, name = (rf"{_LABEL}(?:[{marks}]*+{_LABEL})*+\." for marks in ("_-", "-"))
    path = rf"/(?:{_PATH}*(?:{_BRACKETS}{_PATH}*)*{_PATH_END}|{_BRACKETS})*"
    url = (
        rf"(?P<before>[^A-Za-z0-9@＠$#＃{_NEVER}]|^)"
        rf"(?P<url>(?P<protocol>https?://)?(?P<domain>(?:{subdomain})*{name}{top})(?::[0-9]+)?"
        rf"(?P<path>{path})?(?:\?{_QUERY}*{_QUERY_END})?)"
    )
    ascii_domain = rf"(?:[-a-z0-9{_ACCENTS}]+\.)+{top}"
    short = rf"https?://t\.co/([a-z0-9]+)(?:\?{_QUERY}*{_QUERY_END})?"
    one, two, three = (re.compile(each, re.IGNORECASE) for each in (url, ascii_domain, short))
    return one, two, three


def _any_of(words: list[str]) -> str:
    """Return a pattern that matches any of the sorted words, the longest first; it branches where words differ."""
    tails = {letter: [word[1:] for word in group] for letter, group in groupby(words, key=lambda word: word[:1])}
    optional = "?" if tails.pop("", None) else ""
    branches = "|".join(re.escape(letter) + _any_of(rest) for letter, rest in tails.items())
    return f"(?:{branches}){optional}" if branches else ""
