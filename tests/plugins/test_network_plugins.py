"""A network plugin with one fault or another: what its author and its owner are told, and that it can do no harm."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from biobot.app import health
from biobot.candidate import DraftRequest
from biobot.config import load
from biobot.dedupe import index
from biobot.posting.notices import Notices
from biobot.posting.outbox import Outbox
from biobot.worker import server
from biobot.worker.client import Worker
from tests.conftest import Run, made_up_bios

TOKEN = "squeak-secret-0123456789"
TEXT = "A baker from Lisbon who counts clouds."
LONG = "A retired pirate from a small town who keeps bees, mends old maps, and hums to every passing cloud at noon."

SQUEAK = '''
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from biobot import Account, Network, Opening, Timeline, Tweet, hookimpl


@dataclass(frozen=True)
class SqueakSettings:
    """`[squeak]`: where it is."""

    address: str = "http://127.0.0.1:1"
    timeout: timedelta = timedelta(seconds=20)


class Squeak(Network):
    name = "squeak"
    title = "Squeak"
    settings = SqueakSettings
    secrets = ("BIOBOT_SQUEAK_TOKEN",)
    max_length = 60
    key_lasts = timedelta(minutes=50)

    def __init__(self, opening: Opening) -> None:
        self.token, self.file = opening.secrets["BIOBOT_SQUEAK_TOKEN"], opening.home / "squeak.json"

    def read(self):
        return json.loads(self.file.read_text()) if self.file.exists() else []

    def make_key(self, text, row, slot, now):
        return str(row)

    def me(self):
        return Account("77", "squeaker")

    def post(self, request, key=""):
        self.file.write_text(json.dumps([*self.read(), request]))
        return str(len(self.read()))

    def timeline(self, since, limit=20):
        found = [Tweet(str(at), text, datetime.now(UTC)) for at, text in enumerate(self.read(), 1)]
        return Timeline(found[::-1], since)

    def delete(self, id):
        pass


@hookimpl
def biobot_network():
    return Squeak
'''
ME, POST, SENT = 'return Account("77", "squeaker")', "self.file.write_text", "return str(len(self.read()))"

Write = Callable[..., Path]


@pytest.fixture
def squeak(bot: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worker_here: None) -> Write:
    """Write a bot that posts to Squeak, with parts of its plugin replaced, and return its folder."""
    monkeypatch.setenv("BIOBOT_SQUEAK_TOKEN", TOKEN)
    model = tmp_path / "learnt"
    model.mkdir()
    (model / "model.safetensors").touch()
    index.build(made_up_bios(50), model / "fingerprints.idx")

    def write(*changes: tuple[str, str], toml: str = "", post: str = 'network = "squeak"') -> Path:
        code = SQUEAK
        for old, new in changes:
            assert old in code
            code = code.replace(old, new)
        off = '[filters]\ndisabled = ["language", "profanity"]\nrequired = []\n'
        folder = bot(f'{off}[model]\nname = "{model}"\n[post]\n{post}\n{toml}')
        (folder / "plugins" / "squeak.py").write_text(code)
        return folder

    return write


def posts(folder: Path) -> list[str]:
    file = folder / "state" / "squeak.json"
    return list(json.loads(file.read_text())) if file.exists() else []


def test_it_posts_and_is_listed_with_its_keys(squeak: Write, run: Run) -> None:
    folder = squeak(toml='[squeak]\ntimeout = "4s"\n')
    assert run("networks", "check")[1].startswith("squeak     @squeaker (77)")
    assert "posted 1 as 1" in run("post", "--text", TEXT)[1]
    assert posts(folder) == [TEXT]
    listed = run("plugins", "list")[1]
    assert 'timeout = "4s"' in listed
    assert 'address = "http://127.0.0.1:1"' in listed


# -- secrets -----------------------------------------------------------------------------------------


def forms() -> list[str]:
    return [TOKEN, *(b64encode(f"{'u' * n}:{TOKEN}".encode()).decode()[8:-8] for n in range(3))]


RAISED = "raise RuntimeError(told)"
REFUSED = "raise biobot.Refused(biobot.Kind.INVALID, 400, told, remedy=told)"


@pytest.mark.parametrize(
    ("where", "raised"),
    [(ME, RAISED), (SENT, RAISED), (POST, "raise biobot.Unknown(told)"), (POST, REFUSED)],
    ids=["me", "after", "unknown", "refused"],
)
def test_no_exception_of_a_plugin_brings_a_secret_into_the_outbox_or_onto_a_stream(
    squeak: Write, run: Run, caplog: pytest.LogCaptureFixture, where: str, raised: str
) -> None:
    leak = (
        "import base64, biobot; b = base64.b64encode(('u:' + self.token).encode()).decode(); "
        f"print('told', self.token); told = f'R Bearer {{self.token}} {{b}}'; {raised}; {where}"
    )
    folder = squeak((where, leak))
    said = "".join(
        "".join(map(str, run(*words)))
        for words in (
            ("networks", "check"),
            ("-v", "post", "--text", TEXT),
            ("queue", "list"),
            ("why", "1"),
            ("doctor", "--online"),
            ("reconcile",),
            ("status",),
        )
    )
    assert "R Bearer [not shown]" in said
    assert "told [not shown]" in caplog.text
    stored = (folder / "state" / "outbox.db").read_bytes().decode(errors="replace")
    assert not [form for form in forms() if form in said + stored + caplog.text]


def test_what_a_plugin_prints_is_logged_as_its_words_and_is_not_the_output_of_a_command(
    squeak: Write, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    squeak((ME, f"print('asked', {{}}, self.token); {ME}"))
    assert "asked" not in run("networks", "check")[1]
    assert "plugin squeak: asked {} [not shown]" in caplog.messages


def test_a_fault_of_this_program_shows_its_traceback_without_secrets(
    squeak: Write, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    squeak()

    def fail(*_: object) -> None:
        load(environ={})
        raise ZeroDivisionError(TOKEN)

    run("networks", "check")
    monkeypatch.setattr(health, "status", fail)
    code, _, err = run("status")
    assert (code, "Traceback" in err, "ZeroDivisionError: [not shown]" in err) == (1, True, True)


# -- faults that are seen when it is loaded ----------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("def delete", "def remove", "squeak.py: Squeak lacks `delete`"),
        ("def make_key", "def keyed", "squeak.py: Squeak.key_lasts says what a key is worth, but there is no `make_"),
        ("BIOBOT_SQUEAK", "SQUEAK", "must hold names that begin with BIOBOT_"),
        ('("BIOBOT_SQUEAK_TOKEN",)', '"BIOBOT_SQUEAK_TOKEN"', "must hold names that begin with BIOBOT_"),
        ("@dataclass(frozen=True)", "@dataclass", "settings must be a frozen dataclass"),
        ("max_length = 60", 'max_length = "60"', "max_length must be a whole number"),
        ("@hookimpl\n", "", "put @hookimpl above biobot_network"),
        ("    return Squeak\n", "    return 1 / 0\n", "line 51: biobot_network failed: ZeroDivisionError"),
    ],
)
def test_a_network_that_is_not_whole_is_one_line_from_every_command(
    squeak: Write, run: Run, old: str, new: str, says: str
) -> None:
    folder = squeak((old, new))
    for words in (("networks", "check"), ("post", "--text", TEXT), ("config", "check"), ("run",)):
        code, _, err = run(*words)
        assert (code, err.count("\n")) == (1, 1), words
        assert says in err, words
    assert says in run("doctor")[1]
    assert not (folder / "state" / "outbox.db").exists() or not run("queue", "list")[1]


def test_a_file_that_no_daemon_could_read_again_is_a_problem_only_while_it_runs(squeak: Write, run: Run) -> None:
    squeak()
    config = load(environ={})
    with Outbox(config.home / "outbox.db", "squeak") as outbox:
        Notices(config, outbox).say("config", "a key is wrong", datetime.now(UTC))
        Notices(config, outbox).say("notify", "nobody hears it", datetime.now(UTC))
    said = run("status")[1]
    assert ("a key is wrong" in said, "nobody hears it" in said) == (False, True)


def test_a_wrong_key_in_its_table_is_found_before_anything_is_drawn_or_queued(squeak: Write, run: Run) -> None:
    squeak(toml='[squeak]\ntimout = "4s"\n')
    for words in (("config", "check"), ("run",), ("post", "--text", TEXT), ("networks", "check")):
        code, _, err = run(*words)
        assert code == (1 if words[0] == "networks" else 2), words
        assert "squeak.timout: there is no such key; did you mean `timeout`?" in err, words
    assert "squeak.timout" in run("doctor")[1]
    assert run("queue", "list")[1] == ""


# -- faults that are seen when it is called ----------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (ME, "return {}['id']", "squeak.py, line 35: `me` failed: KeyError: 'id'"),
        (ME, "return None", "squeak.py: `me` must return an Account, not None"),
        (ME, 'return Account(None, "squeaker")', "`me` must return an id that is a text, not None"),
        ("self.token, self.file =", "{}['x']; self.token, self.file =", "it cannot be opened: KeyError: 'x'"),
    ],
)
def test_whatever_it_raises_or_returns_is_one_line_that_names_it(
    squeak: Write, run: Run, old: str, new: str, says: str
) -> None:
    squeak((old, new))
    for words in (("networks", "check"), ("post", "--text", TEXT)):
        code, _, err = run(*words)
        assert (code, err.count("\n")) == (1, 1), words
        assert says in err, words
    assert says in run("doctor", "--online")[1]


@pytest.mark.parametrize("created", ["datetime.now()", "'2026-11-22'"])
def test_a_time_without_a_zone_settles_nothing_and_says_so(squeak: Write, run: Run, created: str) -> None:
    squeak((SENT, "raise OSError('gone')"), ("datetime.now(UTC)", created))
    assert "post 1 is unconfirmed" in run("post", "--text", TEXT)[2]
    code, _, err = run("reconcile")
    assert (code, err.count("\n")) == (1, 1)
    assert "`timeline` must return times with a time zone" in err


def test_an_id_may_be_a_number(squeak: Write, run: Run) -> None:
    squeak(('"77"', "77"), (SENT, "return len(self.read())"), ("Tweet(str(at)", "Tweet(at"))
    assert "posted 1 as 1" in run("post", "--text", TEXT)[1]
    assert run("networks", "check")[0] == 0
    assert "posted 2 as 2" in run("post", "--text", "A drummer in an attic who mends rivers.")[1]


def test_no_call_is_made_while_a_secret_is_missing(squeak: Write, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = squeak((ME, f"self.file.write_text('[1]'); {ME}"))
    monkeypatch.delenv("BIOBOT_SQUEAK_TOKEN")
    for words in (("networks", "check"), ("networks", "label"), ("post", "--text", TEXT)):
        code, _, err = run(*words)
        assert (code, "BIOBOT_SQUEAK_TOKEN is missing" in err) == (1, True)
    assert "BIOBOT_SQUEAK_TOKEN is missing" in run("doctor", "--online")[1]
    assert posts(folder) == []
    monkeypatch.setenv("BIOBOT_SQUEAK_TOKEN", TOKEN)
    assert run("post", "--text", TEXT)[0] == 0
    (folder / "state" / "squeak.json").unlink()
    monkeypatch.delenv("BIOBOT_SQUEAK_TOKEN")
    assert "BIOBOT_SQUEAK_TOKEN is missing" in run("undo", "1")[2]
    assert posts(folder) == []
    assert "used; needs BIOBOT_SQUEAK_TOKEN" in run("networks", "list")[1]


def test_a_plugin_that_is_not_posted_to_is_listed_as_found(squeak: Write, run: Run) -> None:
    squeak(post='network = "rehearsal"')
    (line,) = [each for each in run("networks", "list")[1].splitlines() if each.startswith("squeak")]
    assert line.endswith("a plugin, not used")


# -- how long a text may be --------------------------------------------------------------------------


def test_check_judges_by_what_the_network_takes(squeak: Write, run: Run) -> None:
    squeak()
    assert "squeak: too long for Squeak: 107 of 60 characters" in run("check", "--text", LONG)[1]
    assert "✓" in run("check", "--text", TEXT)[1]
    assert "filters.length.max = 280 is above the 60 of squeak" in run("doctor")[1]
    assert "the text is refused: squeak: too long" in run("post", "--text", LONG)[2]
    assert run("queue", "list")[1] == ""


def test_with_several_networks_a_text_must_fit_one_and_those_that_fit_all_are_preferred(
    squeak: Write, run: Run
) -> None:
    squeak(post='networks = ["rehearsal", "squeak"]')
    out = run("check", "--text", LONG)[1]
    assert "✓" in out
    assert "skipped on squeak: too long for Squeak: 107 of 60 characters" in out
    assert json.loads(run("check", "--json", "--text", LONG)[1])["skipped_on"] == {
        "squeak": "too long for Squeak: 107 of 60 characters"
    }


@pytest.mark.parametrize("best_of", [1, 3])
@pytest.mark.parametrize("there", [True, False])
def test_a_draft_fits_all_networks_where_any_does(
    squeak: Write, monkeypatch: pytest.MonkeyPatch, best_of: int, there: bool
) -> None:
    squeak(post='networks = ["rehearsal", "squeak"]', toml=f"[sample]\nbest_of = {best_of}\n[taste]\nvariety = 0.0\n")
    bios = [f"{LONG} {each}" for each in made_up_bios(6)] + [TEXT] * there + [f"{LONG} {each}" for each in range(9)]

    class Sampler:
        def draw(self, wanted: list[object], _: object) -> list[object]:
            return [server.Candidate(bios[each.seed]) for each in wanted if each.seed < len(bios)]  # type: ignore[attr-defined]

    monkeypatch.setattr(server, "open_sampler", lambda *_, **__: Sampler())
    (drawn,) = Worker(load(environ={})).draw([DraftRequest("a slot", 0.8, 0, len(bios))])
    assert drawn.verdict is not None
    assert (drawn.verdict.candidate.text == TEXT) == there


# -- what becomes of a post --------------------------------------------------------------------------


def test_a_post_whose_key_lasts_is_not_said_to_be_left_alone(squeak: Write, run: Run) -> None:
    squeak((SENT, "raise OSError('gone')"))
    said = run("post", "--text", TEXT)[2]
    assert "post 1 is unconfirmed: " in said
    assert "where it is not there it is sent again under its key until " in said
    squeak((SENT, "raise OSError('gone')"), ("timedelta(minutes=50)", "None"))
    said = run("post", "--text", "A drummer in an attic who mends rivers.")[2]
    assert "post 2 is unconfirmed and will not be sent again automatically: " in said


@pytest.mark.parametrize(
    "fault",
    [
        "raise biobot.Refused(biobot.Kind.RATE_LIMIT, 429, 'slow down', timedelta(seconds=90))",
        "raise biobot.Unsent('x')",
    ],
)
def test_a_wait_is_shown_and_resume_lets_the_waiting_text_go(squeak: Write, run: Run, fault: str) -> None:
    folder = squeak((POST, f"import biobot; {fault}; {POST}"))
    run("post", "--text", TEXT)
    assert "waiting until" in run("status")[1]
    assert "waiting until" in run("post")[2]
    squeak()
    run("resume")
    assert "posted 1 as 1" in run("post")[1]
    assert posts(folder) == [TEXT]
