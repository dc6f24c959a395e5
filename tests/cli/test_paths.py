"""A folder's name may hold whatever a file system takes: every file is found under it, and none beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from biobot.cli import main
from tests.homes import kill_within_a_transaction

FINE, FORGOTTEN = "A quiet baker of moons and three goats", "Grandmother whistles only when it rains"


@pytest.mark.parametrize("name", ["why?mode=rw 50%25off#1", "-bot#1 q'uo\"te; é\n🙂"])
def test_a_folder_with_any_name_is_one_bot_that_knows_its_own_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "biobot.toml").write_text('[schedule]\nevery = "6h"\n')
    (folder / "bios?#%.txt").write_text(f"{FORGOTTEN}\nA gardener who paints boats in the harbour\n")
    monkeypatch.chdir(folder)
    for variable in ("BIOBOT_CONFIG", "BIOBOT_HOME", "STATE_DIRECTORY", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(variable, raising=False)

    def run(*words: str) -> str:
        with pytest.raises(SystemExit) as left:
            main(list(words))
        said = capsys.readouterr()
        assert left.value.code == 0, said.err
        return said.out

    run("corpus", "import", "bios?#%.txt")
    run("corpus", "forget", "--text", FORGOTTEN)
    assert run("post", "--text", FINE).splitlines()[1].startswith("posted 1 as ")
    said = run("check", "--json", "--text", FINE, "--text", FORGOTTEN)
    assert [json.loads(line)["accepted"] for line in said.splitlines()] == [False, False]
    kill_within_a_transaction(folder / "state" / "outbox.db", "UPDATE post SET text = 'another' || hex(zeroblob(9999))")
    assert json.loads(run("queue", "list", "--json"))["text"] == FINE
    assert json.loads(run("corpus", "stats", "--json"))["forgotten"] == 1
    assert json.loads(run("status", "--json"))["queue"]["posted"] == 1
    assert run("undo", "1").splitlines()[1].startswith("deleted 1")
    assert [each.name for each in tmp_path.iterdir()] == [name]
    assert {each.name for each in folder.iterdir()} == {"biobot.toml", "bios?#%.txt", "state"}
