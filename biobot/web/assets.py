"""The console's static files: read once, and addressed by a hash of their content.

A request is looked up in a table of addresses, so no path on the disk can be asked for, and a browser may cache each
file for a year.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

MEDIA_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file and its address."""

    url: str
    media_type: str
    data: bytes

    @classmethod
    def read(cls, path: Path) -> Asset:
        """Read a file from the disk."""
        data = path.read_bytes()
        return cls(f"/static/{hashlib.sha256(data).hexdigest()[:12]}/{path.name}", MEDIA_TYPES[path.suffix], data)


class Assets:
    """Every file under static/ that a browser may load."""

    def __init__(self) -> None:
        paths = [each for each in Path(__file__).with_name("static").rglob("*") if each.suffix in MEDIA_TYPES]
        self.by_name = {path.name: Asset.read(path) for path in paths}
        self._by_url = {each.url: each for each in self.by_name.values()}

    def url(self, name: str) -> str:
        """Return the address of a file, such as "console.css"."""
        return self.by_name[name].url

    async def serve(self, request: Request) -> Response:
        """Answer with a file."""
        found = self._by_url.get(request.url.path)
        if found is None:
            return PlainTextResponse("there is no such file\n", 404)
        headers = {"cache-control": "public, max-age=31536000, immutable"}
        return Response(found.data, media_type=found.media_type, headers=headers)
