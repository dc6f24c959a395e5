"""X's side of an HTTP call: the session that tweepy uses instead of its own.

It calls the configured address instead of the one that tweepy knows, set before signing, so that the signature is for
the address called.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import requests

from biobot.errors import NetworkError
from biobot.networks import session
from biobot.networks.errors import classify

TWEEPYS = "https://api.twitter.com"
"""The host that tweepy writes into every address."""


class Session(session.Session):
    """The shared session, for tweepy; its `clock` also dates the signatures."""

    title = "X"
    key = "x.api_base"

    def request(self, method: str, url: str, **options: Any) -> requests.Response:  # type: ignore[override]
        """Make one call of tweepy's, as `call` does."""
        assert url.startswith(f"{TWEEPYS}/")
        if self.clock is not None and options.get("auth") is not None:
            options["auth"].client.timestamp = str(int(self.clock().timestamp()))
        return self.call(method, url.removeprefix(TWEEPYS), **options)

    def refusal(self, response: requests.Response) -> NetworkError:
        """Sort an answer that is not 2xx."""
        return classify(response.status_code, self.answered, response.content, _signed(response.request))


def _signed(request: requests.PreparedRequest) -> datetime | None:
    """Read the moment that was signed from an OAuth 1.0a header: this machine's clock, as X saw it."""
    header = request.headers.get("Authorization") or ""
    text = header.decode("latin-1") if isinstance(header, bytes) else header
    _, found, rest = text.partition('oauth_timestamp="')
    seconds = rest.partition('"')[0]
    return datetime.fromtimestamp(int(seconds), UTC) if found and seconds.isdigit() else None
