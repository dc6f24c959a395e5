"""The console's own files: read once, compressed once, named by their content.

A request names a file by its hash and name and is looked up in a table, so no path of the disk can be asked
for, and a browser may keep each file for a year.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

KINDS = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file, plain and compressed, and where it is asked for."""

    url: str
    kind: str
    plain: bytes
    gzip: bytes


class Assets:
    """Every file under static/ that a browser may have."""

    def __init__(self) -> None:
        self.by_name = {name: _asset(name, data) for name, data in _files(resources.files("biobot.web") / "static")}
        self._by_url = {each.url: each for each in self.by_name.values()}

    def url(self, name: str) -> str:
        """Return the address of a file, such as "console.css"."""
        return self.by_name[name].url

    async def serve(self, request: Request) -> Response:
        """Answer with a file."""
        found = self._by_url.get(request.url.path)
        if found is None:
            return PlainTextResponse("no such file\n", 404)
        headers = {"cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(found.gzip, media_type=found.kind, headers={**headers, "content-encoding": "gzip"})
        return Response(found.plain, media_type=found.kind, headers=headers)


def _files(folder: Traversable) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for each in sorted(folder.iterdir(), key=lambda each: each.name):
        if each.is_dir():
            found += _files(each)
        elif _suffix(each.name) in KINDS:
            found.append((each.name, each.read_bytes()))
    return found


def _suffix(name: str) -> str:
    return name[name.rfind(".") :]


def _asset(name: str, data: bytes) -> Asset:
    mark = hashlib.sha256(data).hexdigest()[:12]
    return Asset(f"/static/{mark}/{name}", KINDS[_suffix(name)], data, gzip.compress(data, 9, mtime=0))
