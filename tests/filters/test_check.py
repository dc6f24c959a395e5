"""`biobot check`: texts from a file, standard input or the command line, judged as the bot would."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from biobot.app.doctor import check_all
from biobot.cli import main
from biobot.config import load
from biobot.dedupe import known_texts
from biobot.errors import PluginError
from biobot.posting.outbox import Outbox
from biobot.posting.post import Draft, State
from biobot.testing import fill_outbox
from biobot.worker.client import Worker
from tests.conftest import made_up_bios

Folder = Callable[[str], Path]
FINE = "A baker who dreams of slow trains and warm evenings"


def lines(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    with pytest.raises(SystemExit) as left:
        main(["check", "--json", *arguments])
    out, err = capsys.readouterr()
    assert left.value.code == 0, err
    return [json.loads(line) for line in out.splitlines()]


def test_judges_each_line_in_order_and_needs_neither_torch_nor_tweepy(folder: Folder) -> None:
    given = f'{FINE}\nfuck this\n{{"text": "line one\\nline two, of a text in JSON"}}\nbad \xff bytes'.encode("latin-1")
    program = (
        "import sys\nfrom biobot.cli import main\ntry:\n    main(['check', '--json', '-'])\n"
        "finally:\n    assert not {'torch', 'tweepy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], input=given, capture_output=True, cwd=folder(""), check=True)
    found = [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert [each["accepted"] for each in found] == [True, False, True, False]
    assert {"text", "weighted_length", "accepted", "objections"} <= set(found[0])
    assert {"text": FINE, "weighted_length": len(FINE), "objections": []}.items() <= found[0].items()
    assert [each["filter"] for each in found[1]["objections"]] == ["length", "profanity"]
    assert found[3]["objections"][0]["filter"] == "wellformed"


def test_a_copy_of_training_text_is_refused_and_never_repeated(
    folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    folder("")
    bio = made_up_bios(300)[42]
    for text in (bio, bio.upper(), bio.replace("a", "à")):
        (found,) = lines(capsys, "--text", text)
        assert found["objections"] == [{"filter": "dedupe", "reason": "exact: the same text as a training bio"}]


def test_posted_queued_and_forgotten_texts_are_refused_but_a_row_is_not_its_own_copy(
    folder: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = folder("") / "state"
    posted, queued = "The quiet river hums to a lantern at dawn", "Seven clumsy foxes rent a paper umbrella"
    fill_outbox(home, [posted])
    with Outbox(home / "outbox.db", "rehearsal") as outbox:
        (row,) = outbox.add([Draft(queued)], State.APPROVED, datetime.now(UTC))
    assert row is not None
    forgotten = "Grandmother whistles only when it rains on Tuesday"
    known_texts.forget(home / "forgotten.idx", [forgotten])
    texts = tmp_path / "texts"
    texts.write_text(
        f"{posted}\n{queued}!\n{forgotten}\n{json.dumps({'text': queued, 'id': row.id})}\n", encoding="utf-8"
    )
    reasons = [[each["reason"] for each in found["objections"]] for found in lines(capsys, str(texts))]  # type: ignore[attr-defined]
    assert reasons[0] == ["exact: the same text as an earlier post"]
    assert reasons[1][0].startswith("near: ")
    assert reasons[2] == ["exact: the same text as a bio whose author opted out"]
    assert reasons[3] == []


@pytest.mark.parametrize("how", ["emptied", "removed", "of before"])
def test_opt_outs_that_are_lost_stop_everything_until_they_are_back(
    folder: Folder, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    home = folder("") / "state"
    path, texts = (
        home / "forgotten.idx",
        ["Grandmother whistles only when it rains", "Seven clumsy foxes rent umbrellas"],
    )
    kept = b""
    for text in texts:
        kept = path.read_bytes() if path.exists() else b""
        with pytest.raises(SystemExit):
            main(["corpus", "forget", "--text", text])
    whole = path.read_bytes()
    path.write_bytes(kept if how == "of before" else b"")
    if how == "removed":
        path.unlink()
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        main(["check", "--text", FINE])
    assert left.value.code == 1
    (found,) = (each for each in check_all(load(), datetime.now(UTC)) if each.name == "corpus")
    assert "of the 2 texts whose authors opted out" in found.found
    assert not found.ok
    assert f"holds {len(kept.splitlines()) if how == 'of before' else 0} of the 2 texts" in capsys.readouterr().err
    for text in texts:  # until all are forgotten again
        with pytest.raises(SystemExit) as left:
            main(["check", "--text", FINE])
        assert left.value.code == 1
        with pytest.raises(SystemExit):
            main(["corpus", "forget", "--text", text])
    capsys.readouterr()
    assert sorted(path.read_bytes().splitlines()) == sorted(whole.splitlines())
    assert [each["accepted"] for each in lines(capsys, "--text", FINE, "--text", texts[0])] == [True, False]


def test_the_opt_outs_of_another_bot_are_no_opt_outs(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    path, text = folder("") / "state" / "forgotten.idx", "Grandmother whistles only when it rains"
    forget, check = ["corpus", "forget", "--text", text], ["check", "--text", FINE]

    def run(words: list[str]) -> str:
        with pytest.raises(SystemExit):
            main(words)
        return capsys.readouterr().err

    run(forget)
    path.unlink()
    known_texts.forget(path, ["A list that is just as long, of somebody else"])
    for words in (check, forget):
        assert "is not the list of opt-outs that this bot wrote" in run(words), "nor is it taken over"
    path.unlink()
    run(forget)
    assert [each["accepted"] for each in lines(capsys, "--text", FINE, "--text", text)] == [True, False]


@pytest.mark.parametrize("cut", [1, 2, 9, 17, 500])
def test_opt_outs_that_were_cut_off_are_told_by_doctor_too(
    folder: Folder, capsys: pytest.CaptureFixture[str], cut: int
) -> None:
    path = folder("") / "state" / "forgotten.idx"
    with pytest.raises(SystemExit):
        main(["corpus", "forget", "--text", FINE, "--text", "Grandmother whistles only when it rains"])
    path.write_bytes(path.read_bytes()[:-cut])
    (found,) = (each for each in check_all(load(), datetime.now(UTC)) if each.name == "corpus")
    assert not found.ok
    assert "forgotten.idx" in found.found
    with pytest.raises(SystemExit) as left:
        main(["check", "--text", FINE])
    assert left.value.code == 1


def test_a_corpus_that_is_lost_with_its_opt_outs_takes_nobody_in_again(
    folder: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = folder("") / "state"
    bios = tmp_path / "bios.jsonl"
    bios.write_text('{"bio": "Grandmother whistles only when it rains", "user_id": 7}\n')
    command = ["corpus", "import", str(bios)]
    for words in (command, ["corpus", "forget", "7"]):
        with pytest.raises(SystemExit) as left:
            main(words)
        assert left.value.code == 0
    (home / "corpus.db").unlink()
    with pytest.raises(SystemExit) as left:
        main(command)
    assert left.value.code == 1
    assert "does not know who they are" in capsys.readouterr().err
    (found,) = (each for each in check_all(load(), datetime.now(UTC)) if each.name == "corpus")
    assert not found.ok
    for words in (["corpus", "forget", "7"], command):
        with pytest.raises(SystemExit) as left:
            main(words)
        assert left.value.code == 0
    assert "forgotten" in capsys.readouterr().out


@pytest.mark.parametrize("broken", ["outbox.db", "forgotten.idx", "fingerprints.idx"])
def test_what_cannot_be_compared_is_not_judged(
    folder: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str], broken: str
) -> None:
    folder("")
    path = tmp_path / "learnt" / broken if broken == "fingerprints.idx" else tmp_path / "state" / broken
    path.write_text("nonsense, and no database\n" * 100)
    with pytest.raises(SystemExit) as left:
        main(["check", "--text", FINE])
    assert left.value.code == 1
    assert broken in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--text", "x", "file"], ["no-such-file"]])
def test_a_wrong_command_line_leaves_with_two(folder: Folder, arguments: list[str]) -> None:
    folder("")
    with pytest.raises(SystemExit) as left:
        main(["check", *arguments])
    assert left.value.code == 2


def test_people_read_a_mark_and_the_reasons(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    folder("")
    with pytest.raises(SystemExit):
        main(["check", "--text", FINE, "--text", "hi @you"])
    assert capsys.readouterr().out == (
        f"✓ {FINE}\n✗ hi @you\n    length: too short (7 of at least 20)\n    mentions: mentions somebody\n"
    )


def test_a_text_that_cannot_be_judged_says_so_in_the_words_of_judging(folder: Folder) -> None:
    path = folder("") / "plugins" / "broken.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text("1 / 0\n")
    with pytest.raises(
        PluginError, match=r"^judging the text failed: .*broken.*; a text that was not judged is not posted$"
    ):
        Worker(load()).judge(FINE)
