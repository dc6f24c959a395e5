"""What a fault is, and the faults that the fake X commits when told to: each of them has happened to a real bot.

Bodies are those seen in the wild (see docs/errors.md), their hosts and their untidiness included.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any


class Delivery(Enum):
    """How an answer reaches the caller, if it does."""

    WHOLE = "whole"
    HANG = "hang"
    """No byte at all, until the caller gives up."""
    RESET = "reset"
    """The connection is reset."""
    HALF = "half"
    """Half the body, then the connection ends."""
    DRIP = "drip"
    """A byte now and then, and never the last one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; a document that is not bytes is sent as JSON."""

    status: int
    document: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delivery: Delivery = Delivery.WHOLE

    @property
    def body(self) -> bytes:
        """Return the body in bytes."""
        return self.document if isinstance(self.document, bytes) else json.dumps(self.document).encode()


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong.

    `done`: whether the call still does its work (accepts the post) before things go wrong. `answer`: what is
    answered instead, given the fake's time (None: the true answer). `lags`: whether the timeline shows an accepted
    post only after the number of seconds in the script. `how`: what a network does otherwise than it should.
    """

    done: bool = False
    answer: Callable[[datetime], Answer] | None = None
    delivery: Delivery = Delivery.WHOLE
    lags: bool = False
    how: str = ""


def problem(status: int, title: str, detail: str, kind: str = "about:blank", **more: Any) -> Answer:
    """Return a refusal in X's usual format."""
    full = kind if kind == "about:blank" else f"https://api.twitter.com/2/problems/{kind}"
    return Answer(status, {"title": title, "detail": detail, "type": full, "status": status, **more})


DUPLICATE = problem(403, "Forbidden", "You are not allowed to create a Tweet with duplicate content.")
UNAUTHORIZED = problem(401, "Unauthorized", "Unauthorized")
NO_CREDITS = problem(
    402,
    "CreditsDepleted",
    "Your enrolled account [1] does not have any credits to fulfill this request.",
    "credits",
    account_id=1,
)
TOO_MANY = problem(429, "Too Many Requests", "Too Many Requests")


def says(answer: Answer, *, done: bool = False) -> Fault:
    """Return the fault that always answers this."""
    return Fault(done, lambda _: answer)


def _reset(seconds: float) -> Fault:
    def answer(now: datetime) -> Answer:
        reset = str(int(now.timestamp() + seconds))
        return Answer(429, TOO_MANY.document, {"x-rate-limit-remaining": "0", "x-rate-limit-reset": reset})

    return Fault(answer=answer)


def _no_reset(document: Any, remaining: str, reset: str) -> Fault:
    return says(Answer(429, document, {"x-rate-limit-remaining": remaining, "x-rate-limit-reset": reset}))


def _daily(now: datetime) -> Answer:
    headers = {
        "x-rate-limit-remaining": "50",
        "x-rate-limit-reset": str(int(now.timestamp() + 60)),
        "x-user-limit-24hour-limit": "17",
        "x-user-limit-24hour-remaining": "0",
        "x-user-limit-24hour-reset": str(int(now.timestamp() + 5 * 3600)),
    }
    return Answer(429, TOO_MANY.document, headers)


def html(status: int) -> Answer:
    """Return what a proxy or an error page says."""
    page = b"<!DOCTYPE html><html><body><h1>Over capacity</h1></body></html>"
    return Answer(status, page, {"content-type": "text/html; charset=utf-8"})


def _forbidden(detail: str, kind: str = "about:blank", title: str = "Forbidden", **more: Any) -> Fault:
    return says(problem(403, title, detail, kind, **more))


def _legacy(code: int, message: str) -> Fault:
    return says(Answer(403, {"errors": [{"code": code, "message": message}]}))


_CAP = problem(429, "UsageCapExceeded", "Usage cap exceeded: Monthly product cap", "usage-capped", period="Monthly")
_NO_PERMISSION = "Your client app is not configured with the appropriate oauth1 app permissions for this endpoint."
_NO_PROJECT = (
    "When authenticating requests to the Twitter API v2 endpoints, you must use keys and tokens from a Twitter "
    "developer App that is attached to a Project."
)
_APP_ONLY = "Authenticating with OAuth 2.0 Application-Only is forbidden for this endpoint."
_INVALID = {
    "errors": [{"message": "One or more parameters to your request was invalid.", "parameters": {}}],
    "title": "Invalid Request",
    "type": "https://api.x.com/2/problems/invalid-request",
}

WIRE: Mapping[str, Fault] = {
    "timeout-before": Fault(delivery=Delivery.HANG),
    "timeout-after": Fault(done=True, delivery=Delivery.HANG),
    "reset-before": Fault(delivery=Delivery.RESET),
    "reset-after": Fault(done=True, delivery=Delivery.RESET),
    "half-body": Fault(done=True, delivery=Delivery.HALF),
    "slow-drip": Fault(done=True, delivery=Delivery.DRIP),
}
"""What a connection can do to any network."""

UNTRUSTED: Mapping[str, Fault] = {
    **{
        f"html-{status}{after}": says(html(status), done=bool(after))
        for status in (500, 502, 503, 504, 520)
        for after in ("", "-after")
    },
    "html-200": says(html(200)),
    "html-200-after": says(html(200), done=True),
    "null-200": says(Answer(200, None), done=True),
    "empty-200": says(Answer(200), done=True),
    "deep-200": says(Answer(200, b"[" * 200_000, {"content-type": "application/json"}), done=True),
}
"""Answers of servers and proxies of any kind that prove nothing; the fake X has its own, as seen there."""

FAULTS: Mapping[str, Fault] = {
    # waits
    "429": _reset(600),
    "429-past": _reset(-5),
    "429-missing": _no_reset(TOO_MANY.document, "", ""),
    "429-nonsense": _no_reset(b"", "none", "soon"),
    "429-daily": Fault(answer=_daily),
    "usage-cap": says(_CAP),
    # refusals
    "duplicate": says(DUPLICATE),
    "no-credits": says(NO_CREDITS),
    "suspended": _forbidden("The user used for authentication is suspended", "user-suspended"),
    "locked": _legacy(326, "To protect our users, this account is temporarily locked."),
    "revoked": says(UNAUTHORIZED),
    "read-only": _forbidden(_NO_PERMISSION, "oauth1-permissions"),
    "not-enrolled": _forbidden(_NO_PROJECT, "client-forbidden", "Client Forbidden", reason="client-not-enrolled"),
    "app-only": _forbidden(_APP_ONLY, "unsupported-authentication", "Unsupported Authentication"),
    "not-permitted": _forbidden("You are not permitted to perform this action."),
    "detail-403": says(Answer(403, {"detail": "No."})),
    "empty-403": says(Answer(403)),
    "list-403": says(Answer(403, [{"message": "a list", "code": 226}])),
    "invalid": says(Answer(400, _INVALID)),
    "too-long": _legacy(186, "Tweet needs to be a bit shorter."),
    "teapot": says(Answer(418, b"short and stout")),
    "moved": says(Answer(308, b"", {"location": "https://api.x.com/2/tweets"})),
    # no word that can be trusted
    "html-503": says(html(503)),
    "html-503-after": says(html(503), done=True),
    "json-500": says(problem(500, "Internal Server Error", "Something is broken")),
    "html-200": says(html(200), done=True),
    "null-data": says(Answer(200, {"data": None}), done=True),
    "no-id": says(Answer(201, {"data": {"text": "without its id"}}), done=True),
    "list-200": says(Answer(200, [1, 2, 3]), done=True),
    "empty-201": says(Answer(201), done=True),
    "deep-200": says(Answer(200, b"[" * 200_000, {"content-type": "application/json"}), done=True),
    "see-other": says(Answer(303, b"", {"location": "https://elsewhere.invalid/"}), done=True),
    **WIRE,
    # the timeline
    "lag": Fault(done=True, lags=True),
    "lag-timeout": Fault(done=True, lags=True, delivery=Delivery.HANG),
}
"""Every fault by name; docs/errors.md lists them."""
