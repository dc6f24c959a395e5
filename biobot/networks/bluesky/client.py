"""Bluesky as biobot uses it: a handful of XRPC calls over plain HTTP.

A post is a record under a key of our own, put there with "swapRecord": null, which is: only where there is none.
The same put again changes nothing, however late; another record under the key is refused. So an unknown fate is
settled by the same put, and never by reading back, since a read right after a cut connection can miss the record.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from shlex import quote
from typing import Any

import requests

from biobot import redact, storage
from biobot.errors import NetworkError, SecretsError
from biobot.networks import secrets as needed
from biobot.networks import session
from biobot.networks.bluesky.errors import EXPIRED, NAMES, TITLE, classify
from biobot.networks.bluesky.record import POST, key, record
from biobot.networks.errors import Kind, Refused, Unknown, Unsent, moment, parse
from biobot.networks.network import FOR_EVER, Account, Engagement, Network, Opening, Timeline, Tweet
from biobot.settings import BlueskySettings

MAX_BYTES = 3000
PAGE = 100
MAX_LOOKED_UP = 25
PROFILE = "app.bsky.actor.profile"
_LABELS = "com.atproto.label.defs#selfLabels"


class Session(session.Session):
    """The shared session, for a server of the AT protocol."""

    title = TITLE
    key = "bluesky.service"

    def refusal(self, response: requests.Response) -> NetworkError:
        """Sort an answer that is not 2xx."""
        return classify(response.status_code, self.answered, response.content)


class Bluesky(Network):
    """One account; its session is kept in the home, since a server lets an account log in only so often."""

    name = "bluesky"
    title = TITLE
    settings = BlueskySettings
    secrets = ("BIOBOT_BLUESKY_HANDLE", "BIOBOT_BLUESKY_APP_PASSWORD")
    max_length = 300
    key_lasts = FOR_EVER

    def __init__(self, opening: Opening) -> None:
        self.session = Session(opening.settings.service, opening.settings.timeout, opening.clock, opening.stop)
        self._secrets = opening.secrets
        self._handle = opening.secrets["BIOBOT_BLUESKY_HANDLE"].removeprefix("@")
        self._file = opening.home / "bluesky.json"
        self._tokens = _kept(self._file, self._origin)
        self._me: Account | None = None

    @property
    def clock_offset(self) -> timedelta | None:
        """How far the server's clock is ahead of this machine's, by the Date of its last answer."""
        return self.session.clock_offset

    def close(self) -> None:
        """Close the connections that are kept."""
        self.session.close()

    # -- before a post -------------------------------------------------------------------------------

    def objection(self, text: str) -> str | None:
        """Return why the server would not take `text`: more than 300 graphemes, or than 3,000 bytes."""
        size = len(text.encode("utf-8", "surrogatepass"))
        return f"too long for {TITLE}: {size} of {MAX_BYTES} bytes" if size > MAX_BYTES else super().objection(text)

    def make_key(self, text: str, row: int, slot: datetime, now: datetime) -> str:  # noqa: ARG002
        """Return the record key."""
        return key(text, row, slot)

    def compose(self, text: str, now: datetime) -> str:
        """Return the record as JSON."""
        return json.dumps(record(text, now))

    # -- calls ---------------------------------------------------------------------------------------

    def me(self) -> Account:
        """Return whose session this is: asked once, then remembered."""
        if self._me is None:
            found = self._call("GET", "com.atproto.server.getSession")
            if found.get("active") is False:
                raise _inactive(str(found.get("status")))
            if not isinstance(found.get("did"), str):
                raise Unknown(f"{TITLE} answered without the account's DID; check `bluesky.service`")
            self._me = Account(found["did"], str(found.get("handle") or self._handle))
        return self._me

    def post(self, request: str, key: str = "") -> str:
        """Put a record under its key, where there is none; return its address.

        Under a key that is taken only a record with the same text counts as the post: it was made from a copy of the
        outbox.
        """
        try:
            found = self._put(POST, key, json.loads(request), None)
        except Refused as error:
            if error.kind is not Kind.TAKEN:
                raise
            there = self._get(POST, key)
            if there is None or there.get("value", {}).get("text") != json.loads(request)["text"]:
                raise
            found = there
        if found.get("uri") != (uri := self._uri(POST, key)):
            raise Unknown(f"{TITLE} answered without the address of the post; it may have been done")
        return uri

    def timeline(self, since: datetime, limit: int = 20) -> list[Tweet]:
        """Read the own posts dated since then, newest first, at most `limit`."""
        since -= timedelta(milliseconds=1)  # records are dated to the millisecond
        tweets: list[Tweet] = []
        params: dict[str, Any] = {"repo": self._did, "collection": POST, "limit": PAGE}
        while True:
            page = self._read("com.atproto.repo.listRecords", params)
            found = [_tweet(each) for each in page.get("records") or () if isinstance(each, dict)]
            tweets += (recent := [each for each in found if each.created is None or each.created >= since])
            params["cursor"] = page.get("cursor")
            if not recent or len(found) < PAGE or not params["cursor"]:
                newest = sorted(tweets, key=lambda each: each.created or since, reverse=True)
                return Timeline(newest[:limit], since)

    def engagement(self, ids: Sequence[str]) -> Mapping[str, Engagement]:
        """Return what people did with own posts, by their addresses; the server asks its AppView."""
        found = {}
        for start in range(0, len(ids), MAX_LOOKED_UP):
            params = {"uris": list(ids[start : start + MAX_LOOKED_UP])}
            for each in self._call("GET", "app.bsky.feed.getPosts", params=params).get("posts") or ():
                if isinstance(each, dict) and each.get("uri") in params["uris"]:
                    found[str(each["uri"])] = _engagement(each)
        return found

    def delete(self, id: str) -> None:  # noqa: A002
        """Delete a post by its address; one that is gone already is not an error."""
        place = {"repo": self._did, "collection": POST, "rkey": id.rpartition("/")[2]}
        self._call("POST", "com.atproto.repo.deleteRecord", place)

    def label(self) -> str:
        """Put the label "bot" on the account's profile, and leave the rest of it as it is."""
        there = self._get(PROFILE, "self") or {}
        profile = dict(there.get("value") or {"$type": PROFILE})
        labels = (profile.get("labels") or {}).get("values") or []
        if any(each.get("val") == "bot" for each in labels if isinstance(each, dict)):
            return f"@{self.me().handle} is labelled as a bot already"
        profile["labels"] = {"$type": _LABELS, "values": [*labels, {"val": "bot"}]}
        self._put(PROFILE, "self", profile, there.get("cid"))
        return f"@{self.me().handle} is labelled as a bot now"

    # -- records -------------------------------------------------------------------------------------

    @property
    def _did(self) -> str:
        return self._tokens["did"] if self._tokens else self.me().id

    def _uri(self, collection: str, key: str) -> str:
        return f"at://{self._did}/{collection}/{key}"

    def _put(self, collection: str, key: str, value: Any, swap: str | None) -> dict[str, Any]:
        body = {"repo": self._did, "collection": collection, "rkey": key, "record": value, "swapRecord": swap}
        return self._call("POST", "com.atproto.repo.putRecord", body)

    def _get(self, collection: str, key: str) -> dict[str, Any] | None:
        """Return a record, or None if there is none."""
        try:
            return self._read("com.atproto.repo.getRecord", {"repo": self._did, "collection": collection, "rkey": key})
        except Refused as error:
            if error.code == "RecordNotFound":
                return None
            raise

    def _read(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Make a public call; where the server hides the whole account, say why."""
        try:
            return self.session.ask("GET", f"/xrpc/{method}", params=params)
        except Refused as error:
            if error.kind is Kind.INVALID:
                self._check_active(self._did)
            raise

    # -- sessions ------------------------------------------------------------------------------------

    @property
    def _origin(self) -> dict[str, str]:
        return {"service": self.session.base, "identifier": self._handle}

    def _call(self, verb: str, method: str, body: Mapping[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        """Make a call as the account, with a fresh session if the one at hand has expired."""
        tokens = self._tokens or self._log_in()
        try:
            return self._authorized(verb, method, tokens["accessJwt"], body, **options)
        except Refused as error:
            if error.code not in EXPIRED:
                raise
        return self._authorized(verb, method, self._renew(tokens)["accessJwt"], body, **options)

    def _authorized(
        self, verb: str, method: str, token: str, body: Mapping[str, Any] | None = None, **options: Any
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token}"}
        return self.session.ask(verb, f"/xrpc/{method}", headers=headers, json=body, **options)

    def _renew(self, tokens: Mapping[str, str]) -> dict[str, str]:
        """Refresh a session; log in again when it is too old for that."""
        try:
            return self._keep(self._authorized("POST", "com.atproto.server.refreshSession", tokens["refreshJwt"]))
        except Unknown as error:
            raise Unsent(str(error)) from error  # of what was to be done in this session, nothing was
        except Refused as error:
            if error.kind is not Kind.REVOKED:
                raise
            return self._log_in()

    def _log_in(self) -> dict[str, str]:
        needed.require(self._secrets)
        body = {"identifier": self._handle, "password": self._secrets["BIOBOT_BLUESKY_APP_PASSWORD"]}
        try:
            return self._keep(self.session.ask("POST", "/xrpc/com.atproto.server.createSession", json=body))
        except Unknown as error:
            raise Unsent(str(error)) from error
        except Refused as error:
            if error.code == "AuthenticationRequired":  # an account that was taken down is told the same
                self._check_active(self._known_did())
            raise

    def _known_did(self) -> str | None:
        try:
            asked = {"handle": self._handle}
            found = self.session.ask("GET", "/xrpc/com.atproto.identity.resolveHandle", params=asked)
        except NetworkError:
            return None
        return found["did"] if isinstance(found.get("did"), str) else None

    def _check_active(self, did: str | None) -> None:
        """Raise Refused if the server says that the account is not active; it may also say nothing."""
        try:
            found = self.session.ask("GET", "/xrpc/com.atproto.sync.getRepoStatus", params={"did": did})
        except Refused as error:
            if error.kind is Kind.GONE and did:
                raise
        except NetworkError:
            return
        else:
            if found.get("active") is False:
                raise _inactive(str(found.get("status")))

    def _keep(self, found: Mapping[str, Any]) -> dict[str, str]:
        """Write a session down before it is used: its tokens replace those that came before."""
        names = ("did", "accessJwt", "refreshJwt")
        if not all(isinstance(found.get(name), str) and found[name] for name in names):
            raise Unsent(f"{TITLE} answered without a session; check `bluesky.service`")
        self._tokens = {**self._origin, **{name: found[name] for name in names}}
        redact.guard(self._tokens[name] for name in names[1:])
        try:
            with storage.atomic_write(self._file) as file:
                file.write(json.dumps(self._tokens).encode())
        except OSError as error:
            raise Unsent(f"cannot write {self._file}: {error}") from error
        return self._tokens


def _kept(file: Path, origin: Mapping[str, str]) -> dict[str, str] | None:
    """Read the session that was kept for this account on this server; None if there is none, or it cannot be used."""
    try:
        if storage.is_exposed(file, 0o600):
            raise SecretsError(f"{file} can be read by others; keep it to yourself: chmod 600 {quote(str(file))}")
        tokens = parse(file.read_bytes())
    except OSError:
        return None
    names = {*origin, "did", "accessJwt", "refreshJwt"}
    if not isinstance(tokens, dict) or not all(isinstance(tokens.get(name), str) for name in names):
        return None
    redact.guard((tokens["accessJwt"], tokens["refreshJwt"]))
    return tokens if origin.items() <= tokens.items() else None


def _inactive(status: str) -> Refused:
    """Return the refusal that an account of this status meets."""
    name = "AccountTakedown" if status in ("takendown", "suspended") else "AccountDeactivated"
    kind, remedy = NAMES[name]
    return Refused(kind, 401, f"the account is {status}", title=TITLE, remedy=remedy, code=name)


def _engagement(post: Mapping[str, Any]) -> Engagement:
    likes, reposts, quotes, replies = (
        count if isinstance(count := post.get(f"{name}Count"), int) else 0
        for name in ("like", "repost", "quote", "reply")
    )
    return Engagement(likes, reposts + quotes, replies)


def _tweet(data: Mapping[str, Any]) -> Tweet:
    value = data.get("value")
    value = value if isinstance(value, dict) else {}
    return Tweet(str(data.get("uri") or ""), str(value.get("text") or ""), moment(value.get("createdAt")))
