"""Plugins that are not what their author believes: one line that names the plugin and says how to fix it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from biobot.config import load
from biobot.errors import BiobotError
from biobot.filters import loader
from tests.conftest import Run

HOOK = "from biobot import hookimpl\n@hookimpl\ndef biobot_filter(candidate):\n    return 'never'\n"
ODD = "class Odd(Exception):\n    def __str__(self):\n        raise ValueError('no text')\n"
SETTINGS = """
from __future__ import annotations
from dataclasses import dataclass
from biobot import hookimpl
@dataclass(frozen=True)
class Settings:
    v: TYPE = None
@hookimpl
def biobot_settings():
    return Settings
@hookimpl
def biobot_filter(candidate, settings):
    assert settings.v == VALUE
"""
BROKEN = {
    "an exit": ("import sys; sys.exit()", "SystemExit"),
    "an exit with success": ("raise SystemExit(0)", "SystemExit: 0"),
    "an exception of its own": ("class Stop(BaseException): pass\nraise Stop('now')", "Stop: now"),
    "an exception whose text raises": (f"{ODD}raise Odd", "Odd: (its text cannot be shown)"),
    "an exception with escapes": ("raise ValueError('\\033]0;owned\\a')", "ValueError: <1B>]0;owned<07>"),
    "a loop": ("while True: pass", "takes longer than 0.5 s (5 times filters.timeout); does it loop?"),
    "a sleep": ("import time; time.sleep(60)", "does it loop?"),
    "a class": (
        "from biobot import hookimpl\nclass Mine:\n    @hookimpl\n    def biobot_filter(self, candidate): return 'no'",
        "its hooks are in the class Mine; write them as functions",
    ),
    "no hook": ("def filter(candidate): return 'no'", "filter is not a hook, and the file has none, so"),
    "a loop in its settings": (
        "from biobot import hookimpl\n@hookimpl\ndef biobot_settings():\n    while True: pass",
        "does it loop?",
    ),
    "an exit in its settings": (
        "from biobot import hookimpl\n@hookimpl\ndef biobot_settings():\n    raise SystemExit",
        "SystemExit",
    ),
    "settings of an unknown type": (SETTINGS.replace("TYPE", "set[str]"), "the type of v, set[str], is not known here"),
    "settings of two types": (SETTINGS.replace("TYPE", "tuple[str, int]"), "the type of v, tuple[str, int], is not"),
    "settings of no type": (SETTINGS.replace("TYPE", "Undefined"), "name 'Undefined' is not defined"),
}

DEATHS = {
    "an interrupt of its own": ("raise KeyboardInterrupt", "ended by SIGINT while the plugin NAME was imported"),
    "an exit that nobody sees": ("import os; os._exit(0)", "the worker ended with status 0 while the plugin NAME was"),
    "a crash": (
        "import ctypes; ctypes.string_at(0)",
        "the worker was ended by SIGSEGV while the plugin NAME was imported",
    ),
    "a signal": ("import os; os.kill(os.getpid(), 40)", "ended by signal 40 while the plugin NAME was imported"),
    "closed files": ("import os; os.closerange(0, 999)", "ended with status 1 while the plugin NAME was imported"),
    "closed files that became others": (
        f"import os; os.closerange(3, 999); kept = [open('/dev/null') for _ in range(500)]\n{HOOK}",
        "(it closed files that are not its own) while the plugin NAME was imported",
    ),
    "an exit in its settings": (
        "import os\nfrom biobot import hookimpl\n@hookimpl\ndef biobot_settings():\n    os._exit(5)",
        "the worker ended with status 5 while the plugin NAME described its settings",
    ),
}
"""What no `except` sees: the process is gone."""

Folder = Callable[[str], Path]


@pytest.fixture
def own(bot: Folder) -> Path:
    return bot('[filters]\ntimeout = "0.1s"\n') / "plugins"


@pytest.mark.parametrize("cases", [BROKEN, DEATHS], ids=["broken", "dead"])
def test_each_plugin_that_cannot_be_loaded_is_listed_with_a_line_that_names_it(
    own: Path, run: Run, cases: dict[str, tuple[str, str]]
) -> None:
    expected = {}
    for number, (what, (source, words)) in enumerate(cases.items()):
        name = f"mine_{number}"
        (own / f"{name}.py").write_text(source)
        expected[name] = (what, words.replace("NAME", name))
    (own / "zoo.py").write_text(HOOK)
    code, out, err = run("plugins", "list", "--json")
    assert (code, err) == (1, f"biobot: {len(expected)} plugins cannot be loaded: see above\n")
    found = {each["name"]: each["problem"] for each in map(json.loads, out.splitlines())}
    assert found["zoo"] == ""
    for name, (what, words) in expected.items():
        assert words in found[name], what
        assert f"the plugin {name} " in found[name], what
        assert "\n" not in found[name], what


@pytest.mark.parametrize(("cases", "what"), [(BROKEN, "an exit"), (DEATHS, "an exit that nobody sees")])
def test_a_command_that_needs_plugins_says_which_one_cannot_be_loaded(
    own: Path, run: Run, cases: dict[str, tuple[str, str]], what: str
) -> None:
    source, words = cases[what]
    (own / "mine.py").write_text(source)
    code, out, err = run("check", "--text", "A baker who dreams of slow trains")
    assert (code, out) == (1, "")
    assert "the plugin mine" in err
    assert words.replace("NAME", "mine") in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("words", ["check --text Baker", "plugins test mine -n 1", "tune -n 10"])
def test_a_filter_that_ends_the_process_is_named_and_accepts_nothing(own: Path, run: Run, words: str) -> None:
    (own / "mine.py").write_text(HOOK.replace("return 'never'", "import os; os._exit(0)"))
    code, out, err = run(*words.split())
    assert (code, out) == (1, "")
    assert err == (
        "biobot: the worker ended with status 0 while the plugin mine judged a text; fix it, or turn it off with "
        'filters.disabled = ["mine"]\n'
    )


def test_a_plugin_that_hangs_where_no_alarm_reaches_it_is_stopped_and_named(own: Path, run: Run) -> None:
    (own / "mine.py").write_text(
        "import ctypes\nctypes.pythonapi.PyOS_setsig(14, ctypes.c_void_p(1))\nwhile True: pass"
    )
    code, _, err = run("check", "--text", "Baker")
    assert code == 1
    assert err.startswith("biobot: the worker took longer than 1 s and was stopped while the plugin mine was imported;")


def test_a_link_to_nothing_and_a_folder_are_one_line_each_and_can_be_turned_off(
    bot: Folder, own: Path, run: Run
) -> None:
    (own / "gone.py").symlink_to("nowhere.py")
    assert "is a link to nowhere.py, which is not there" in run("check", "--text", "A baker who dreams")[2]
    (own / "gone.py").unlink()
    (own / "package").mkdir()
    (own / "package" / "__init__.py").write_text(HOOK)
    assert "is a folder, and only files are loaded" in run("check", "--text", "A baker who dreams")[2]
    (own / "package" / "__init__.py").rename(own / "package" / "deep.py")
    assert "is a folder, and only files are loaded" in run("check", "--text", "A baker who dreams")[2]
    (own / "gone.py").symlink_to("nowhere.py")
    bot('[filters]\ndisabled = ["package", "gone"]\n')
    assert run("check", "--text", "A baker who dreams of slow trains and warm evenings")[0] == 0


def test_a_file_that_only_its_author_takes_for_a_plugin_is_an_error_and_not_passed_over(own: Path) -> None:
    for name, words in (
        ("mine.PY", "its name does not end in .py: rename it"),
        ("mine.py.txt", "its name does not end in .py: rename it"),
        ("pipe.py", "is not a regular file"),
        ("hook.py", "there is no hook biobot_filtre"),
    ):
        path = own / name
        if name == "pipe.py":
            os.mkfifo(path)
        else:
            path.write_text(
                HOOK.replace("hookimpl\ndef biobot_filter", "hookimpl(optionalhook=True)\ndef biobot_filtre")
            )
        with pytest.raises(BiobotError, match=words):
            loader.load(load())
        path.unlink()
    (own / "fine.py").write_text(HOOK)
    (own / "fine.py.txt").write_text("a copy")
    assert "fine" in [each.name for each in loader.load(load())]


def test_folders_and_files_that_are_no_plugins_are_left_alone(own: Path) -> None:
    (own / "data").mkdir()
    (own / "data" / "words.txt").write_text("word")
    (own / "__pycache__").mkdir()
    (own / "_helpers.py").write_text("def help(): pass\n")
    (own / "example.py").write_text('"""Only comments."""\nfrom biobot import hookimpl\n')
    assert [each.name for each in loader.load(load()) if not each.origin.startswith("bundled")] == ["example"]


def test_the_list_and_the_doctor_show_every_broken_plugin_beside_the_others(own: Path, run: Run) -> None:
    (own / "fine.py").write_text(HOOK)
    (own / "one.py").write_text("import sys; sys.exit()")
    (own / "two.py").write_text("def filter(candidate): return 'no'")
    (own / "three.py").write_text("import os; os._exit(0)")
    code, out, err = run("plugins", "list")
    assert code == 1
    assert err == "biobot: 3 plugins cannot be loaded: see above\n"
    assert "SystemExit" in out
    assert "filter is not a hook" in out
    assert f"filter             {own / 'fine.py'}" in out
    code, out, err = run("doctor")
    assert code == 1
    line = next(each for each in out.splitlines() if each[6:13] == "plugins")
    assert line.startswith("FAIL")
    assert "the plugin one" in line
    assert "the plugin two" in line
    assert "the plugin three" in line
    assert "torch" in out  # the rest is looked at, too


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        ("list[str]", '["a", "b"]', ["a", "b"]),
        ("tuple[str, ...]", '["a"]', ("a",)),
        ("dict[str, int]", "{a = 1}", {"a": 1}),
        ("dict[str, list[float]]", "{a = [1]}", {"a": [1.0]}),
        ("str | None", '"a"', "a"),
    ],
)
def test_settings_are_read_as_the_type_that_they_have(bot: Folder, kind: str, value: str, read: object) -> None:
    folder = bot(f"[filters.mine]\nv = {value}\n")
    (folder / "plugins" / "mine.py").write_text(SETTINGS.replace("TYPE", kind))
    (plugin,) = (each for each in loader.load(load()) if each.name == "mine")
    assert plugin.settings.v == read


@pytest.mark.parametrize(("kind", "value"), [("list[str]", '"a"'), ("dict[str, int]", "[1]"), ("list[int]", '["a"]')])
def test_a_setting_of_another_type_is_an_error_with_its_line(bot: Folder, kind: str, value: str) -> None:
    folder = bot(f"[filters.mine]\nv = {value}\n")
    (folder / "plugins" / "mine.py").write_text(SETTINGS.replace("TYPE", kind))
    with pytest.raises(BiobotError, match=r"biobot\.toml, line 2: filters\.mine\.v"):
        loader.load(load())


def test_an_exception_whose_text_raises_is_an_objection(own: Path, run: Run) -> None:
    (own / "mine.py").write_text(f"{ODD}{HOOK.replace('return', 'raise Odd #')}")
    code, out, _ = run("check", "--text", "A baker who dreams of slow trains and warm evenings")
    assert code == 0
    assert "mine: failed: Odd: (its text cannot be shown)" in out


def test_numbers_that_are_not_in_quotes_are_an_error_that_says_so(bot: Folder) -> None:
    bot("[sample]\ntemperatures = {0.8 = 3}\n")
    with pytest.raises(
        BiobotError, match=r'line 2: sample\.temperatures: put the numbers in quotes, as in {"0\.8" = 3}'
    ):
        load()


def test_the_doctor_remarks_on_temperatures_of_a_decimal_comma(bot: Folder, run: Run) -> None:
    bot("[sample]\ntemperatures = [0,8]\n")
    assert "is `sample.temperatures` meant to have 0, 8?" in run("doctor")[1]
