"""Plugins as a user writes them: what is loaded, what is refused, and that nothing is ever waved through (F21, F22)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from biobot.candidate import Candidate
from biobot.filters.judge import Judge
from biobot.filters.loader import Plugins, load_file
from biobot.testing import FakeKnownTexts

from .conftest import Check

FINE = "A baker who dreams of slow trains and warm evenings"
Folder = Callable[[str], Path]
Plugin = Callable[[str, str], Path]


def test_six_lines_in_the_plugins_folder_change_the_verdict(folder: Folder, plugin: Plugin, check: Check) -> None:
    folder("")
    assert check(f"{FINE} crypto")["accepted"]
    plugin(
        "no_crypto",
        '@hookimpl\ndef biobot_filter(candidate):\n    if "crypto" in candidate.text:\n'
        '        return "talks about crypto"\n',
    )
    assert check(f"{FINE} crypto")["reasons"] == {"no_crypto": "talks about crypto"}
    assert check(FINE)["accepted"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("    raise ValueError('oh no')", "failed: ValueError: oh no"),
        ("    raise SystemExit(0)", "failed: SystemExit: 0"),
        ("    return 1 / 0", "failed: ZeroDivisionError: division by zero"),
        ("    return True", "answered bool, not a reason or None"),
        ("    return False", "answered bool, not a reason or None"),
        ("    yield", "answered generator, not a reason or None"),
        ("    return ''", "gave no reason"),
        ("    while True: pass", "took longer than 0.2 s and was cut off"),
        ("    import time\n    time.sleep(60)", "took longer than 0.2 s and was cut off"),
        (
            "    import time\n    end = time.time() + 0.5\n    while time.time() < end:\n"
            "        try:\n            time.sleep(1)\n        except:\n            pass",
            "took longer than 0.2 s",
        ),
    ],
)
def test_a_filter_that_fails_in_any_way_has_objected(
    folder: Folder, plugin: Plugin, check: Check, body: str, said: str
) -> None:
    folder('[filters]\ntimeout = "200ms"')
    plugin("broken", f"@hookimpl\ndef biobot_filter(candidate):\n{body}\n")
    start = time.monotonic()
    assert check(FINE)["reasons"]["broken"].startswith(said)
    assert time.monotonic() - start < 5


def test_the_alarm_of_others_rings_on_after_a_hang(plugin: Plugin) -> None:
    slow = load_file(plugin("slow", "@hookimpl\ndef biobot_filter(candidate):\n    while True: pass\n"))
    rung: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _: rung.append(number))
    old = signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        verdict = Judge(Plugins((slow,)), FakeKnownTexts(), timedelta(seconds=0.1)).judge(Candidate(FINE))
        assert not verdict.accepted
        assert verdict.seconds[0][0] == "slow"
        deadline = time.monotonic() + 5
        while not rung and time.monotonic() < deadline:
            signal.sigtimedwait([], 0.01)
        assert rung
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *old)


def test_a_plugin_whose_name_nobody_can_write_stops_everything(folder: Folder, check: Check) -> None:
    path = folder("") / "plugins" / os.fsdecode(b"caf\xe9.py")
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    failed = check(FINE)
    assert failed["code"] == 1
    assert "cannot have that name; rename the file" in failed["message"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("this is no python", "cannot be loaded: SyntaxError"),
        ("import no_such_module", "cannot be loaded: ModuleNotFoundError"),
        ("@hookimpl\ndef biobot_fliter(candidate): return None", "did you mean `biobot_filter`?"),
        (
            "@hookimpl\ndef biobot_filter(candidat): return None",
            "it may take candidate, settings, seen",
        ),
        ("@hookimpl\ndef biobot_filter(candidate, settings=None): return None", "default value"),
        ("def biobot_filter(candidate): return None", "put @hookimpl above biobot_filter"),
        ("@hookimpl\ndef biobot_settings(): return dict", "must return a frozen dataclass"),
        ("@hookimpl\ndef biobot_settings(): raise KeyError('x')", "cannot describe its settings"),
    ],
)
def test_a_plugin_that_cannot_be_loaded_stops_everything(
    folder: Folder, plugin: Plugin, check: Check, body: str, said: str
) -> None:
    folder("")
    plugin("broken", body)
    failed = check(FINE)
    assert failed["code"] == 1
    assert "broken" in failed["message"]
    assert said in failed["message"]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("[filters]\ndisabled = ['dedupe']", "'dedupe' is required"),
        ("[filters]\nrequired = ['profanty']", "did you mean `profanity`?"),
        (
            "[filters]\ndisabled = ['lenght']\n",
            "line 2: filters.disabled: there is no plugin 'lenght'; did you mean `length`?",
        ),
        ("[filters.lenght]\nmin = 3\n", "line 1: filters.lenght: there is no plugin 'lenght'; did you mean `length`?"),
        ("[filters.length]\nmni = 3\n", "line 2: filters.length.mni: there is no such key; did you mean `min`?"),
        ("[filters.length]\nmin = 'a'\n", 'line 2: filters.length.min: "a" is not a whole number'),
    ],
)
def test_a_wrong_word_about_filters_is_an_error_with_its_place(
    folder: Folder, check: Check, config: str, said: str
) -> None:
    folder(config)
    failed = check(FINE)
    assert failed["code"] in (1, 2)
    assert said in failed["message"]


def test_an_operator_may_ask_for_no_filter_at_all_and_still_nothing_unfit_is_accepted(
    folder: Folder, check: Check
) -> None:
    names = ["dedupe", "language", "length", "links", "mentions", "private", "profanity"]
    folder(f"[filters]\nrequired = []\ndisabled = {names}")
    assert check("fuck")["accepted"]
    for text in ("\u202eabc", "a\x00b", "\u200b\u200b", "  ", "x" + "\u0301" * 9):
        assert list(check(text)["reasons"]) == ["wellformed"]


@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_plugin_that_others_could_have_written_is_not_loaded(
    folder: Folder, plugin: Plugin, check: Check, what: str
) -> None:
    folder("")
    path = plugin("mine", "@hookimpl\ndef biobot_filter(candidate): return None\n")
    (path if what == "file" else path.parent).chmod(0o777)
    failed = check(FINE)
    assert "others can write" in failed["message"]
    assert "chmod go-w" in failed["message"]


def test_a_plugin_that_belongs_to_another_user_is_not_loaded(
    folder: Folder, plugin: Plugin, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder("")
    path = plugin("mine", "@hookimpl\ndef biobot_filter(candidate): return None\n")
    if os.geteuid() == 0:  # root's own files are anybody's to load, so it must give this one away
        os.chown(path, 54321, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 54321)
    failed = check(FINE)
    assert failed["code"] == 1
    assert "belongs to another user" in failed["message"]


def test_a_file_of_ones_own_takes_the_place_of_a_bundled_filter(folder: Folder, plugin: Plugin, check: Check) -> None:
    folder("")
    plugin("length", "@hookimpl\ndef biobot_filter(candidate): return 'mine' if len(candidate.text) > 9 else None\n")
    assert check(FINE)["reasons"] == {"length": "mine"}
    plugin("timeout", "@hookimpl\ndef biobot_filter(candidate): return None\n")
    assert "cannot be called 'timeout'" in check(FINE)["message"]


def test_an_installed_package_brings_its_filter_by_entry_point(
    folder: Folder, tmp_path: Path, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder("")
    site = tmp_path / "site"
    (site / "polite-1.0.dist-info").mkdir(parents=True)
    (site / "polite-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: polite\nVersion: 1.0\n")
    (site / "polite-1.0.dist-info" / "entry_points.txt").write_text("[biobot]\npolite = polite_filter\n")
    (site / "polite_filter.py").write_text(
        "from biobot import hookimpl\n@hookimpl\ndef biobot_filter(candidate): return 'not polite'\n"
    )
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))  # for the worker
    assert check(FINE)["reasons"] == {"polite": "not polite"}
    (site / "polite-1.0.dist-info" / "entry_points.txt").write_text("[biobot]\nprofanity = polite_filter\n")
    assert "there is one already" in check(FINE)["message"]


def test_a_file_with_the_name_of_a_bundled_filter_that_filters_nothing_is_refused(
    folder: Folder, plugin: Plugin, check: Check
) -> None:
    folder("")
    path = plugin("links", 'GOOD = ["example.com"]\n')
    failed = check("Everything about bread is on example.com")
    assert failed["code"] == 1
    assert (
        f"{path} has the name of the filter bundled (links.py), but does not implement biobot_filter"
        in failed["message"]
    )
    folder('[filters]\ndisabled = ["links"]')
    assert check("Everything about bread is on example.com")["accepted"]


def test_what_a_filter_does_to_its_candidate_is_not_seen_by_the_others(
    folder: Folder, plugin: Plugin, check: Check
) -> None:
    folder("")
    plugin(
        "a_cleaner",  # the first by name, so asked before `mentions`
        "@hookimpl\ndef biobot_filter(candidate):\n"
        "    object.__setattr__(candidate, 'text', candidate.text.replace('@', ''))\n",
    )
    found = check("Hello @jack, how are you this fine morning?")
    assert found["text"] == "Hello @jack, how are you this fine morning?"
    assert list(found["reasons"]) == ["mentions"]


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("b'caf\\xc3\\xa9'[:4].decode('utf-8', 'surrogateescape')", "caf<DCC3>"),
        ("'a\\x1b[2J\\u202eb\\n\\n c'", "a<1B>[2J<202E>b c"),
        ("'x' * 5_000_000", "x" * 500),
        ("1 / 0 if len(candidate.text) < 3 else 'y' * 499 + '\\udc80'", "y" * 499 + "<"),
    ],
)
def test_a_reason_is_one_printable_line_of_at_most_500_characters(
    folder: Folder, plugin: Plugin, check: Check, reason: str, said: str
) -> None:
    folder("")
    plugin("odd", f"@hookimpl\ndef biobot_filter(candidate):\n    return {reason}\n")
    assert check(FINE)["reasons"]["odd"] == said


CHATTER = """import os, subprocess, sys
print("hello from the import")
subprocess.run(["echo", "hello from a child at import"])

@hookimpl
def biobot_filter(candidate):
    print("hello", "from", "the", "call", end="")
    os.write(1, b"\\nhello from C\\n")
    os.system("echo hello from a child")
"""


def test_what_a_plugin_prints_goes_to_the_log_with_its_name_and_never_between_the_json(
    folder: Folder, plugin: Plugin
) -> None:
    where = folder("")
    plugin("chatty", CHATTER)
    done = subprocess.run(
        [sys.executable, "-m", "biobot", "check", "--json", "--text", FINE, "--text", "hi"],
        cwd=where,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [json.loads(line)["accepted"] for line in done.stdout.splitlines()] == [True, False]
    call = ["plugin chatty: hello from the call", "plugin chatty: hello from C", "plugin chatty: hello from a child"]
    assert done.stderr.splitlines() == [
        "plugin chatty: hello from the import",
        "plugin chatty: hello from a child at import",
        *call,
        *call,
    ]
