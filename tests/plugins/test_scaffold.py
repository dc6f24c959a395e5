"""`biobot plugins list|test|new`, and the guide, whose code is run as it stands."""

from __future__ import annotations

import importlib.util
import inspect
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from biobot.cli import main
from biobot.dedupe import index
from biobot.filters import hookspecs
from biobot.posting.outbox import Outbox
from tests.conftest import made_up_bios

GUIDE = Path(__file__).parent.parent.parent / "docs" / "plugins.md"
BLOCKS = dict(re.findall(r"<!-- file: (\S+) -->\n```\w*\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL))


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    out, err = capsys.readouterr()
    assert not left.value.code, err
    return out


@pytest.fixture
def folder(bot: Callable[[str], Path], tmp_path: Path) -> Path:
    model = tmp_path / "learnt"
    model.mkdir()
    (model / "model.safetensors").touch()
    index.build(made_up_bios(50), model / "fingerprints.idx")
    return bot(f'[filters]\ndisabled = ["language"]\n[model]\nname = "{model}"\n')


def test_lists_what_is_loaded_from_where_and_how_it_is_set(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = {each["name"]: each for each in map(json.loads, run(capsys, "plugins", "list", "--json").splitlines())}
    assert found["length"]["hooks"] == ["biobot_filter", "biobot_settings"]
    assert found["length"]["settings"] == {"min": 20, "max": 280}
    assert found["length"]["from"] == "bundled (length.py)"
    assert [name for name, each in found.items() if not each["enabled"]] == ["language"]
    assert "max = 280" in run(capsys, "plugins", "list")


def test_counts_what_each_filter_refused_so_far(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Outbox(folder / "state" / "outbox.db", "rehearsal") as outbox:
        for _ in range(2):
            outbox.count_refused({"dedupe": 3, "length": 10})
    found = {each["name"]: each for each in map(json.loads, run(capsys, "plugins", "list", "--json").splitlines())}
    assert {name: each["refused"] for name, each in found.items() if each["refused"]} == {"dedupe": 6, "length": 20}
    assert "refused 20" in run(capsys, "plugins", "list")
    assert "refused    length 20, dedupe 6" in run(capsys, "status")


def test_a_new_plugin_works_with_its_test_and_can_be_tried(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = run(capsys, "plugins", "new", "too_loud")
    assert "-m pip install pytest)" in said
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_too_loud.py"],
        cwd=folder,
        capture_output=True,
    )
    assert done.returncode == 0, done.stdout
    texts = folder / "texts.txt"
    texts.write_text("A calm baker from a small town\nA LOUD baker!!!! from a small town\nhi!!!!\n", encoding="utf-8")
    said = run(capsys, "plugins", "test", "too_loud", "--texts", str(texts))
    assert "refused   2 of 3 (66.7%)" in said
    assert "changes   1 that every other filter accepts" in said
    assert "2 × too loud (N exclamation marks)" in said
    said = run(capsys, "plugins", "test", str(folder / "plugins" / "too_loud.py"), "--texts", str(texts))
    assert "refused   2 of 3" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["new", "No-Good"], "cannot be a plugin's name"),
        (["new", "wellformed"], "cannot be a plugin's name"),
        (["new", "profanity"], "there is a plugin 'profanity' already: bundled (profanity.py); choose another name"),
        (["new", "links"], "there is a plugin 'links' already: bundled (links.py)"),
        (["new", "own"], "own.py; choose another name"),
        (["test", "nothing", "--texts", "x.txt"], "there is no filter 'nothing'"),
        (["test", "gone.py", "--texts", "x.txt"], "gone.py\n"),
    ],
)
def test_a_wrong_name_is_one_clear_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    (folder / "plugins" / "own.py").write_text("")
    (folder / "x.txt").write_text("A baker\n")
    with pytest.raises(SystemExit) as left:
        main(["plugins", *arguments])
    assert left.value.code == 1
    assert said in capsys.readouterr().err
    assert [each.name for each in folder.glob("*s/*.py")] == ["own.py"]


def test_every_hook_and_its_arguments_are_in_the_guide() -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    hooks = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("biobot_")}
    assert len(hooks) == 4
    for name, hook in hooks.items():
        assert f"`{name}(" in guide
        assert f"`{name}({', '.join(inspect.signature(hook).parameters)})`" in guide


def test_the_guide_leads_from_nothing_to_an_installed_plugin(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(BLOCKS) >= {
        "plugins/no_crypto.py",
        "plugins/calm.py",
        "tests/test_calm.py",
        "pyproject.toml",
        "biobot_calm.py",
    }
    for name, text in BLOCKS.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_calm.py"],
        cwd=folder,
        capture_output=True,
    )
    assert done.returncode == 0, done.stdout
    said = run(
        capsys, "check", "--text", "A calm baker who talks about crypto", "--text", "A baker!! from a small town!!"
    )
    assert "no_crypto: talks about crypto" in said
    assert "calm: 4 exclamation marks" in said

    # the package: what pip would write of its pyproject.toml
    (folder / "plugins" / "calm.py").unlink()
    point = re.search(r'\[project\.entry-points\.biobot\]\n(\w+) = "(\w+)"', BLOCKS["pyproject.toml"])
    assert point
    facts = folder / "site" / "biobot_calm-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: biobot-calm\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(f"[biobot]\n{point[1]} = {point[2]}\n")
    (folder / "biobot_calm.py").rename(folder / "site" / "biobot_calm.py")
    monkeypatch.syspath_prepend(str(folder / "site"))
    monkeypatch.setenv("PYTHONPATH", f"{folder / 'site'}")  # for the worker
    found = {each["name"]: each for each in map(json.loads, run(capsys, "plugins", "list", "--json").splitlines())}
    assert found["calm"]["from"] == "package biobot-calm"
    with pytest.raises(SystemExit):
        main(["plugins", "new", "calm"])
    assert "there is a plugin 'calm' already: package biobot-calm" in capsys.readouterr().err
    assert "calm: 4 exclamation marks" in run(capsys, "check", "--text", "A baker!! from a small town!!")


def test_a_plugin_that_imports_a_name_of_an_earlier_version_still_works(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "plugins" / "old.py").write_text(
        "from biobot import Candidate, Seen, hookimpl\n\n\n@hookimpl\n"
        "def biobot_filter(candidate: Candidate, seen: Seen) -> str | None:\n    return 'old' if seen else None\n"
    )
    found = json.loads(run(capsys, "check", "--json", "--text", "A quiet baker of moons"))
    assert {"filter": "old", "reason": "old"} in found["objections"]


def module_of(path: Path) -> Any:
    """Import a test that was written for an author."""
    spec = importlib.util.spec_from_file_location("written", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("", "", None),
        ("while len(found) < limit:", "for _ in range(1):", "lacks 25 of 45 posts: read page after page"),
        ("Timeline(found[:limit], reaches=since)", "found", "does not say how far it reaches"),
        ('f"/posts/{key}"', 'f"/posts/{key}-{now()}"', "the same call under the same key made another post"),
        ('self.session.call("DELETE"', 'self.session.call("GET"', "deletes no post"),
    ],
    ids=["as it is", "first page", "a list", "no key", "no delete"],
)
def test_a_new_network_works_with_its_test_which_finds_what_would_make_doubles(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, old: str, new: str, says: str | None
) -> None:
    assert "biobot networks check town_crier" in run(capsys, "plugins", "new", "town_crier", "--network")
    assert "town_crier a plugin, not used" in run(capsys, "networks", "list")
    plugin = folder / "plugins" / "town_crier.py"
    code = plugin.read_text()
    assert old in code
    plugin.write_text(code.replace(old, new).replace("import Any\n", "import Any\nfrom time import time as now\n"))
    tests = module_of(folder / "tests" / "test_town_crier.py")
    served = tests.address.__wrapped__()
    address = next(served)
    try:
        if says is None:
            tests.test_it_keeps_what_the_bot_relies_on(address, tmp_path)
            tests.test_a_wrong_token_is_a_definite_no(address, tmp_path)
        else:
            with pytest.raises(AssertionError, match=says):
                tests.test_it_keeps_what_the_bot_relies_on(address, tmp_path)
    finally:
        next(served, None)


PAGE = 5


class _Board(BaseHTTPRequestHandler):
    """The message board of the guide's network."""

    server: _Boards

    def _answer(self) -> None:
        url = urlsplit(self.path)
        place, posts = url.path.rpartition("/")[2], self.server.posts
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or "null")
        found: Any = {}
        if self.headers["authorization"] != "Bearer let-me-in":
            self._say(401, {"error": "who are you?"})
            return
        if self.command == "PUT":
            made = {"id": place, "text": body["text"], "created": datetime.now(UTC).isoformat()}
            found = posts.setdefault(place, made)
        elif self.command == "DELETE":
            posts.pop(place, None)
        elif url.path == "/me":
            found = {"id": 7, "name": "jester"}
        else:
            page = int(parse_qs(url.query)["page"][0]) * PAGE
            found = {"posts": list(posts.values())[::-1][page : page + PAGE]}
        if self.server.deaf and self.command == "PUT":
            self.server.deaf -= 1
            self._say(502, {})
            return
        self._say(200, found)

    do_GET = do_PUT = do_DELETE = _answer

    def _say(self, status: int, document: Any) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


class _Boards(ThreadingHTTPServer):
    posts: dict[str, dict[str, str]]
    deaf = 0


@pytest.fixture
def board() -> Iterator[_Boards]:
    server = _Boards(("127.0.0.1", 0), _Board)
    server.posts = {}
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_the_network_of_the_guide_posts_at_the_first_go(
    folder: Path, board: _Boards, capsys: pytest.CaptureFixture[str]
) -> None:
    code = BLOCKS["plugins/board.py"]
    assert len(code.splitlines()) <= 80
    (folder / "plugins").mkdir(exist_ok=True)
    (folder / "plugins" / "board.py").write_text(code, encoding="utf-8")
    toml = (folder / "biobot.toml").read_text(encoding="utf-8")
    toml += f'[post]\nnetwork = "board"\n[board]\naddress = "http://127.0.0.1:{board.server_port}"\n'
    (folder / "biobot.toml").write_text(toml, encoding="utf-8")
    (folder / ".env").write_text("BIOBOT_BOARD_TOKEN=let-me-in\n")
    (folder / ".env").chmod(0o600)
    assert "@jester (7)" in run(capsys, "networks", "check")
    assert "posted 1 as" in run(capsys, "post", "--text", "A baker from Lisbon who counts clouds.")
    board.deaf = 1
    assert "posted 2 as" in run(capsys, "post", "--text", "A drummer in an attic who mends rivers.")
    assert [each["text"] for each in board.posts.values()] == [
        "A baker from Lisbon who counts clouds.",
        "A drummer in an attic who mends rivers.",
    ]
    run(capsys, "undo", "1")
    assert len(board.posts) == 1
    (folder / ".env").write_text("")
    (folder / ".env").chmod(0o600)
    with pytest.raises(SystemExit):
        main(["post", "--text", "A weaver from Nairobi who rescues moths."])
    assert "BIOBOT_BOARD_TOKEN is missing" in capsys.readouterr().err
    (folder / ".env").write_text("BIOBOT_BOARD_TOKEN=guessed-wrongly\n")
    with pytest.raises(SystemExit):
        main(["networks", "check"])
    refused = (
        "the board refused (revoked, HTTP 401): who are you?; look at the account, BIOBOT_BOARD_TOKEN and `board.a"
    )
    assert refused in capsys.readouterr().err
