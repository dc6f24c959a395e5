"""The built-in fake Mastodon: the client API of one account, as strict as the recordings of a real 4.7.3.

It can play what became of a repeated `Idempotency-Key` in each kind of server, checks scopes, length and rate limits
(whose windows are aligned to the epoch), and uses the clock that it is given. Sources: Mastodon's code at v4.5.11,
v4.6.5 and 4.7.0-alpha.2, and the recordings in Mastodon.py's tests, against which its answers are tested.
"""

from __future__ import annotations

import html
import json
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal
from urllib.parse import SplitResult, parse_qs, parse_qsl

from biobot.rehearsal.fake import FakeServer, parsed
from biobot.rehearsal.faults import UNTRUSTED, WIRE, Answer, Fault, says
from biobot.rehearsal.faults import html as page
from biobot.rehearsal.state import Post
from biobot.text import graphemes

TOKEN = "rehearsal-mastodon-token"  # noqa: S105 - the account is nobody's
APPLICATION = "biobot"
ACCOUNT = "109330000000000001"
MENTION = re.compile(r"(?<![\w/])@(\w+)@([\w.-]{1,253})(?![\w.-])")
KEY_TTL = timedelta(hours=1)
LOCK_TTL = timedelta(minutes=15)
MAX_CHARACTERS, URL_LENGTH = 500, 23

Server = Literal["4.5", "4.6", "4.7.2", "none", "pleroma"]
"""What a server does with a repeated key: a second post if the first is not done (4.5), 500 (4.6.0 to 4.7.1), the
first post (4.7.2), always a second post (those that ignore it), or the first answer, whatever it was (Pleroma)."""

VERSIONS: Mapping[Server, str] = {
    "4.5": "4.5.11",
    "4.6": "4.6.5",
    "4.7.2": "4.7.3",
    "none": "4.2.1 (compatible; Takahe 0.11.0)",
    "pleroma": "2.7.2 (compatible; Pleroma 2.7.0)",
}

_TEMPORARY = "There was a temporary problem serving your request, please try again"
_MESSAGES = {
    "en": ("Validation failed: ", "Text can't be blank", "Text character limit of {} exceeded"),
    "ja": ("バリデーションに失敗しました: ", "Textを入力してください", "Text上限は{}文字です"),
}


def error(status: int, words: str, **headers: str) -> Answer:
    """Return a refusal as Mastodon words it."""
    return Answer(status, {"error": words}, headers)


def _limited(reset: Callable[[datetime], str]) -> Fault:
    def answer(now: datetime) -> Answer:
        headers = {"x-ratelimit-limit": "300", "x-ratelimit-remaining": "0", "x-ratelimit-reset": reset(now)}
        return error(429, "Too many requests", **headers)

    return Fault(answer=answer)


NOT_FOUND = error(404, "Record not found")
WRONG_TOKEN = error(401, "The access token is invalid")
NO_SCOPE = error(403, "This action is outside the authorized scopes")
BUSY = error(503, _TEMPORARY)
FAULTS: Mapping[str, Fault] = {
    # waits
    "429": _limited(lambda now: _stamp(now + timedelta(minutes=10))),
    "429-past": _limited(lambda now: _stamp(now - timedelta(seconds=5))),
    "429-missing": _limited(lambda _: ""),
    "429-nonsense": _limited(lambda _: "soon"),
    # refusals
    "wrong-token": says(WRONG_TOKEN),
    "revoked": says(error(401, "The access token was revoked")),
    "expired": says(error(401, "The access token expired")),
    "no-user": says(error(422, "This method requires an authenticated user")),
    "scope": says(NO_SCOPE),
    "suspended": says(error(403, "Your login is currently disabled")),
    "unconfirmed-mail": says(error(403, "Your login is missing a confirmed e-mail address")),
    "pending": says(error(403, "Your login is currently pending approval")),
    "ip-blocked": says(Answer(403, b"Forbidden\n", {"content-type": "text/plain"})),
    "empty-403": says(Answer(403)),
    "hashtag": says(error(422, "Validation failed: Text contained a disallowed hashtag: #spam")),
    "invalid": says(error(422, "バリデーションに失敗しました: Text上限は500文字です")),
    "closed": says(error(410, "Gone")),
    "moved": says(Answer(307, b"", {"location": "https://elsewhere.invalid/api/v1/statuses"})),
    "moved-301": says(Answer(301, b"", {"location": "https://elsewhere.invalid/api/v1/statuses"})),
    "not-found": says(error(404, "Not Found")),
    "teapot": says(Answer(418, b"short and stout")),
    # no word that can be trusted
    **UNTRUSTED,
    "json-503": says(BUSY),
    "no-id": says(Answer(200, {"content": "<p>without its id</p>"}), done=True),
    "see-other": says(Answer(302, b"", {"location": "https://elsewhere.invalid/"}), done=True),
    # what the server does otherwise than it should
    "bad-reset": Fault(done=True, how="bad-reset"),
    "silent-drop": Fault(done=True, how="drop"),
    "crash-unkeyed": Fault(True, lambda _: page(502), how="unkeyed"),
    "lock-left": Fault(True, lambda _: page(502), how="lock"),
    "moderated": Fault(True, lambda _: page(504), how="moderated"),
    "late": Fault(True, lambda _: page(504), lags=True),
    "replica-lag": Fault(True, lambda _: page(504), lags=True, how="replica"),
    # the wire
    **WIRE,
}
"""Every fault by name; docs/errors.md lists them."""


@dataclass(frozen=True, slots=True)
class Call:
    """An admitted call."""

    params: Mapping[str, str]
    parts: Mapping[str, str]
    headers: Mapping[str, str]
    now: datetime
    fault: Fault
    lag: timedelta


@dataclass(frozen=True, slots=True)
class Route:
    """One of Mastodon's routes; `scopes` are those of which the token needs one, `limit` calls in `window` seconds."""

    name: str
    method: str
    path: str
    scopes: tuple[str, ...] = ()
    limit: int = 300
    window: int = 300
    public: bool = False


_ID = r"(?P<id>\d+)"
ROUTES = (
    Route("post", "POST", r"/api/v1/statuses", ("write:statuses",), 300, 3 * 3600),
    Route("delete", "DELETE", rf"/api/v1/statuses/{_ID}", ("write:statuses",), 30, 1800),
    Route("status", "GET", rf"/api/v1/statuses/{_ID}", ("read:statuses",), public=True),
    Route("source", "GET", rf"/api/v1/statuses/{_ID}/source", ("read:statuses",)),
    Route("timeline", "GET", rf"/api/v1/accounts/{_ID}/statuses", ("read:statuses",), public=True),
    Route("me", "GET", r"/api/v1/accounts/verify_credentials", ("read:accounts", "profile")),
    Route("app", "GET", r"/api/v1/apps/verify_credentials"),
    Route("instance", "GET", r"/api/v2/instance/?", public=True),
)


@dataclass
class FakeMastodon(FakeServer):
    """A fake Mastodon: `server` is its kind, `scopes` what the token may, `locale` the language of its errors.

    A post takes `latency` seconds of real time between the look at its key and its end.
    """

    server: Server = "4.7.2"
    scopes: tuple[str, ...] = ("read", "write")
    locale: str = "en"
    default_visibility: str = "public"
    bot: bool = True
    latency: float = 0.0
    limits: bool = True
    max_characters: int = MAX_CHARACTERS
    _locks: dict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))

    FAULTS: ClassVar[Mapping[str, Fault]] = FAULTS

    def serve(self, method: str, url: SplitResult, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer one request: token, scope and rate limit first, then a scripted fault, then the route itself."""
        for route in ROUTES:
            if route.method == method and (match := re.fullmatch(route.path, url.path)):
                break
        else:
            return error(404, "Not Found")
        params = dict(parse_qsl(url.query)) | _form(headers.get("content-type", ""), body)
        limits, over = self._count(route, params)
        if over:
            self.state.count("rate-limited")
            return Answer(429, {"error": "Too many requests"}, limits)
        refused = self._admit(route, headers.get("authorization"))
        if refused is not None:
            return Answer(refused.status, refused.document, limits)

        def do(fault: Fault, seconds: float) -> Answer:
            lag = timedelta(seconds=seconds) if fault.lags else timedelta(0)
            call = Call(params, match.groupdict(), headers, self.now, fault, lag)
            answer: Answer = getattr(self, f"_{route.name}")(call)
            return answer

        given = self.meet(route.name, do)
        return Answer(given.status, given.document, {**limits, **given.headers}, given.delivery)

    def _admit(self, route: Route, authorization: str | None) -> Answer | None:
        if authorization is None and route.public:
            return None
        if authorization != f"Bearer {TOKEN}":
            self.state.count("unauthorized")
            return WRONG_TOKEN
        if route.scopes and not any(
            scope in self.scopes or scope.partition(":")[0] in self.scopes for scope in route.scopes
        ):
            return NO_SCOPE
        return None

    def _count(self, route: Route, params: Mapping[str, str]) -> tuple[dict[str, str], bool]:
        windows = [("token", 300, 300), (route.name, route.limit, route.window)]
        if {"since_id", "min_id", "max_id"} & params.keys():
            windows.append(("paging", 300, 900))
        remaining, limit, reset, _ = self.fullest((*window, 1) for window in windows)
        at = datetime.fromtimestamp(reset, UTC) + timedelta(microseconds=self.now.microsecond)
        headers = {"limit": str(limit), "remaining": str(max(remaining, 0)), "reset": _stamp(at)}
        return {f"x-ratelimit-{name}": value for name, value in headers.items()}, self.limits and remaining < 0

    # -- routes --------------------------------------------------------------------------------------

    def _post(self, call: Call) -> Answer:
        key = call.headers.get("idempotency-key", "")
        if not key or self.server == "none":
            return self._create(call, "")
        if self.server == "pleroma":
            known = self.state.recall("answer", key)
            if known is not None and call.now.timestamp() < known["until"]:
                return Answer(known["status"], known["document"], {"idempotent-replayed": "true"})
            answer = self._create(call, "")
            until = (call.now + KEY_TTL).timestamp()
            self.state.remember("answer", key, {"status": answer.status, "document": answer.document, "until": until})
            return answer
        if self.server == "4.5":
            return self._repeated(call, key) or self._create(call, key)
        with self._locks[key]:
            if call.now.timestamp() < (self.state.recall("lock", key) or 0):
                return BUSY
            repeated = self._repeated(call, key)
            if repeated is None:
                return self._create(call, key)
            return page(500) if self.server == "4.6" and repeated.status == 200 else repeated

    def _repeated(self, call: Call, key: str) -> Answer | None:
        known = self.state.recall("key", key)
        if known is None or not known["from"] <= call.now.timestamp() < known["from"] + KEY_TTL.total_seconds():
            return None
        self.state.count("repeated-keys")
        post = next((post for post in self.state.posts() if post.id == known["id"] and not post.deleted), None)
        return Answer(200, self._shown(post)) if post else NOT_FOUND

    def _create(self, call: Call, key: str) -> Answer:
        given = call.params
        text, warning = given.get("status", "").strip(), given.get("spoiler_text", "").strip()
        text = text or ("." if warning else "")
        failed, blank, too_long = _MESSAGES[self.locale]
        visibility = given.get("visibility") or self.default_visibility
        if visibility not in ("public", "unlisted", "private", "direct"):
            return error(422, f"{failed}Visibility is not included in the list")
        if not text:
            return error(422, failed + blank)
        if length(text, warning) > self.max_characters:
            self.state.count("too-long")
            return error(422, failed + too_long.format(self.max_characters))
        if call.fault.how == "drop":
            self.state.count("dropped")
            return Answer(200, self._shown(Post("999999999999999999", text, call.now, call.now, False)))
        time.sleep(self.latency)
        if key and self.state.recall("made", key):
            self.state.count("own-doubles")  # the server's fault, not the caller's
        self.state.remember("made", key, 1)
        post = self.state.add(text, call.now, call.lag.total_seconds())
        self.state.count("posts")
        language = given.get("language", "")
        document = {
            "spoiler_text": warning,
            "sensitive": bool(warning) or given.get("sensitive") in ("1", "true", "True"),
            "visibility": visibility,
            "language": language if re.fullmatch("[a-z]{2,3}(-[A-Za-z]+)?", language) else "en",
            "in_reply_to_id": given.get("in_reply_to_id"),
        }
        self.state.remember("status", post.id, document)
        began = (call.now + call.lag * (call.fault.how != "replica")).timestamp()
        if key and call.fault.how != "unkeyed":
            self.state.remember("key", key, {"id": post.id, "from": began})
        if key and call.fault.how == "lock":
            self.state.remember("lock", key, (call.now + LOCK_TTL).timestamp())
        if key and call.lag and call.fault.how != "replica":
            self.state.remember("lock", key, began)
        if call.fault.how == "moderated":
            self.state.delete(post.id)
            self.state.count("moderated")
        headers = {"x-ratelimit-reset": "in a while"} if call.fault.how == "bad-reset" else {}
        return Answer(200, self._shown(post), headers)

    def _delete(self, call: Call) -> Answer:
        post = self._find(call.parts["id"], call.now)
        if post is None or not self.state.delete(post.id):
            return NOT_FOUND
        self.state.count("deleted")
        shown = self._shown(post)
        del shown["content"]
        return Answer(200, {**shown, "text": post.text})

    def _status(self, call: Call) -> Answer:
        post = self._find(call.parts["id"], call.now)
        return Answer(200, self._shown(post)) if post else NOT_FOUND

    def _source(self, call: Call) -> Answer:
        post = self._find(call.parts["id"], call.now)
        if post is None:
            return NOT_FOUND
        warning = self._kept(post)["spoiler_text"]
        return Answer(200, {"id": post.id, "text": post.text, "spoiler_text": warning})

    def _timeline(self, call: Call) -> Answer:
        size = min(int(call.params.get("limit", "20")), 40)
        if call.parts["id"] != ACCOUNT:
            return NOT_FOUND
        posts = [post for post in self.state.posts() if not post.deleted and post.visible <= call.now]
        if "authorization" not in call.headers:
            posts = [post for post in posts if self._kept(post)["visibility"] in ("public", "unlisted")]
        bounds = {name: int(call.params[name]) for name in ("since_id", "min_id", "max_id") if name in call.params}
        above = max(bounds.get("since_id", 0), bounds.get("min_id", 0))
        posts = [post for post in posts if above < int(post.id) < bounds.get("max_id", 1 << 80)]
        shown = posts[-size:] if "min_id" in bounds else posts[:size]
        self.state.count("reads", len(shown))
        headers = {}
        if shown:
            own = f"{self.address}/api/v1/accounts/{ACCOUNT}/statuses"
            links = [f'<{own}?max_id={shown[-1].id}>; rel="next"'] if len(shown) == size else []
            headers["link"] = ", ".join([*links, f'<{own}?min_id={shown[0].id}>; rel="prev"'])
        return Answer(200, [self._shown(post) for post in shown], headers)

    def _me(self, _: Call) -> Answer:
        source = {"privacy": self.default_visibility, "sensitive": False, "language": None, "note": "", "fields": []}
        more = {"follow_requests_count": 0, "hide_collections": None, "discoverable": None, "indexable": False}
        role = {
            "id": "-99",
            "name": "",
            "permissions": "65536",
            "color": "",
            "highlighted": False,
            "collection_limit": 10,
        }
        source |= {**more, "attribution_domains": [], "quote_policy": "public"}
        return Answer(200, {**self._account(), "source": source, "role": role})

    def _app(self, _: Call) -> Answer:
        document = {"id": "1", "name": APPLICATION, "website": None, "scopes": list(self.scopes), "vapid_key": ""}
        redirect = "urn:ietf:wg:oauth:2.0:oob"
        return Answer(200, {**document, "redirect_uris": [redirect], "redirect_uri": redirect})

    def _instance(self, _: Call) -> Answer:
        statuses = {"max_media_attachments": 4, "characters_reserved_per_url": URL_LENGTH}
        document: dict[str, Any] = {
            "domain": "rehearsal.invalid",
            "title": "A rehearsal",
            "version": VERSIONS[self.server],
            "configuration": {"statuses": {"max_characters": self.max_characters, **statuses}},
            "registrations": {"enabled": False, "approval_required": False},
            **dict.fromkeys(("source_url", "description"), ""),
            **dict.fromkeys(("usage", "thumbnail", "contact")),
            **{name: [] for name in ("icon", "languages", "rules")},
            "wrapstodon": None,
        }
        if self.server not in ("none", "pleroma"):
            document["api_versions"] = {"mastodon": 11}
        return Answer(200, document)

    # -- what is shown -------------------------------------------------------------------------------

    def _find(self, id: str, now: datetime) -> Post | None:  # noqa: A002
        return next(
            (post for post in self.state.posts() if post.id == id and not post.deleted and post.visible <= now), None
        )

    def _kept(self, post: Post) -> dict[str, Any]:
        kept: dict[str, Any] = self.state.recall("status", post.id) or {
            "spoiler_text": "",
            "sensitive": False,
            "visibility": self.default_visibility,
            "language": "en",
            "in_reply_to_id": None,
        }
        return kept

    def _shown(self, post: Post) -> dict[str, Any]:
        where = f"{self.address}/@rehearsal/{post.id}"
        counts = {"replies_count": 0, "reblogs_count": 0, "favourites_count": 0, "quotes_count": 0}
        counts |= self.state.recall("counts", post.id) or {}
        kept = self._kept(post)
        flags = dict.fromkeys(("favourited", "reblogged", "muted", "bookmarked"), False)
        if kept["visibility"] != "direct":
            flags["pinned"] = False
        lists: dict[str, list[Any]] = {
            name: [] for name in ("filtered", "media_attachments", "mentions", "tags", "emojis", "tagged_collections")
        }
        nothing = dict.fromkeys(("in_reply_to_account_id", "edited_at", "reblog", "quote", "card", "poll"))
        return {
            "id": post.id,
            "created_at": post.created.strftime("%Y-%m-%dT%H:%M:%S.") + f"{post.created.microsecond // 1000:03}Z",
            **kept,
            "uri": where,
            "url": where,
            **counts,
            **flags,
            **lists,
            **nothing,
            "mentions": [{"username": name, "acct": f"{name}@{domain}"} for name, domain in MENTION.findall(post.text)],
            "content": content(post.text),
            "application": {"name": APPLICATION, "website": None},
            "account": self._account(),
            "quote_approval": {"automatic": ["public"], "manual": [], "current_user": "automatic"},
        }

    def _account(self) -> dict[str, Any]:
        where = f"{self.address}/@rehearsal"
        texts = dict.fromkeys(("display_name", "note", "avatar_description", "header_description"), "")
        pictures = dict.fromkeys(("avatar", "avatar_static", "header", "header_static"), f"{self.address}/missing.png")
        flags = dict.fromkeys(("locked", "discoverable", "indexable", "group", "noindex", "hide_collections"), False)
        shows = dict.fromkeys(("show_media", "show_media_replies", "show_featured"), True)
        lists: dict[str, list[Any]] = {"emojis": [], "roles": [], "fields": []}
        counts = {"followers_count": 0, "following_count": 0, "statuses_count": len(self.state.posts())}
        names = {
            "id": ACCOUNT,
            "username": "rehearsal",
            "acct": "rehearsal",
            "url": where,
            "uri": where,
            "bot": self.bot,
        }
        approval = {"automatic": [], "manual": [], "current_user": "denied"}
        dates = {"created_at": "2022-11-12T00:00:00.000Z", "last_status_at": None}
        return {
            **names,
            **texts,
            **pictures,
            **flags,
            **shows,
            **lists,
            **counts,
            **dates,
            "feature_approval": approval,
        }


def length(text: str, warning: str = "") -> int:
    """Return the length of a text as Mastodon counts it: graphemes, a URL 23, a mention without its domain."""
    text = re.sub(r"https?://[^\s<>\"]+", "x" * URL_LENGTH, text)
    text = warning + MENTION.sub(r"@\1", text)
    return len(text) if text.isascii() and "\r" not in text else sum(1 for _ in graphemes.split(text))


def content(text: str) -> str:
    """Return the HTML of a text."""
    text = html.escape(text).replace("&#x27;", "&#39;")
    mention = '<a href="https://{1}/@{0}" class="u-url mention">@<span>{0}</span></a>'
    mention = f'<span class="h-card" translate="no">{mention}</span>'
    text = MENTION.sub(lambda match: mention.format(match[1], match[2]), text)
    link = '<a href="{0}" target="_blank" rel="nofollow noopener" translate="no">{0}</a>'
    text = re.sub(r"https?://[^\s<>\"]+", lambda match: link.format(match[0]), text)
    return "".join(f"<p>{part.replace(chr(10), '<br />')}</p>" for part in re.split("\n\n+", text))


def _form(kind: str, body: bytes) -> dict[str, str]:
    if "json" in kind:
        document = parsed(body)
        pairs = document.items() if isinstance(document, dict) else ()
        return {
            name: value if isinstance(value, str) else json.dumps(value) for name, value in pairs if value is not None
        }
    return {
        name: values[-1] for name, values in parse_qs(body.decode(errors="replace"), keep_blank_values=True).items()
    }


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
