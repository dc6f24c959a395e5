"""What a Mastodon server's refusals mean: by status first, since its words may be in any language."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from biobot.errors import NetworkError
from biobot.networks import rate_limits
from biobot.networks.errors import Kind, Refused, Unknown, line, moment, parse

TITLE = "Mastodon"
SCOPES = ("read:accounts", "read:statuses", "write:statuses")
"""What the token has to be allowed."""

NEW_TOKEN = (
    "make a new application under Preferences → Development, tick "
    f"{', '.join(SCOPES)}, and put its access token into BIOBOT_MASTODON_ACCESS_TOKEN"
)
"""How to come by a token that may do all that is needed."""
_FORBIDDEN = (
    # these are not translated
    ("authorized scopes", Kind.READ_ONLY, f"the token lacks a scope: {NEW_TOKEN}"),
    ("is currently disabled", Kind.SUSPENDED, "the account is suspended or frozen: log in on the server and appeal"),
    ("confirmed e-mail", Kind.LOCKED, "the account's e-mail address is not confirmed: confirm it"),
    ("pending approval", Kind.LOCKED, "the account waits for the server's approval: wait for it"),
)
_SHUT_OUT = "the server shuts out this account or this machine's address: log in there, and ask its moderators"
_ADDRESS = "check `mastodon.server`"


def classify(method: str, status: int, headers: Mapping[str, str], body: bytes) -> NetworkError:
    """Sort an answer that is not 2xx; names of headers are in lower case.

    5xx is Unknown: it may come after the post was stored, and from 4.6.0 to 4.7.1 is even what a repeated key gets.
    """
    document = parse(body)
    words = document.get("error") if isinstance(document, dict) else None
    detail = line(words) if isinstance(words, str) else ""
    remedy = ""
    if status in (301, 307, 308):
        kind, detail = Kind.MOVED, f"the server has moved to {line(headers.get('location', 'an unknown place'))}"
        remedy = "set `mastodon.server` to its new address, if you trust it with the token"
    elif not 400 <= status < 500 or status in (408, 425, 499):
        said = f": {detail}" if detail else ""
        done = "" if method == "GET" else "; the request may have been done"
        return Unknown(f"{TITLE} answered HTTP {status}{said}{done}")
    elif status == 401:
        kind, remedy = Kind.REVOKED, f"the access token is wrong, revoked or expired: {NEW_TOKEN}"
    elif status == 403:
        known = ((kind, remedy) for words, kind, remedy in _FORBIDDEN if words in detail)
        kind, remedy = next(known, (Kind.LOCKED, _SHUT_OUT))
    elif status == 404:
        kind, remedy = Kind.NOT_FOUND, f"there is no Mastodon at this address: {_ADDRESS}"
        if method == "POST" and detail == "Record not found":
            kind, remedy = Kind.DELETED, ""  # what a key gets whose post is gone
    elif status == 410:
        kind, remedy = Kind.GONE, f"the server has closed for good: move to another one, and {_ADDRESS}"
    elif status == 422 and "requires an authenticated user" in detail:
        kind, remedy = Kind.APP_ONLY, f"the token is an application's, not an account's: {NEW_TOKEN}"
    elif status in (400, 413, 422):
        kind, remedy = Kind.INVALID, "the server finds the post invalid: look at its words, and at its rules"
    elif status == 429:
        return Refused(Kind.RATE_LIMIT, status, detail, wait(headers), title=TITLE)
    else:
        kind, remedy = Kind.OTHER, "the server refused for an unknown reason: log in there"
    return Refused(kind, status, detail, title=TITLE, remedy=remedy)


def wait(headers: Mapping[str, str]) -> timedelta:
    """Return how long a 429 asks for: until the reset by the server's own clock, within bounds."""
    reset, now = moment(headers.get("x-ratelimit-reset")), rate_limits.date(headers)
    if reset is None or now is None:
        return rate_limits.DEFAULT_WAIT
    return min(max(reset - now, rate_limits.MIN_WAIT), rate_limits.MAX_WAIT)
