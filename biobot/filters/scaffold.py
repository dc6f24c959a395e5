"""What a plugin's author needs: a first file with its test, and the settings that it has."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Mapping
from pathlib import Path

from biobot.errors import PluginError
from biobot.filters.loader import RESERVED, Plugin
from biobot.storage import atomic_write, make_folder

PLUGIN = '''"""Refuses texts with too many exclamation marks: change this to what you want."""

from __future__ import annotations

from dataclasses import dataclass

from biobot import Candidate, hookimpl


@dataclass(frozen=True)
class Settings:
    """`[filters.{name}]` in biobot.toml; every key needs a default."""

    most: int = 3


@hookimpl
def biobot_settings() -> type[Settings]:
    """Return the keys of `[filters.{name}]`."""
    return Settings


@hookimpl
def biobot_filter(candidate: Candidate, settings: Settings) -> str | None:
    """Say why the candidate must not be posted, or return None to let it pass."""
    count = candidate.text.count("!")
    return f"too loud ({{count}} exclamation marks)" if count > settings.most else None
'''

TEST = '''"""Run with pytest; `judge` gives the filter's objection to a text, or None."""

from pathlib import Path

from biobot.testing import judge

PLUGIN = Path(__file__).parent.parent / "plugins" / "{name}.py"


def test_lets_a_calm_text_pass() -> None:
    assert judge(PLUGIN, "A baker from Lisbon. Probably asleep!") is None


def test_refuses_a_loud_text() -> None:
    assert judge(PLUGIN, "A baker!!!! From Lisbon!") == "too loud (5 exclamation marks)"


def test_can_be_set_to_allow_more() -> None:
    assert judge(PLUGIN, "A baker!!!! From Lisbon!", settings={{"most": 5}}) is None
'''


NETWORK = '''"""Posts to {title}: change the address and the four calls to those of your network."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from biobot import FOR_EVER, Account, Network, Opening, Session, Timeline, Tweet, hookimpl


@dataclass(frozen=True)
class Settings:
    """`[{name}]` in biobot.toml; every key needs a default."""

    address: str = "http://127.0.0.1:8000"
    timeout: timedelta = timedelta(seconds=20)


class ItsSession(Session):
    """HTTP calls; the names are for messages."""

    title, key = "{title}", "{name}.address"


class {title}(Network):
    """One account."""

    name = "{name}"
    title = "{title}"
    settings = Settings
    secrets = ("BIOBOT_{capitals}_TOKEN",)
    max_length = 500
    key_lasts = FOR_EVER  # the same PUT, made twice, makes one post; None where the server knows no keys

    def __init__(self, opening: Opening) -> None:
        """Make no call here."""
        self.session = ItsSession(opening.settings.address, opening.settings.timeout, opening.clock, opening.stop)
        self.session.headers["Authorization"] = f"Bearer {{opening.secrets['BIOBOT_{capitals}_TOKEN']}}"

    @property
    def clock_offset(self) -> timedelta | None:
        """How far the server's clock is ahead of ours."""
        return self.session.clock_offset

    def make_key(self, text: str, row: int, slot: datetime, now: datetime) -> str:
        """Return the key of a post; it is asked for once."""
        return f"{{slot:%Y%m%d%H%M%S}}-{{row}}"

    def me(self) -> Account:
        """Return whose token it is."""
        found = self.session.ask("GET", "/me")
        return Account(str(found["id"]), found["name"])

    def post(self, request: str, key: str = "") -> str:
        """Post a text; return the post's id."""
        return str(self.session.ask("PUT", f"/posts/{{key}}", json={{"text": request}})["id"])

    def timeline(self, since: datetime, limit: int = 20) -> list[Tweet]:
        """Return all own posts since then, newest first, page by page."""
        found: list[Tweet] = []
        params: dict[str, Any] = {{}}
        while len(found) < limit:
            page = self.session.ask("GET", "/posts", params=params)["posts"]
            tweets = [Tweet(str(each["id"]), each["text"], datetime.fromisoformat(each["created"])) for each in page]
            recent = [each for each in tweets if each.created is None or each.created >= since]
            found += recent
            if not page or len(recent) < len(page):
                break
            params = {{"before": page[-1]["id"]}}
        return Timeline(found[:limit], reaches=since)

    def delete(self, id: str) -> None:
        """Delete one of the own posts."""
        self.session.call("DELETE", f"/posts/{{id}}")

    def close(self) -> None:
        """Close the connections."""
        self.session.close()


@hookimpl
def biobot_network() -> type[Network]:
    """Return the network."""
    return {title}
'''

NETWORK_TEST = '''"""Run with pytest: the network against a fake of its server, which answers as the real one does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from biobot import Kind, Refused
from biobot.testing import network, try_network

PLUGIN = Path(__file__).parent.parent / "plugins" / "{name}.py"
PAGE = 20


class Fake(BaseHTTPRequestHandler):
    """The server; its posts are in `posts`, by id, oldest first."""

    posts: dict[str, dict[str, str]]

    def answer(self) -> None:
        url, body = urlsplit(self.path), self.rfile.read(int(self.headers.get("Content-Length") or 0))
        id, before = url.path.rpartition("/")[2], parse_qs(url.query).get("before", [""])[0]
        if self.headers["Authorization"] != "Bearer a-good-token":
            self.say(401, {{"error": "who are you?"}})
        elif url.path == "/me":
            self.say(200, {{"id": 1, "name": "jester"}})
        elif self.command == "PUT":
            made = {{"id": id, "text": json.loads(body)["text"], "created": datetime.now(UTC).isoformat()}}
            self.say(200, self.posts.setdefault(id, made))
        elif self.command == "DELETE":
            gone = self.posts.pop(id, None) is None
            self.say(404 if gone else 200, {{}})
        else:
            found = [each for each in reversed(self.posts.values())]
            start = next((at for at, each in enumerate(found, 1) if each["id"] == before), 0)
            self.say(200, {{"posts": found[start : start + PAGE]}})

    do_GET = do_PUT = do_DELETE = answer

    def say(self, status: int, document: object) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Server", (Fake,), {{"posts": {{}}}}))
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    yield f"http://127.0.0.1:{{server.server_port}}"
    server.shutdown()
    server.server_close()


def test_it_keeps_what_the_bot_relies_on(address: str, tmp_path: Path) -> None:
    with network(PLUGIN, tmp_path, {{"BIOBOT_{capitals}_TOKEN": "a-good-token"}}, {{"address": address}}) as opened:
        try_network(opened)


def test_a_wrong_token_is_a_definite_no(address: str, tmp_path: Path) -> None:
    with network(PLUGIN, tmp_path, {{"BIOBOT_{capitals}_TOKEN": "a-bad-token"}}, {{"address": address}}) as opened:
        with pytest.raises(Refused) as refused:
            opened.me()
    assert refused.value.kind is Kind.REVOKED
'''


def write_new(name: str, folder: Path, taken: Mapping[str, str], *, network: bool = False) -> tuple[Path, Path]:
    """Write `plugins/NAME.py` and `tests/test_NAME.py` into a bot's folder: a filter's, or a network's.

    Raises PluginError if one is there, or if `name` is among the plugins that are `taken`: where each of them is.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in RESERVED:
        raise PluginError(f"{name!r} cannot be a plugin's name; use lowercase letters, digits and _, as in no_shouting")
    if name in taken:
        raise PluginError(f"there is a plugin {name!r} already: {taken[name]}; choose another name")
    code, test = (NETWORK, NETWORK_TEST) if network else (PLUGIN, TEST)
    words = {"name": name, "capitals": name.upper(), "title": "".join(map(str.capitalize, name.split("_")))}
    files = (folder / "plugins" / f"{name}.py", code), (folder / "tests" / f"test_{name}.py", test)
    for path, _ in files:
        if path.exists():
            raise PluginError(f"{path} is already there; choose another name")
    try:
        for path, text in files:
            make_folder(path.parent, 0o755)  # a plugin that others could write is not loaded
            with atomic_write(path, 0o644) as file:
                file.write(text.format(**words).encode())
    except OSError as error:
        files[0][0].unlink(missing_ok=True)  # both or none
        raise PluginError(f"cannot write {path}: {error.strerror}") from None
    return files[0][0], files[1][0]


def settings_of(plugin: Plugin) -> dict[str, object]:
    """Return a plugin's keys in biobot.toml with their present values."""
    if plugin.kind is None:
        return {}
    return {
        each.name: getattr(plugin.settings, each.name)
        for each in dataclasses.fields(typing.cast(typing.Any, plugin.kind))
    }
