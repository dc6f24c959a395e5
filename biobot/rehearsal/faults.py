"""The faults that the fake X commits when told to: each of them has happened to a real bot.

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
    post only after the number of seconds in the script.
    """

    done: bool = False
    answer: Callable[[datetime], Answer] | None = None
    delivery: Delivery = Delivery.WHOLE
    lags: bool = False


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


def _fixed(answer: Answer) -> Callable[[datetime], Answer]:
    return lambda _: answer


def _reset(seconds: float) -> Callable[[datetime], Answer]:
    def answer(now: datetime) -> Answer:
        reset = str(int(now.timestamp() + seconds))
        return Answer(429, TOO_MANY.document, {"x-rate-limit-remaining": "0", "x-rate-limit-reset": reset})

    return answer


def _daily(now: datetime) -> Answer:
    headers = {
        "x-rate-limit-remaining": "50",
        "x-rate-limit-reset": str(int(now.timestamp() + 60)),
        "x-user-limit-24hour-limit": "17",
        "x-user-limit-24hour-remaining": "0",
        "x-user-limit-24hour-reset": str(int(now.timestamp() + 5 * 3600)),
    }
    return Answer(429, TOO_MANY.document, headers)


def _html(status: int) -> Answer:
    page = b"<!DOCTYPE html><html><body><h1>Over capacity</h1></body></html>"
    return Answer(status, page, {"content-type": "text/html; charset=utf-8"})


def _deep(_: datetime) -> Answer:
    return Answer(200, b"[" * 200_000, {"content-type": "application/json"})


FAULTS: Mapping[str, Fault] = {
    # waits
    "429": Fault(answer=_reset(600)),
    "429-past": Fault(answer=_reset(-5)),
    "429-missing": Fault(
        answer=_fixed(Answer(429, TOO_MANY.document, {"x-rate-limit-remaining": "", "x-rate-limit-reset": ""}))
    ),
    "429-nonsense": Fault(
        answer=_fixed(Answer(429, b"", {"x-rate-limit-remaining": "none", "x-rate-limit-reset": "soon"}))
    ),
    "429-daily": Fault(answer=_daily),
    "usage-cap": Fault(
        answer=_fixed(
            problem(
                429,
                "UsageCapExceeded",
                "Usage cap exceeded: Monthly product cap",
                "usage-capped",
                period="Monthly",
                scope="Product",
            )
        )
    ),
    # refusals
    "duplicate": Fault(answer=_fixed(DUPLICATE)),
    "no-credits": Fault(answer=_fixed(NO_CREDITS)),
    "suspended": Fault(
        answer=_fixed(problem(403, "Forbidden", "The user used for authentication is suspended", "user-suspended"))
    ),
    "locked": Fault(
        answer=_fixed(
            Answer(
                403, {"errors": [{"code": 326, "message": "To protect our users, this account is temporarily locked."}]}
            )
        )
    ),
    "revoked": Fault(answer=_fixed(UNAUTHORIZED)),
    "read-only": Fault(
        answer=_fixed(
            problem(
                403,
                "Forbidden",
                "Your client app is not configured with the appropriate oauth1 app permissions for this endpoint.",
                "oauth1-permissions",
            )
        )
    ),
    "not-enrolled": Fault(
        answer=_fixed(
            problem(
                403,
                "Client Forbidden",
                "When authenticating requests to the Twitter API v2 endpoints, you must use keys and tokens from a "
                "Twitter developer App that is attached to a Project.",
                "client-forbidden",
                reason="client-not-enrolled",
                required_enrollment="Appropriate Level of API Access",
            )
        )
    ),
    "app-only": Fault(
        answer=_fixed(
            problem(
                403,
                "Unsupported Authentication",
                "Authenticating with OAuth 2.0 Application-Only is forbidden for this endpoint.",
                "unsupported-authentication",
            )
        )
    ),
    "not-permitted": Fault(answer=_fixed(problem(403, "Forbidden", "You are not permitted to perform this action."))),
    "detail-403": Fault(answer=_fixed(Answer(403, {"detail": "No."}))),
    "empty-403": Fault(answer=_fixed(Answer(403))),
    "list-403": Fault(answer=_fixed(Answer(403, [{"message": "a list", "code": 226}]))),
    "invalid": Fault(
        answer=_fixed(
            Answer(
                400,
                {
                    "errors": [{"message": "One or more parameters to your request was invalid.", "parameters": {}}],
                    "title": "Invalid Request",
                    "type": "https://api.x.com/2/problems/invalid-request",
                },
            )
        )
    ),
    "too-long": Fault(
        answer=_fixed(Answer(403, {"errors": [{"code": 186, "message": "Tweet needs to be a bit shorter."}]}))
    ),
    "teapot": Fault(answer=_fixed(Answer(418, b"short and stout"))),
    "moved": Fault(answer=_fixed(Answer(308, b"", {"location": "https://api.x.com/2/tweets"}))),
    # answers that prove nothing
    "html-503": Fault(answer=_fixed(_html(503))),
    "html-503-after": Fault(done=True, answer=_fixed(_html(503))),
    "json-500": Fault(answer=_fixed(problem(500, "Internal Server Error", "Something is broken"))),
    "html-200": Fault(done=True, answer=_fixed(_html(200))),
    "null-data": Fault(done=True, answer=_fixed(Answer(200, {"data": None}))),
    "no-id": Fault(done=True, answer=_fixed(Answer(201, {"data": {"text": "without its id"}}))),
    "list-200": Fault(done=True, answer=_fixed(Answer(200, [1, 2, 3]))),
    "empty-201": Fault(done=True, answer=_fixed(Answer(201))),
    "deep-200": Fault(done=True, answer=_deep),
    "see-other": Fault(done=True, answer=_fixed(Answer(303, b"", {"location": "https://elsewhere.invalid/"}))),
    # the wire
    "timeout-before": Fault(delivery=Delivery.HANG),
    "timeout-after": Fault(done=True, delivery=Delivery.HANG),
    "reset-before": Fault(delivery=Delivery.RESET),
    "reset-after": Fault(done=True, delivery=Delivery.RESET),
    "half-body": Fault(done=True, delivery=Delivery.HALF),
    "slow-drip": Fault(done=True, delivery=Delivery.DRIP),
    # the timeline
    "lag": Fault(done=True, lags=True),
    "lag-timeout": Fault(done=True, lags=True, delivery=Delivery.HANG),
}
"""Every fault by name; docs/errors.md lists them."""
