"""`biobot plugins list|test|new`, and the guide, whose code is run as it stands."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

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
    assert "(needs pytest: pip install pytest)" in said
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
        (["new", "No-Good"], "is no name for a plugin"),
        (["new", "wellformed"], "is no name for a plugin"),
        (["new", "profanity"], "there is a plugin 'profanity' already: bundled (profanity.py); choose another name"),
        (["new", "links"], "there is a plugin 'links' already: bundled (links.py)"),
        (["new", "own"], "own.py; choose another name"),
        (["test", "nothing", "--texts", "x"], "there is no filter 'nothing'"),
        (["test", "gone.py", "--texts", "x"], "there is no file gone.py"),
    ],
)
def test_a_wrong_name_is_one_clear_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    (folder / "plugins" / "own.py").write_text("")
    with pytest.raises(SystemExit) as left:
        main(["plugins", *arguments])
    assert left.value.code == 1
    assert said in capsys.readouterr().err
    assert [each.name for each in folder.glob("*s/*.py")] == ["own.py"]


def test_every_hook_and_its_arguments_are_in_the_guide() -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    hooks = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("biobot_")}
    assert len(hooks) == 3
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
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.syspath_prepend(str(folder / "site"))
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
