"""The fake X's routes for an account: post, delete, its own timeline, and whose keys these are."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import Any

from biobot.rehearsal.faults import DUPLICATE, FAULTS, Answer, problem
from biobot.rehearsal.server import ACCOUNT, Request, Route
from biobot.rehearsal.state import Post
from biobot.text.length import weighted_length
from biobot.text.links import links

MAX_LENGTH = 280
PRICES = {"post": 0.015, "post with a URL": 0.200, "delete": 0.010, "read": 0.001}
"""Prices in dollars, as of 2026-08; `read` is for one's own posts and account."""


def create(request: Request) -> Answer:
    """POST /2/tweets: accept a post, or return why not."""
    text = request.document.get("text") if isinstance(request.document, dict) else None
    if not isinstance(text, str) or not text.strip():
        return _invalid("text", "must be a text")
    if weighted_length(text) > MAX_LENGTH:
        request.state.count("too-long")
        return _canned("too-long", request.now)
    if request.state.has(text):
        request.state.count("repeats")  # the one thing that must never happen, whatever is answered
        return DUPLICATE
    post = request.state.add(text, request.now, request.lag)
    request.state.count("posts")
    request.state.count("usd", PRICES["post with a URL" if links(text) else "post"])
    return Answer(201, {"data": {"id": post.id, "text": _escaped(text), "edit_history_tweet_ids": [post.id]}})


def delete(request: Request) -> Answer:
    """DELETE /2/tweets/:id."""
    if not request.state.delete(request.parts["id"]):
        return problem(404, "Not Found Error", "Could not find that post.", "resource-not-found")
    request.state.count("deleted")
    request.state.count("usd", PRICES["delete"])
    return Answer(200, {"data": {"deleted": True}})


def me(request: Request) -> Answer:
    """GET /2/users/me."""
    request.state.count("usd", PRICES["read"])
    return Answer(200, {"data": ACCOUNT})


def timeline(request: Request) -> Answer:
    """GET /2/users/:id/tweets: newest first, without posts that are deleted or not visible yet."""
    size, start = request.params.get("max_results", "10"), request.params.get("start_time")
    if not (size.isdigit() and 5 <= int(size) <= 100):
        return _invalid("max_results", f"{size} is not between 5 and 100")
    if request.parts["id"] != ACCOUNT["id"]:
        return Answer(200, {"meta": {"result_count": 0}})
    since = datetime.fromisoformat(start) if start else None
    if since is not None and since > request.now:
        return _invalid("start_time", "must be in the past")
    seen = [
        post
        for post in request.state.posts()
        if not post.deleted and post.visible <= request.now and (since is None or post.created >= since)
    ]
    token = request.params.get("pagination_token", "")
    if token and not any(post.id == token for post in seen):
        return _invalid("pagination_token", "is not one of ours")
    first = next((index for index, post in enumerate(seen) if post.id == token), 0)
    page, rest = seen[first : first + int(size)], seen[first + int(size) :]
    request.state.count("reads", len(page))
    request.state.count("usd", PRICES["read"] * len(page))
    meta: dict[str, Any] = {"result_count": len(page)}
    if rest:
        meta["next_token"] = rest[0].id
    data = {"data": [_shown(post, request.params.get("tweet.fields", "")) for post in page]} if page else {}
    return Answer(200, {**data, "meta": meta})


def lookup(request: Request) -> Answer:
    """GET /2/tweets: at most 100 posts by id, with their public metrics."""
    ids = request.params.get("ids", "").split(",")
    if len(ids) > 100:
        return _invalid("ids", "has more than 100 ids")
    found = [post for post in request.state.posts() if post.id in ids and not post.deleted]
    request.state.count("usd", PRICES["read"] * len(found))
    metrics = dict.fromkeys(("like_count", "retweet_count", "quote_count", "reply_count"), 0)
    shown = [
        {**_shown(post, ""), "public_metrics": metrics | (request.state.recall("counts", post.id) or {})}
        for post in found
    ]
    return Answer(200, {"data": shown} if shown else {"errors": []})


ROUTES = (
    Route("post", "POST", r"/2/tweets", create, limit=100),
    Route("delete", "DELETE", r"/2/tweets/(?P<id>\d+)", delete, limit=50),
    Route("lookup", "GET", r"/2/tweets", lookup, limit=900),
    Route("me", "GET", r"/2/users/me", me, limit=75),
    Route("timeline", "GET", r"/2/users/(?P<id>\d+)/tweets", timeline, auth=("user", "app"), limit=900),
)


def _shown(post: Post, fields: str) -> dict[str, Any]:
    """Return a post as X does: links behind t.co, three characters escaped, only the fields asked for."""
    text, urls = unicodedata.normalize("NFC", post.text), []
    for number, link in reversed(list(enumerate(links(text)))):
        short = f"https://t.co/{post.id[-6:]}{number}"
        text = text[: link.start] + short + text[link.end :]
        full = link.text if "://" in link.text else f"http://{link.text}"
        urls.append({"url": short, "expanded_url": full, "display_url": full.partition("://")[2]})
    shown: dict[str, Any] = {"id": post.id, "text": _escaped(text), "edit_history_tweet_ids": [post.id]}
    if "created_at" in fields:
        shown["created_at"] = post.created.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    if "entities" in fields and urls:
        shown["entities"] = {"urls": urls}
    return shown


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _invalid(name: str, words: str) -> Answer:
    return Answer(
        400,
        {
            "errors": [{"message": f"The `{name}` parameter {words}.", "parameters": {name: []}}],
            "title": "Invalid Request",
            "detail": "One or more parameters to your request was invalid.",
            "type": "https://api.twitter.com/2/problems/invalid-request",
        },
    )


def _canned(name: str, now: datetime) -> Answer:
    answer = FAULTS[name].answer
    assert answer is not None
    return answer(now)
