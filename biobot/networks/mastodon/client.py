"""Mastodon's client API as biobot uses it, and that of servers which speak it.

Mastodon keeps an `Idempotency-Key` for an hour from when the post was stored, by its own clock; other servers
ignore it or keep refusals under it, so they get none. Whether the server is Mastodon itself, and how long a text may
be there, is read once a day.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, ClassVar

import requests

from biobot.errors import ConfigError, NetworkError
from biobot.networks import secrets
from biobot.networks.errors import Kind, Refused, Unknown, moment, parse
from biobot.networks.mastodon.errors import NEW_TOKEN, SCOPES, TITLE, classify
from biobot.networks.network import Account, Engagement, Network, Opening, Timeline, Tweet
from biobot.networks.session import Session
from biobot.settings import MastodonSettings
from biobot.text.language import language_apart

TOKEN = "BIOBOT_MASTODON_ACCESS_TOKEN"  # noqa: S105 - its name

KEY_LASTS = timedelta(minutes=50)
"""Mastodon's hour less a margin, since it begins when the server has stored the post."""

MAX_CHARACTERS, URL_LENGTH = 500, 23
"""Mastodon's own limits, until those of the server are read."""

PAGE = 40
"""How many posts one call reads at most."""

MARK = "the account is not marked as a bot's: tick Preferences → Profile → This is an automated account"

MAX_COUNTED = 400
"""How many of the newest posts are looked through for those whose likes are wanted."""

RENEWED = timedelta(days=1)
"""How old what is known of the server may be."""

_URL = re.compile(r"https?://[^\s<>\"]+")
_MENTION = re.compile(r"(?<![\w/])(@\w+)@[\w.-]{1,253}(?![\w.-])")
_BREAK = re.compile(r"<br\s*/?>|</p>")
_TAG = re.compile(r"<[^>]*>")


class MastodonSession(Session):
    """The shared session with an access token."""

    title: ClassVar[str] = TITLE
    key: ClassVar[str] = "mastodon.server"

    def refusal(self, response: requests.Response) -> NetworkError:
        """Sort an answer that is not 2xx."""
        method = response.request.method or ""
        return classify(method, response.status_code, self.answered, response.content)


class MastodonClient(Network):
    """One account on a Mastodon server, or on one that speaks its client API."""

    name = "mastodon"
    title = TITLE
    settings = MastodonSettings
    secrets = (TOKEN,)
    max_length = MAX_CHARACTERS
    key_lasts: timedelta | None = KEY_LASTS

    def __init__(self, opening: Opening) -> None:
        self._settings: MastodonSettings = opening.settings
        if not self._settings.server:
            raise ConfigError('mastodon.server is empty: name the account\'s server, as in "https://mastodon.social"')
        self._secrets = {TOKEN: opening.secrets.get(TOKEN, "")}
        self._clock = opening.clock
        self.session = MastodonSession(self._settings.server, self._settings.timeout, opening.clock, opening.stop)
        self.key_lasts = None  # until the server has said what it is
        self._url_length = URL_LENGTH
        self._version = ""
        self._read: datetime | None = None
        self._found: dict[str, Any] | None = None

    @property
    def clock_offset(self) -> timedelta | None:
        """How far the server's clock is ahead of this machine's, by the Date of its last answer."""
        return self.session.clock_offset

    def length(self, text: str) -> int:
        """Return the length as Mastodon counts it: the warning too, each URL as 23, no domain of a mention."""
        url = "x" * self._url_length
        warning = self._settings.content_warning.strip()
        return super().length(warning + _MENTION.sub(r"\1", _URL.sub(url, text.strip())))

    def make_key(self, text: str, row: int, slot: datetime | None, now: datetime) -> str:  # noqa: ARG002
        """Return the key of a post; "" on a server that does not honour keys."""
        return hashlib.sha256(f"{row} {slot} {text}".encode()).hexdigest()[:32] if self.key_lasts else ""

    def compose(self, text: str, now: datetime) -> str:  # noqa: ARG002
        """Return the form that is posted, as JSON."""
        form = {"status": text, "visibility": self._settings.visibility}
        if self._settings.content_warning.strip():
            form["spoiler_text"] = self._settings.content_warning.strip()
        if found := language_apart(text):
            form["language"] = found
        return json.dumps(form, ensure_ascii=False)

    # -- calls ---------------------------------------------------------------------------------------

    def me(self) -> Account:
        """Return whose token this is; read the server's limits, too."""
        found = self._profile()
        self._renew()
        return Account(_id(found, "the account"), str(found.get("acct") or ""))

    def post(self, request: str, key: str = "") -> str:
        """Post what `compose` made, and return its id.

        An id that the server does not show afterwards is not a post: its spam filter hands out such ids.
        """
        if self._read is not None:
            self._renew()
        headers = {"Idempotency-Key": key} if key else {}
        found = self.session.document(self._call("POST", "/api/v1/statuses", data=json.loads(request), headers=headers))
        status = _id(found, "the new post")
        try:
            self._call("GET", f"/api/v1/statuses/{status}")
        except Refused as error:
            if error.kind is Kind.NOT_FOUND:
                raise Unknown(
                    f"{TITLE} gave the id {status} and does not show it: its spam filter dropped the post"
                ) from None
        except NetworkError:
            pass  # it said 200, with an id
        return status

    def timeline(self, since: datetime, limit: int = 20) -> list[Tweet]:
        """Return the account's own posts made since then by the server's clock, newest first, at most `limit`."""
        tweets = []
        for each in islice(self._statuses(), limit):
            created = moment(each.get("created_at"))
            if created is not None and created < since:
                break
            tweets.append(Tweet(_id(each, "a post"), self._text(each), created))
        return Timeline(tweets, since)

    def engagement(self, ids: Sequence[str]) -> Mapping[str, Engagement]:
        """Return favourites, boosts and replies of own posts, read from the account's newest ones."""
        wanted, found = set(ids), {}
        oldest = min(((len(each), each) for each in ids), default=(0, ""))
        for each in islice(self._statuses(), MAX_COUNTED) if ids else ():
            status = _id(each, "a post")
            if status in wanted:
                counts = (each.get(f"{name}_count") for name in ("favourites", "reblogs", "replies"))
                found[status] = Engagement(*(_count(count) or 0 for count in counts))
            if len(found) == len(wanted) or (len(status), status) <= oldest:
                break
        return found

    def delete(self, id: str) -> None:  # noqa: A002
        """Delete one of the own posts; Refused with NOT_FOUND when it is no longer there."""
        self._call("DELETE", f"/api/v1/statuses/{id}")

    def check(self) -> Iterator[str]:
        """Yield whose account it is, what the server is, and what is missing; raise NetworkError if it cannot post."""
        me = self.me()
        yield f"@{me.handle} ({me.id}) on {self._settings.server}"
        if missing := self._missing_scopes():
            words = f"the token lacks the scope {' and '.join(missing)}"
            raise Refused(Kind.READ_ONLY, 403, words, title=TITLE, remedy=NEW_TOKEN)
        next(self._statuses(), None)
        yield f"a post may have {self.max_length:,} characters, and is {self._settings.visibility}"
        yield f"version {self._version}: " + (
            "a post whose answer was lost is sent again under its key, for 50 minutes"
            if self.key_lasts
            else "it does not honour keys, so that a post whose answer was lost is only looked for"
        )
        if not self._is_marked():
            yield MARK

    def label(self) -> str:
        """Return whether the account is marked as a bot's; the token is not allowed to do it."""
        return "the account is marked as a bot's" if self._is_marked() else MARK

    def _is_marked(self) -> bool:
        return self._profile().get("bot") is True

    def _profile(self) -> dict[str, Any]:
        """Return the account that the token belongs to, as the server describes it: asked once."""
        if self._found is None:
            found = self.session.document(self._call("GET", "/api/v1/accounts/verify_credentials"))
            _id(found, "the account")  # an answer without one is not remembered
            self._found = found
        return self._found

    def _missing_scopes(self) -> list[str]:
        """Return the scopes that the token's application lacks, as far as the server tells."""
        try:
            scopes = self.session.document(self._call("GET", "/api/v1/apps/verify_credentials")).get("scopes")
        except (Refused, Unknown):
            return []
        if not isinstance(scopes, list):
            return []
        held = {*scopes, *(["read:accounts"] if "profile" in scopes else [])}
        return [scope for scope in SCOPES if not {scope, scope.partition(":")[0]} & held]

    def close(self) -> None:
        """Close the connections that are kept."""
        self.session.close()

    # -- one call ------------------------------------------------------------------------------------

    def _call(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **options: Any
    ) -> requests.Response:
        secrets.require(self._secrets)
        authorization = {"Authorization": f"Bearer {self._secrets[TOKEN]}"}
        return self.session.call(method, path, headers={**authorization, **(headers or {})}, **options)

    def _renew(self) -> None:
        """Read what the server says of itself, unless that was done today; when it fails, old limits do as well."""
        now = self._clock()
        if self._read is not None and abs(now - self._read) < RENEWED:
            return
        try:
            found = self.session.document(self._call("GET", "/api/v2/instance"))
        except NetworkError as error:
            if self._read is not None:
                return
            if not (isinstance(error, Refused) and error.kind is Kind.NOT_FOUND):
                raise
            found = {}  # it speaks some of Mastodon's API: nothing is known of its keys
        self._read = now
        self._version, api = str(found.get("version") or "unknown"), found.get("api_versions")
        own = isinstance(api, dict) and "mastodon" in api and "compatible" not in self._version
        self.key_lasts = KEY_LASTS if own else None
        limits = found.get("configuration")
        limits = limits.get("statuses") if isinstance(limits, dict) else None
        limits = limits if isinstance(limits, dict) else {}
        self.max_length = _count(limits.get("max_characters")) or MAX_CHARACTERS
        self._url_length = _count(limits.get("characters_reserved_per_url")) or URL_LENGTH

    def _statuses(self) -> Iterator[dict[str, Any]]:
        """Yield the own posts, newest first, read a page at a time."""
        path, params = f"/api/v1/accounts/{self.me().id}/statuses", {"limit": str(PAGE), "exclude_reblogs": "true"}
        while True:
            page = parse(self._call("GET", path, params=params).content)
            if not isinstance(page, list) or not all(isinstance(each, dict) for each in page):
                raise Unknown(f"{TITLE} answered without a list of posts")
            yield from page
            if not page:
                return
            params["max_id"] = _id(page[-1], "a post")

    def _text(self, status: Mapping[str, Any]) -> str:
        """Return a post's text as it was written: without HTML, and with the domains of mentions, which HTML lacks."""
        if status.get("mentions"):
            with suppress(Refused):
                source = self.session.document(self._call("GET", f"/api/v1/statuses/{_id(status, 'a post')}/source"))
                return str(source.get("text") or "")
        return html.unescape(_TAG.sub("", _BREAK.sub("\n", str(status.get("content") or "")))).strip()


def _id(document: Mapping[str, Any], what: str) -> str:
    """Read an id: a string, of digits on Mastodon itself; an answer without one proves nothing, whatever its status."""
    found = document.get("id")
    if not (isinstance(found, str) and re.fullmatch(r"[0-9A-Za-z_-]{1,64}", found)):
        raise Unknown(f"{TITLE} answered without the id of {what}; it may have been done")
    return found


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1_000_000 else None
