"""What can come of a call to a network, sorted by the only question that matters: may it have been done?

NetworkError                (biobot.errors)
├── Unsent                  definitely not sent: raised before the first byte left, whatever it was
├── Refused                 it answered with a definite refusal; `kind` says which
└── Unknown                 sent, and no answer that can be trusted: a post may be on the account

What then becomes of a post, and what the daemon does, is `biobot.posting.policy`'s to say.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

from biobot import redact
from biobot.errors import NetworkError, say
from biobot.networks import rate_limits
from biobot.networks.watchdog import GivenUp

SKEW = timedelta(minutes=3)
"""A clock that is off by more than this explains a 401: signatures carry the time."""


ITS_KEYS = "its keys"
"""The secrets, in the remedy of a session that does not know their names."""


class Kind(Enum):
    """Why a network refused; one row of docs/errors.md each."""

    DUPLICATE = "duplicate"
    TAKEN = "taken"
    RATE_LIMIT = "rate-limit"
    DAILY_LIMIT = "daily-limit"
    USAGE_CAP = "usage-cap"
    NO_CREDITS = "no-credits"
    SUSPENDED = "suspended"
    LOCKED = "locked"
    DEACTIVATED = "deactivated"
    REVOKED = "revoked"
    CLOCK = "clock"
    READ_ONLY = "read-only"
    NOT_ENROLLED = "not-enrolled"
    APP_ONLY = "app-only"
    NOT_PERMITTED = "not-permitted"
    INVALID = "invalid"
    NOT_FOUND = "not-found"
    MOVED = "moved"
    GONE = "gone"
    DELETED = "deleted"
    OTHER = "other"


class Unsent(NetworkError):
    """Not one byte of the request left: it can be made again."""


class Unknown(NetworkError):
    """The request left, and nothing trustworthy came back: it may have been done."""


class Refused(NetworkError):
    """The network definitely refused the call.

    `status` is HTTP's; `detail` is the network's own words, cut to a line; `wait` is how long to wait before the next
    call (None: the headers said nothing about it). It is a duration, since the network's clock may differ from ours.
    `title` is what people call the network, `remedy` how to fix it there (by default, as on X), and `code` the
    network's own name for it.
    """

    def __init__(
        self,
        kind: Kind,
        status: int,
        detail: str = "",
        wait: timedelta | None = None,
        *,
        title: str = "X",
        remedy: str = "",
        code: str = "",
    ) -> None:
        said = f": {detail}" if detail else ""
        super().__init__(f"{title} refused ({kind.value}, HTTP {status}){said}")
        self.kind = kind
        self.status = status
        self.detail = redact.hide(detail)
        self.wait = wait
        self.remedy = redact.hide(remedy)
        self.code = code


def classify(status: int, headers: Mapping[str, str], body: bytes, signed: datetime | None = None) -> NetworkError:
    """Sort an answer that is not 2xx: by status, then the problem's type, then legacy codes, then its words.

    `signed` is the moment that this machine's clock put into the signature; None when there was none.
    5xx is Unknown: a gateway that says 503 may have passed the post on before it lost the answer.
    """
    problem = Problem(body)
    detail = problem.detail
    if status in (307, 308):  # "make the same request there": it was not made here
        return Refused(Kind.MOVED, status, f"X has moved to {_header(headers, 'location')}")
    if not 400 <= status < 500 or status in (408, 425, 499):
        return Unknown(f"X answered HTTP {status}{f': {detail}' if detail else ''}; the request may have been done")
    if status == 429:
        if problem.kind == "usage-capped" or problem.title == "UsageCapExceeded" or "usage cap" in detail.lower():
            return Refused(Kind.USAGE_CAP, status, detail)
        kind = Kind.DAILY_LIMIT if rate_limits.daily(headers) else Kind.RATE_LIMIT
        return Refused(kind, status, detail, rate_limits.wait(headers))
    if status == 401:
        date = rate_limits.date(headers)
        if signed is not None and date is not None and abs(date - signed) > SKEW:
            return Refused(Kind.CLOCK, status, _off_by(signed - date))
    for known in (_TYPES.get(problem.kind), *(_CODES.get(code) for code in problem.codes)):
        if known is not None:
            wait = rate_limits.wait(headers) if known in (Kind.RATE_LIMIT, Kind.DAILY_LIMIT) else None
            return Refused(known, status, detail, wait)
    if status == 403:
        for words, kind in _WORDS:
            if words in detail.lower():
                return Refused(kind, status, detail)
    return Refused(_STATUSES.get(status, Kind.OTHER), status, detail)


def by_status(status: int, headers: Mapping[str, str], body: bytes, title: str, key: str) -> NetworkError:
    """Sort an answer that is not 2xx by its status alone; `headers` have lower-case names.

    `title` is what people call the network, and `key` the key of biobot.toml that has its address.
    """
    words = line(_words(body))
    if 300 <= status < 400:
        moved = f"it has moved to {_header(headers, 'location')}"
        return Refused(Kind.MOVED, status, moved, title=title, remedy=f"set `{key}` to its new address")
    if not 400 <= status < 500 or status in (408, 425, 499):
        return Unknown(f"{title} answered HTTP {status}{f': {words}' if words else ''}; it may have been done")
    remedy = f"look at the account, {ITS_KEYS} and `{key}`"
    kind = {410: Kind.GONE, 429: Kind.RATE_LIMIT}.get(status) or _STATUSES.get(status, Kind.OTHER)
    if kind is Kind.RATE_LIMIT:
        return Refused(kind, status, words, rate_limits.wait(headers), title=title)
    return Refused(kind, status, words, title=title, remedy=remedy)


def classify_failure(
    error: BaseException, begun: bool = True, title: str = "X", key: str = "x.api_base"
) -> NetworkError:
    """Sort an exception that came instead of an answer.

    `begun` is whether a first byte may have left: if not, the request was definitely not sent, whatever was
    raised. Else it is Unknown: a reset, a read timeout, half a body, and whatever tweepy or requests let through.
    `title` is what people call the network, and `key` the key of biobot.toml that has its address.
    """
    if isinstance(error, NetworkError):
        return error
    causes = list(_causes(error))
    kind, _, words = say(causes[-1]).partition(": ")
    words = line(words) or kind
    if not begun:
        hint = next((hint for part, hint in _HINTS if any(part in say(each) for each in causes)), _HINT)
        return Unsent(f"{title} cannot be reached: {words}; {hint.format(key=key)}")
    kind = "" if isinstance(error, GivenUp) else f"{type(error).__name__}: "
    return Unknown(f"no answer that can be trusted ({kind}{words}); the request may have been done")


class Problem:
    """X's words about a refusal, read from a body that can be anything at all (F8).

    `kind` is the last part of the problem's type ("duplicate-rules" of ".../problems/duplicate-rules"),
    `codes` the numbers of the old API, `detail` what a person can read, in one line.
    """

    def __init__(self, body: bytes) -> None:
        document = parse(body)
        top: dict[str, Any] = document if isinstance(document, dict) else {}
        listed = top.get("errors") if isinstance(document, dict) else document
        errors = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        every = [top, *errors]
        self.title = str(top.get("title") or "")
        kinds = [str(each.get("type") or "").rstrip("/").rpartition("/")[2] for each in every]
        self.kind = next((kind for kind in kinds if kind and kind != "about:blank"), "")
        self.codes = [each["code"] for each in every if isinstance(each.get("code"), int)]
        said = [str(each.get(key) or "") for each in every for key in ("detail", "message")]
        reason = f" ({top['reason']})" if isinstance(top.get("reason"), str) else ""
        self.detail = line(next(filter(None, [*said, self.title]), "") + reason).rstrip(".")


def parse(body: bytes) -> Any:
    """Parse JSON; return None for anything else, however malicious."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _words(body: bytes) -> str:
    """Return what a person can read of an answer: in JSON, the first message that it holds."""
    waiting = [parse(body)]
    while waiting:
        found = waiting.pop(0)
        if isinstance(found, str):
            return found
        if isinstance(found, dict):
            waiting += [found[each] for each in ("error_description", "message", "detail", "error") if found.get(each)]
    return body.decode(errors="replace")


_TYPES = {
    "duplicate-content": Kind.DUPLICATE,
    "user-suspended": Kind.SUSPENDED,
    "oauth1-permissions": Kind.READ_ONLY,
    "oauth2-permissions": Kind.READ_ONLY,
    "client-forbidden": Kind.NOT_ENROLLED,
    "unsupported-authentication": Kind.APP_ONLY,
    "credits": Kind.NO_CREDITS,
    "usage-capped": Kind.USAGE_CAP,
    "rate-limit-exceeded": Kind.RATE_LIMIT,
    "invalid-request": Kind.INVALID,
    "resource-not-found": Kind.NOT_FOUND,
}

_CODES = {
    64: Kind.SUSPENDED,
    88: Kind.RATE_LIMIT,
    89: Kind.REVOKED,
    135: Kind.CLOCK,
    185: Kind.DAILY_LIMIT,
    186: Kind.INVALID,
    187: Kind.DUPLICATE,
    226: Kind.NOT_PERMITTED,
    326: Kind.LOCKED,
    344: Kind.DAILY_LIMIT,
    453: Kind.NOT_ENROLLED,
}

_WORDS = (
    ("duplicate", Kind.DUPLICATE),
    ("is suspended", Kind.SUSPENDED),
    ("temporarily locked", Kind.LOCKED),
    ("oauth1 app permissions", Kind.READ_ONLY),
    ("daily limit", Kind.DAILY_LIMIT),
    ("does not have any credits", Kind.NO_CREDITS),
)
"""What a 403 that carries no type says, in lower case."""

_STATUSES = {
    400: Kind.INVALID,
    401: Kind.REVOKED,
    402: Kind.NO_CREDITS,
    403: Kind.NOT_PERMITTED,
    404: Kind.NOT_FOUND,
    413: Kind.INVALID,
    422: Kind.INVALID,
}


_HINT = "check the network, and `{key}`"
_HINTS = (
    ("SOCKS support", "the proxy in HTTPS_PROXY needs `pip install 'requests[socks]'`"),
    ("CA certificate bundle", "correct REQUESTS_CA_BUNDLE, or put that file back"),
    *(
        (part, "correct the proxy in HTTPS_PROXY, and check `{key}`")
        for part in ("Proxy", "Failed to parse", "Invalid IPv6")
    ),
)
"""How to fix what is raised before a first byte leaves, by a part of its kind or words."""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Unwrap what requests and urllib3 have wrapped, the outermost first."""
    inner: Any = error
    for _ in range(8):
        yield inner
        inner = getattr(inner, "reason", None) or next(iter(inner.args), None)
        if not isinstance(inner, BaseException):
            return


def _off_by(off: timedelta) -> str:
    minutes = round(abs(off).total_seconds() / 60)
    way = "fast" if off > timedelta(0) else "slow"
    return f"this machine's clock is {minutes} minutes {way} by X's Date header"


def _header(headers: Mapping[str, str], name: str) -> str:
    return line(next((value for key, value in headers.items() if key.lower() == name), "an unknown place"))


def line(text: str) -> str:
    """Return one readable line of at most 200 characters, without secrets: a server or a proxy may echo them (F39)."""
    return redact.hide("".join(each for each in " ".join(text.split()) if each.isprintable()))[:200]


def moment(text: Any) -> datetime | None:
    """Read a time as X writes it ("2026-11-22T18:00:00.000Z"); None for anything else."""
    try:
        found = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
