"""The fake Mastodon answers as a real Mastodon 4.7.3 did in the recordings of Mastodon.py's own tests."""

from __future__ import annotations

import json
import os
import re
import tarfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from biobot.rehearsal.mastodon import ACCOUNT, ROUTES, TOKEN, FakeMastodon

SDIST = os.environ.get("BIOBOT_RECORDINGS", "")
NOW = datetime(2026, 10, 14, 19, 7, 51, 927_000, tzinfo=UTC)
ID = r"\d{15,20}"
NOT_PLAYED = {"scheduled_at", "media_ids", "media_ids[]", "poll[options][]", "quoted_status_id", "pinned"}
"""What a post of biobot's never has."""


def recordings() -> Iterator[tuple[str, list[Any]]]:
    """Yield each recording's name and its exchanges."""
    yaml = pytest.importorskip("yaml")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with tarfile.open(SDIST) as archive:
        for member in archive:
            if re.search(r"/cassettes/test_[^/]*(?<!\.ws)\.yaml$", member.name):
                stream = archive.extractfile(member)
                assert stream is not None
                yield Path(member.name).stem, yaml.load(stream, loader)["interactions"]


def is_played(request: Mapping[str, Any]) -> bool:
    url, body = urlsplit(request["uri"]), request["body"] if isinstance(request["body"], str) else ""
    known = any(route.method == request["method"] and re.fullmatch(route.path, url.path) for route in ROUTES)
    token = str(request["headers"].get("Authorization", ["TOKEN"])[0])
    own = token.endswith("TOKEN") and url.hostname == "localhost"
    return known and own and not NOT_PLAYED & (parse_qs(body) | parse_qs(url.query)).keys()


def shape(document: Any, prefix: str = "") -> set[str]:
    """Reduce an answer to the names in it, those of its parts that biobot or a person reads included."""
    if isinstance(document, list):
        return set.union({f"{prefix}[]"}, *(shape(each, f"{prefix}[].") for each in document))
    if not isinstance(document, dict):
        return {f"{prefix}{type(document).__name__}"}
    parts = ("account", "application", "source", "role")
    names = {f"{prefix}{name}" for name in document}
    return names.union(*(shape(document[part], f"{prefix}{part}.") for part in parts if part in document))


def rels(headers: Mapping[str, Any]) -> list[str]:
    return re.findall(r'rel="(\w+)"', str(headers.get("link", "")))


@pytest.mark.skipif(not SDIST, reason="BIOBOT_RECORDINGS names no sdist of Mastodon.py: `.ci/run` fetches it")
def test_the_fake_answers_as_the_recorded_mastodon_did() -> None:
    compared, different = 0, []
    for name, exchanges in recordings():
        ids: dict[str, str] = {}
        with FakeMastodon(lambda: NOW, locale="ja") as fake:
            for request, response in ((each["request"], each["response"]) for each in exchanges):
                target = re.sub(rf"(?<=/accounts/){ID}", ACCOUNT, request["uri"].removeprefix("http://localhost:3000"))
                of_others = set(re.findall(rf"/statuses/({ID})", target)) - ids.keys()
                if not is_played(request) or of_others:
                    continue
                target = re.sub(ID, lambda match: ids.get(match[0], match[0]), target)  # noqa: B023
                headers = {each.lower(): values[0] for each, values in request["headers"].items()}
                if "authorization" in headers:
                    headers["authorization"] = f"Bearer {TOKEN}"
                answer = fake.answer(request["method"], target, headers, (request["body"] or "").encode())
                compared += 1
                document, theirs = json.loads(response["body"]["string"]), response["headers"]
                ours = (answer.status, answer.headers["x-ratelimit-limit"], rels(answer.headers))
                real = (response["status"]["code"], theirs["x-ratelimit-limit"][0], rels(theirs))
                names = shape(answer.document) ^ shape(document)
                if ours != real or names:
                    different.append(f"{name}: {request['method']} {target}: {real}, not {ours}; names {sorted(names)}")
                form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
                assert re.fullmatch(form, theirs["x-ratelimit-reset"][0])
                assert re.fullmatch(form, answer.headers["x-ratelimit-reset"])
                if request["method"] == "POST" and answer.status == 200 == real[0]:
                    ids[document["id"]] = answer.document["id"]
                    assert len(answer.document["created_at"]) == len(document["created_at"])
    assert compared > 250
    assert not different, "\n".join(different)
