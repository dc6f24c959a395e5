"""OAuth 1.0a's HMAC-SHA1 signatures, verified from RFC 5849 alone, not by the library that made them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from urllib.parse import quote, unquote


def parse(header: str) -> dict[str, str]:
    """Read an `Authorization: OAuth …` header into its decoded parameters; return {} for anything else."""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "oauth":
        return {}
    return {unquote(name): unquote(value) for name, value in re.findall(r'([\w.~%-]+)="([^"]*)"', rest)}


def sign(method: str, url: str, parameters: Sequence[tuple[str, str]], api_secret: str, access_secret: str) -> str:
    """Compute the signature of a request.

    `url` has neither query nor fragment; `parameters` are those of the query and of the header, decoded,
    without the signature and the realm.
    """
    pairs = sorted((_encode(name), _encode(value)) for name, value in parameters)
    normal = "&".join(f"{name}={value}" for name, value in pairs)
    base = "&".join(map(_encode, (method.upper(), url, normal)))
    key = f"{_encode(api_secret)}&{_encode(access_secret)}"
    return base64.b64encode(hmac.new(key.encode(), base.encode(), hashlib.sha1).digest()).decode()


def _encode(text: str) -> str:
    return quote(text, safe="~")
