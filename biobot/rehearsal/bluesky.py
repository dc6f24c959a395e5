"""The built-in fake Bluesky: the calls of one account, as strict as the reference server (PDS 0.4.217).

Records lie under their keys, `putRecord` compares before it swaps, the lexicon of a post is checked, sessions expire,
points are counted by the hour, and the clock is the one it is given. Its tests run against a real PDS, too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal
from urllib.parse import SplitResult, parse_qs, parse_qsl

from biobot.rehearsal.fake import FakeServer, parsed
from biobot.rehearsal.faults import UNTRUSTED, WIRE, Answer, Fault, says
from biobot.rehearsal.faults import html as page
from biobot.rehearsal.state import Post
from biobot.text import graphemes

HANDLE, PASSWORD, DID = "rehearsal.test", "rehearsal-app-password", "did:plc:rehearsalrehearsalrehear"
POST = "app.bsky.feed.post"
ACCESS, GRACE, REFRESH = timedelta(hours=2), timedelta(hours=2), timedelta(days=90)
POINTS = {"com.atproto.repo.putRecord": 2, "com.atproto.repo.deleteRecord": 1}
MAX_BODY = 150_000

Status = Literal["active", "takendown", "deactivated", "deleted"]

_TID = re.compile("[234567a-j][2-7a-z]{12}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+\d\d:\d\d|-(?!00:00)\d\d:\d\d)")


def error(status: int, name: str, words: str = "", **headers: str) -> Answer:
    """Return a refusal as a PDS words it."""
    return Answer(status, {"error": name, "message": words}, headers)


def _limited(reset: Callable[[datetime], str]) -> Fault:
    def answer(now: datetime) -> Answer:
        headers = {"ratelimit-limit": "5000", "ratelimit-remaining": "0", "ratelimit-reset": reset(now)}
        return Answer(429, TOO_MANY, headers | {"ratelimit-policy": "5000;w=3600"})

    return Fault(answer=answer)


TOO_MANY = {"error": "RateLimitExceeded", "message": "Rate Limit Exceeded"}
WRONG = error(401, "AuthenticationRequired", "Invalid identifier or password")
EXPIRED = error(400, "ExpiredToken", "Token has expired")
TAKEN_DOWN = error(401, "AccountTakedown", "Account has been taken down")
_MOVED = {"location": "https://elsewhere.invalid/xrpc/com.atproto.repo.putRecord"}

FAULTS: Mapping[str, Fault] = {
    # waits
    "429": _limited(lambda now: str(int(now.timestamp()) + 600)),
    "429-past": _limited(lambda now: str(int(now.timestamp()) - 5)),
    "429-missing": _limited(lambda _: ""),
    "429-nonsense": _limited(lambda _: "soon"),
    # refusals
    "expired": says(EXPIRED),
    "wrong-token": says(error(400, "InvalidToken", "Token could not be verified")),
    "no-token": says(error(401, "AuthMissing", "Authentication Required")),
    "taken-down": says(TAKEN_DOWN),
    "deactivated": says(error(401, "AccountDeactivated", "Account is deactivated")),
    "deleted": says(error(403, "AccountNotFound", "Could not find account")),
    "invalid": says(error(400, "InvalidRequest", "Invalid app.bsky.feed.post record: grapheme too big")),
    "slur": says(error(400, "InvalidRequest", "Unacceptable slur in record key")),
    "too-large": says(error(413, "PayloadTooLargeError", "request entity too large")),
    "html-403": says(page(403)),
    "html-404": says(page(404)),
    "teapot": says(Answer(418, b"short and stout")),
    "moved": says(Answer(307, b"", _MOVED)),
    "moved-301": says(Answer(301, b"", _MOVED)),
    # no word that can be trusted
    **UNTRUSTED,
    "json-500": says(error(500, "InternalServerError", "Internal Server Error")),
    "no-uri": says(Answer(200, {"cid": "bafy"}), done=True),
    # the wire
    **WIRE,
}
"""Every fault by name; docs/errors.md lists them."""


@dataclass
class FakeBluesky(FakeServer):
    """A fake PDS with one account, whose `status` is what its administrator set; `limits` counts its points."""

    status: Status = "active"
    password: str = PASSWORD
    limits: bool = True

    FAULTS: ClassVar[Mapping[str, Fault]] = FAULTS

    def serve(self, method: str, url: SplitResult, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer one request: session and rate limit first, then a scripted fault, then the method itself."""
        name = url.path.removeprefix("/xrpc/")
        if (verb := _METHODS.get(name)) is None:
            return error(400, "InvalidRequest", f"No service configured for {name}")
        if verb != method:
            return error(405, "MethodNotAllowed", f"Incorrect HTTP method ({method}) expected {verb}")
        if len(body) > MAX_BODY:
            return FAULTS["too-large"].answer(self.now)  # type: ignore[misc]
        params = parsed(body) if body else dict(parse_qsl(url.query)) | {"uris": parse_qs(url.query).get("uris", [])}
        if body and not isinstance(params, dict):
            return error(400, "SyntaxError", "Unexpected token in JSON")
        if body and name.endswith("refreshSession"):
            return error(400, "InvalidRequest", "A request body was provided when none was expected")
        limits, over = self._count(name)
        if over:
            self.state.count("rate-limited")
            return Answer(429, TOO_MANY, limits)
        token = headers.get("authorization", "").removeprefix("Bearer ")
        refused = self._admit(token) if name in _OWN else None
        if refused is None:
            route = _ROUTES.get(name, name) if params.get("collection", POST) == POST else name
            refused = self.meet(route, lambda _, __: getattr(self, f"_{name.rpartition('.')[2]}")(params, token))
        return Answer(refused.status, refused.document, {**limits, **refused.headers}, refused.delivery)

    def posts(self) -> list[Post]:
        """Return every post ever accepted, newest first, deleted ones included; each `id` is an address."""
        return self.state.posts()

    def _count(self, name: str) -> tuple[dict[str, str], bool]:
        windows = [("ip", 3000, 300, 1)]
        if name in POINTS:
            windows.append(("points", 5000, 3600, POINTS[name]))
        if name.endswith("createSession"):
            windows += [("log-in", 30, 300, 1), ("log-in-day", 300, 86400, 1)]
        remaining, limit, reset, seconds = self.fullest(windows)
        headers = {"limit": str(limit), "remaining": str(max(remaining, 0)), "reset": str(reset)}
        found = {f"ratelimit-{key}": value for key, value in headers.items()}
        return found | {"ratelimit-policy": f"{limit};w={seconds}"}, self.limits and remaining < 0

    # -- sessions ------------------------------------------------------------------------------------

    def _admit(self, token: str) -> Answer | None:
        """Return why a session may not do what only the account may; None if it may."""
        if not token:
            return error(401, "AuthMissing", "Authentication Required")
        kind, _, began = token.partition(".")
        if kind != "access" or not began.isdigit():
            self.state.count("unauthorized")
            return error(400, "InvalidToken", "Token could not be verified")
        if self.now.timestamp() >= int(began) + ACCESS.total_seconds():
            return EXPIRED
        return self._inactive()

    def _inactive(self) -> Answer | None:
        match self.status:
            case "takendown":
                return TAKEN_DOWN
            case "deleted":
                return error(403, "AccountNotFound", "Could not find account")
        return None

    def _session(self, number: int) -> Answer:
        began = int(self.now.timestamp())
        tokens = {"accessJwt": f"access.{began}", "refreshJwt": f"refresh.{number}.{began}"}
        return Answer(200, {**tokens, "handle": HANDLE, "did": DID, "active": self.status == "active"})

    def _createSession(self, params: Mapping[str, Any], _: str) -> Answer:
        self.state.count("log-ins")
        known = params.get("identifier") in (HANDLE, DID) and params.get("password") == self.password
        if not known or self.status in ("takendown", "deleted"):
            return WRONG
        return self._session(0)

    def _refreshSession(self, _: Mapping[str, Any], token: str) -> Answer:
        kind, _dot, rest = token.partition(".")
        number, _dot, began = rest.partition(".")
        if kind != "refresh" or not (number.isdigit() and began.isdigit()):
            return error(400, "InvalidToken", "Token could not be verified")
        if self.status == "takendown":
            return TAKEN_DOWN
        successor = self.state.recall("successor", token)
        revoked = self.state.recall("revoked", "") or 0
        late = successor is not None and self.now.timestamp() > successor + GRACE.total_seconds()
        if late or self.now.timestamp() > int(began) + REFRESH.total_seconds() or int(began) < revoked:
            return error(400, "ExpiredToken", "Token has been revoked")
        if successor is None:
            self.state.remember("successor", token, self.now.timestamp())
        return self._session(int(number) + 1)

    def revoke(self) -> None:
        """Revoke every refresh token there is."""
        self.state.remember("revoked", "", int(self.now.timestamp()) + 1)

    def _getSession(self, _: Mapping[str, Any], __: str) -> Answer:
        told = {} if self.status == "active" else {"status": self.status}
        return Answer(200, {"did": DID, "handle": HANDLE, "active": self.status == "active", **told})

    def _resolveHandle(self, params: Mapping[str, Any], _: str) -> Answer:
        if params.get("handle") != HANDLE:
            return error(400, "InvalidRequest", "Unable to resolve handle")
        return Answer(200, {"did": DID})

    def _getRepoStatus(self, params: Mapping[str, Any], _: str) -> Answer:
        if params.get("did") != DID or self.status == "deleted":
            return error(400, "RepoNotFound", f"Could not find repo for DID: {params.get('did')}")
        told = {"rev": "1"} if self.status == "active" else {"status": self.status}
        return Answer(200, {"did": DID, "active": self.status == "active", **told})

    # -- records -------------------------------------------------------------------------------------

    def _putRecord(self, params: Mapping[str, Any], _: str) -> Answer:
        if params.get("repo") not in (DID, HANDLE):
            return error(403, "AccountNotFound", "Could not find account")
        if self.status == "deactivated":
            return error(401, "AccountDeactivated", "Account is deactivated")
        collection, key, value = params.get("collection"), str(params.get("rkey")), params.get("record")
        wrong = _wrong(value, key) if collection == POST else None
        if wrong:
            return error(400, "InvalidRequest", wrong)
        uri, cid = f"at://{DID}/{collection}/{key}", _cid(value)
        done = {"uri": uri, "cid": cid, "validationStatus": "valid"}
        with self.state.transaction():
            there = self.state.recall("record", f"{collection}/{key}")
            if there is not None and there["cid"] == cid:
                self.state.count("repeated-puts")
                return Answer(200, done)
            if "swapRecord" in params and params["swapRecord"] != (there and there["cid"]):
                return error(400, "InvalidSwap", f"Record was at {there and there['cid']}")
            if there is not None and collection == POST:
                self.state.count("overwritten")
            self.state.remember("record", f"{collection}/{key}", {"cid": cid, "value": value})
            if collection == POST and isinstance(value, dict) and there is None:
                if any(post.id == uri for post in self.state.posts()):
                    self.state.count("comebacks")
                    self.state.bring_back(uri)
                else:
                    self.state.add(value["text"], self.now, id=uri)
                    self.state.count("posts")
        return Answer(200, {**done, "commit": {"cid": cid, "rev": key}})

    def _deleteRecord(self, params: Mapping[str, Any], _: str) -> Answer:
        place = f"{params.get('collection')}/{params.get('rkey')}"
        if self.state.recall("record", place) is None:
            return Answer(200, {})
        self.state.remember("record", place, None)
        self.state.delete(f"at://{DID}/{place}")
        self.state.count("deleted")
        return Answer(200, {"commit": {"cid": "bafyreideleted", "rev": "1"}})

    def _getRecord(self, params: Mapping[str, Any], _: str) -> Answer:
        place = f"{params.get('collection')}/{params.get('rkey')}"
        there = self.state.recall("record", place)
        uri = f"at://{DID}/{place}"
        if self.status != "active" or there is None:
            name = "RecordNotFound" if self.status == "active" else "InvalidRequest"
            return error(400, name, f"Could not locate record: {uri}")
        return Answer(200, {"uri": uri, **there})

    def _listRecords(self, params: Mapping[str, Any], _: str) -> Answer:
        if self.status != "active" or params.get("repo") not in (DID, HANDLE):
            return error(400, "InvalidRequest", f"Could not find repo: {params.get('repo')}")
        size, cursor = int(params.get("limit", "50")), params.get("cursor") or "~"
        if not 1 <= size <= 100:
            return error(400, "InvalidRequest", "Error: limit can not be greater than 100")
        keys = sorted((post.id.rpartition("/")[2] for post in self.state.posts() if not post.deleted), reverse=True)
        shown = [key for key in keys if key < cursor][:size]
        found = [{"uri": f"at://{DID}/{POST}/{key}", **self.state.recall("record", f"{POST}/{key}")} for key in shown]
        return Answer(200, {"records": found, **({"cursor": shown[-1]} if shown else {})})

    def _getPosts(self, params: Mapping[str, Any], _: str) -> Answer:
        """Answer as the AppView does, which a PDS asks for its accounts."""
        shown = [
            {"uri": post.id, **(self.state.recall("counts", post.id) or {})}
            for post in self.state.posts()
            if post.id in params["uris"] and not post.deleted
        ]
        return Answer(200, {"posts": shown})


_METHODS = {
    "app.bsky.feed.getPosts": "GET",
    "com.atproto.server.createSession": "POST",
    "com.atproto.server.refreshSession": "POST",
    "com.atproto.server.getSession": "GET",
    "com.atproto.identity.resolveHandle": "GET",
    "com.atproto.sync.getRepoStatus": "GET",
    "com.atproto.repo.putRecord": "POST",
    "com.atproto.repo.deleteRecord": "POST",
    "com.atproto.repo.getRecord": "GET",
    "com.atproto.repo.listRecords": "GET",
}
_OWN = ("com.atproto.server.getSession", "app.bsky.feed.getPosts", *POINTS)
_ROUTES = {
    "com.atproto.repo.putRecord": "post",
    "com.atproto.repo.deleteRecord": "delete",
    "com.atproto.repo.listRecords": "timeline",
    "com.atproto.server.getSession": "me",
    "com.atproto.server.createSession": "log-in",
    "com.atproto.server.refreshSession": "refresh",
}
"""What scripted faults call the methods."""


def _cid(value: Any) -> str:
    return f"bafyrei{hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:52]}"


def _wrong(value: Any, key: str) -> str | None:
    """Return why a record violates the lexicon of a post, or None."""
    if not _TID.fullmatch(key):
        return f"Invalid record key for {POST}: Invalid TID string (got {json.dumps(key)})"
    if not isinstance(value, dict) or value.get("$type", POST) != POST or not isinstance(value.get("text"), str):
        return f"Invalid {POST} record"
    invalid, text = f"Invalid {POST} record: ", value["text"]
    langs = value.get("langs", [])
    if (size := len(text.encode("utf-8", "surrogatepass"))) > 3000:
        return f"{invalid}string too big (maximum 3000, got {size}) at $.record.text"
    if len(text) > 300 and (count := sum(1 for _ in graphemes.split(text))) > 300:
        return f"{invalid}grapheme too big (maximum 300, got {count}) at $.record.text"
    if not _MOMENT.fullmatch(str(value.get("createdAt"))):
        return f"{invalid}Invalid datetime at $.record.createdAt"
    if not isinstance(langs, list) or len(langs) > 3:
        return f"{invalid}array too big (maximum 3, got {len(langs)}) at $.record.langs"
    if not all(re.fullmatch("[a-z]{2,3}(-[A-Za-z0-9]+)*", str(each)) for each in langs):
        return f"{invalid}Invalid language at $.record.langs"
    return None
