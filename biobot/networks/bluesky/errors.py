"""What a refusal of Bluesky's means: one row of docs/errors.md for each name that a server gives it.

Measured on the reference PDS, versions 0.4.217 and 0.5.35.
"""

from __future__ import annotations

from collections.abc import Mapping

from biobot.errors import NetworkError
from biobot.networks import rate_limits
from biobot.networks.errors import Kind, Refused, Unknown, line, parse

TITLE = "Bluesky"
EXPIRED = ("ExpiredToken", "InvalidToken", "AuthMissing")
"""Names that concern the session alone: with a fresh one the same call may pass."""

_PASSWORD = (
    "the handle or the app password is wrong or revoked, or the account was taken down: make an app password under "  # noqa: S105
    "Settings, Privacy and security, and put both into .env"
)
_REPORT = "please report it, with what `biobot why` says"
NAMES: Mapping[str, tuple[Kind, str]] = {
    "AuthenticationRequired": (Kind.REVOKED, _PASSWORD),
    "AuthFactorTokenRequired": (Kind.REVOKED, "this is the account's own password: make an app password instead"),
    **dict.fromkeys(EXPIRED, (Kind.REVOKED, _PASSWORD)),
    "AccountTakedown": (Kind.SUSPENDED, "the account was taken down by moderators: log in to see why, and appeal"),
    "AccountDeactivated": (Kind.DEACTIVATED, "the account is deactivated: log in and activate it"),
    "AccountNotFound": (Kind.GONE, "the account is not on this server: check BIOBOT_BLUESKY_HANDLE, `bluesky.service`"),
    "RepoNotFound": (Kind.GONE, "the account is not on this server: check BIOBOT_BLUESKY_HANDLE, `bluesky.service`"),
    "InvalidSwap": (Kind.TAKEN, "another record has the post's key: look at the account, and delete one of the two"),
    "RecordNotFound": (Kind.NOT_FOUND, "the record is not there"),
    "InvalidRequest": (
        Kind.INVALID,
        f"the server found the post invalid: {_REPORT}",
    ),
    "RateLimitExceeded": (Kind.RATE_LIMIT, "too many calls; if this happens often, post less often"),
    "MethodNotImplemented": (Kind.NOT_FOUND, "this server hosts no accounts: check `bluesky.service`"),
}
"""The kind of each error, and how to fix it."""

_STATUSES = {
    401: NAMES["AuthenticationRequired"],
    403: (Kind.NOT_PERMITTED, "the server, or a proxy before it, forbids this: look at `bluesky.service`"),
    404: NAMES["MethodNotImplemented"],
    405: NAMES["MethodNotImplemented"],
    413: NAMES["InvalidRequest"],
    429: NAMES["RateLimitExceeded"],
}


def classify(status: int, headers: Mapping[str, str], body: bytes) -> NetworkError:
    """Sort an answer that is not 2xx: by the error's name, then by status. `headers` have lower-case names.

    5xx is Unknown: a gateway that says 503 may have passed the call on before it lost the answer.
    """
    document = parse(body)
    told = document if isinstance(document, dict) else {}
    name = str(told.get("error") or "")
    detail = line(": ".join(str(told[each]) for each in ("error", "message") if told.get(each)))
    if 300 <= status < 400:
        where = line(headers.get("location") or "an unknown place")
        remedy = "the server has moved: set `bluesky.service` to its new address"
        return Refused(Kind.MOVED, status, f"it has moved to {where}", title=TITLE, remedy=remedy)
    if not 400 <= status < 500 or status in (408, 425, 499):
        return Unknown(f"{TITLE} answered HTTP {status}{f': {detail}' if detail else ''}; it may have been done")
    kind, remedy = NAMES.get(name) or _STATUSES.get(status) or (Kind.OTHER, _REPORT)
    wait = rate_limits.wait(headers, ("ratelimit",)) if kind is Kind.RATE_LIMIT else None
    return Refused(kind, status, detail, wait, title=TITLE, remedy=remedy, code=name)
