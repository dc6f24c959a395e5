"""`biobot corpus`: bios in, counted, out again, and forgotten for good."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from biobot.app.corpus import forget
from biobot.corpus import clean, store
from biobot.corpus.readers import Bio
from biobot.corpus.store import Store
from biobot.dedupe.known_texts import CombinedIndex, Part, open_forgotten
from biobot.errors import CorpusError
from biobot.settings import TrainSettings
from tests.conftest import made_up_bios
from tests.corpus.conftest import Run

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def jsonl(path: Path, *records: dict[str, object] | str) -> str:
    lines = (json.dumps({"bio": each} if isinstance(each, str) else each) for each in records)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def signed(bio: str, author: int, handle: str | None = None) -> dict[str, object]:
    record: dict[str, object] = {"bio": bio, "user_id": str(author)}
    return record | {"handle": handle} if handle else record


# -- import, stats, export ---------------------------------------------------------------------------


def test_a_second_import_adds_nothing_and_says_so(corpus: Run, tmp_path: Path) -> None:
    bios = made_up_bios(500)
    file = tmp_path / "bios.jsonl.gz"
    file.write_bytes(gzip.compress("".join(f"{json.dumps({'bio': bio})}\n" for bio in [*bios, bios[0]]).encode()))
    counts = corpus("import", str(file), "--json")
    assert (counts["added"], counts["duplicates"], counts["skipped"], counts["forgotten"]) == (500, 1, 0, 0)
    assert "nothing new" in corpus("import", str(file))
    assert corpus("stats", "--json")["bios"] == 500


def test_bad_lines_are_counted_and_shown_with_file_and_line(corpus: Run, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"bio": "good"}\nnonsense\n{"x": 1}\n', encoding="utf-8")
    counts = corpus("import", str(file), "--json")
    assert counts["added"] == 1
    assert counts["skipped"] == 2
    assert counts["why"] == {"not JSON": 1, "no bio in it": 1}
    assert f"{file}:2: skipped: not JSON" in corpus.errors  # type: ignore[attr-defined]


def test_a_missing_file_is_one_line_and_exit_code_1(corpus: Run) -> None:
    corpus("import", "nowhere.jsonl", code=1)
    assert corpus.errors.startswith("biobot: cannot read nowhere.jsonl")  # type: ignore[attr-defined]


def test_what_is_exported_can_be_imported_again_without_loss(corpus: Run, tmp_path: Path, home: Path) -> None:
    file = jsonl(tmp_path / "a.jsonl", "alone", signed("both", 5, "Ann"), signed("both", 6), "both", signed("mine", 7))
    corpus("import", file)
    corpus("export", str(tmp_path / "out.jsonl"))
    exported = (tmp_path / "out.jsonl").read_text(encoding="utf-8")
    (home / "corpus.db").rename(home / "old.db")
    corpus("import", str(tmp_path / "out.jsonl"))
    corpus("export", str(tmp_path / "again.jsonl"))
    assert sorted((tmp_path / "again.jsonl").read_text(encoding="utf-8").splitlines()) == sorted(exported.splitlines())
    assert len(exported.splitlines()) == 5


def test_stats_says_what_training_would_leave_out_as_clean_does(corpus: Run, tmp_path: Path, home: Path) -> None:
    bios = [*made_up_bios(50), "see https://example.org", "a@example.org", "+49 30 1234567", "x" * 1025, "é" * 513]
    corpus("import", jsonl(tmp_path / "a.jsonl", *bios))
    stats = corpus("stats", "--json")
    assert stats["left_out"] == {"url": 1, "email": 1, "phone": 1, "max_bytes": 2}
    with Store(home / "corpus.db") as opened:
        assert stats["learnable"] == len(list(clean.clean(opened.bios(), TrainSettings(), Counter()))) == 50
        assert stats["bytes"] == sum(len(bio.text.encode()) for bio in opened.bios())


def test_stats_tells_what_is_too_short_or_in_another_language_without_reading_a_text(
    corpus: Run, bot: Callable[[str], Path], tmp_path: Path, home: Path
) -> None:
    bot('[train]\nmin_bytes = 4\nlanguages = ["en", "ja"]')
    bios = ["the love of my life", "東京に住んでいます", "모두 안녕", "soy de la playa y el mar", "tea", "..."]
    corpus("import", jsonl(tmp_path / "a.jsonl", *bios))
    policy = TrainSettings(min_bytes=4, languages=("en", "ja"))
    with Store(home / "corpus.db") as opened:
        assert len(list(clean.clean(opened.bios(), policy, Counter()))) == 2
        opened.db.execute("UPDATE bio SET text = ''")
    stats = corpus("stats", "--json")
    assert (stats["learnable"], stats["left_out"]) == (2, {"min_bytes": 2, "languages": 2})
    assert "left out  2 bios by train.languages" in corpus("stats")


def test_stats_counts_one_of_a_thing_as_one_and_is_silent_about_nothing(corpus: Run, tmp_path: Path) -> None:
    corpus("import", jsonl(tmp_path / "a.jsonl", "the love of my life"))
    said = corpus("stats")
    assert "stored    1 bio, 19 bytes, of 0 known authors\n" in said
    assert "training  1 bio, 19 bytes\n" in said
    assert "left out" not in said


def test_stats_counts_anew_when_the_rules_of_clean_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store(tmp_path / "corpus.db") as opened:
        opened.add([Bio("tea"), Bio("see https://example.org")], NOW)
    monkeypatch.setattr(clean, "RULES", clean.RULES + 1)
    monkeypatch.setattr(clean, "traits", lambda text: clean.PHONE if text == "tea" else 0)
    with Store(tmp_path / "corpus.db") as opened:
        for _ in range(2):
            stats = opened.stats(TrainSettings())
            assert (stats.left_out, stats.bios) == ({"phone": 1}, 2)


def test_an_author_who_comes_again_has_changed_their_bio(corpus: Run, tmp_path: Path, home: Path) -> None:
    corpus("import", jsonl(tmp_path / "a.jsonl", signed("old", 5), signed("shared", 6), signed("shared", 7), "kept"))
    counts = corpus(
        "import", jsonl(tmp_path / "b.jsonl", signed("new", 5), signed("x", 6), signed("kept", 8)), "--json"
    )
    assert (counts["added"], counts["updated"]) == (2, 2)
    corpus("import", jsonl(tmp_path / "c.jsonl", signed("first", 8), signed("second", 8)))
    bios = [json.loads(line)["bio"] for line in corpus("export", "-").splitlines()]
    assert sorted(bios) == ["kept", "new", "second", "shared", "x"]
    with Store(home / "corpus.db") as opened:  # what nobody signs any more is neither exported nor learnt
        assert sorted(bio.text for bio in opened.bios()) == sorted(bios)


def test_a_killed_import_can_be_run_again_without_loss_or_doubles(tmp_path: Path) -> None:
    count = 45_000
    file = tmp_path / "bios.jsonl"
    with file.open("w", encoding="utf-8") as out:
        for number in range(count):
            out.write(json.dumps({"bio": f"person number {number}", "user_id": number + 1}) + "\n")
    command = [sys.executable, "-m", "biobot", "--home", str(tmp_path / "h"), "corpus", "import", str(file), "--json"]
    draw = random.Random(4)
    stored: list[int] = []
    for _ in range(2):
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        deadline = time.monotonic() + 60
        aim = (stored[-1] if stored else 0) + draw.randrange(1, 15_000)
        while _rows(tmp_path / "h" / "corpus.db") < min(aim, count) and time.monotonic() < deadline:
            if process.poll() is not None:
                break
            time.sleep(0.03)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        stored.append(_rows(tmp_path / "h" / "corpus.db"))
    assert 0 < stored[0] < count, "no kill struck in the middle"
    said = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    counts = json.loads(said)
    assert counts["added"] == count - stored[-1]
    with Store(tmp_path / "h" / "corpus.db") as opened:
        assert {bio.text for bio in opened.bios()} == {f"person number {number}" for number in range(count)}
        assert opened.stats(TrainSettings()).bios == opened.stats(TrainSettings()).authors == count


def _rows(file: Path) -> int:
    """Count committed bios from outside, without hindering anyone."""
    try:
        with sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=0.05) as db:
            return int(db.execute("SELECT coalesce(sum(bios), 0) FROM tally").fetchone()[0])
    except sqlite3.Error:
        return 0


def test_what_came_before_a_broken_file_is_kept(corpus: Run, tmp_path: Path) -> None:
    whole = gzip.compress("".join(f'{{"bio": "number {n} {n * n}"}}\n' for n in range(30_000)).encode())
    (tmp_path / "a.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    corpus("import", str(tmp_path / "a.jsonl.gz"), code=1)
    assert "what came before is kept" in corpus.errors  # type: ignore[attr-defined]
    assert corpus("stats", "--json")["bios"] > 10_000


def test_a_full_disk_is_one_clear_error_and_loses_nothing_stored(tmp_path: Path) -> None:
    with Store(tmp_path / "corpus.db") as opened:
        opened.add(map(Bio, made_up_bios(100)), NOW)
        pages = opened.db.execute("PRAGMA page_count").fetchone()[0]
        opened.db.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(CorpusError, match="full"):
            opened.add(map(Bio, made_up_bios(3000, seed=2)), NOW)
        assert opened.stats(TrainSettings()).bios == 100


def test_two_imports_at_once_add_every_bio_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BATCH", 50)
    with Store(tmp_path / "corpus.db") as one, Store(tmp_path / "corpus.db") as two:
        bios = [Bio(text) for text in made_up_bios(400)]

        def meanwhile() -> Any:
            for number, bio in enumerate(bios):
                if number == 200:
                    two.add(bios, NOW)
                yield bio

        assert one.add(meanwhile(), NOW).added == 200
        assert one.stats(TrainSettings()).bios == 400


def test_a_corpus_of_a_newer_biobot_is_left_alone(tmp_path: Path) -> None:
    with Store(tmp_path / "corpus.db") as opened:
        opened.db.execute("PRAGMA user_version = 99")
    with pytest.raises(CorpusError, match="newer"):
        Store(tmp_path / "corpus.db")


# -- forgetting --------------------------------------------------------------------------------------


def test_f41_whoever_opts_out_is_gone_at_once_and_never_comes_back(corpus: Run, tmp_path: Path, home: Path) -> None:
    mine = "Beekeeper by the north sea, seven hives, one boat and too many books"
    file = jsonl(tmp_path / "a.jsonl", signed(mine, 5, "Ann"), signed("another bio, of somebody else", 6, "Bob"), mine)
    corpus("import", file)
    corpus("forget", "@aNN")
    assert "hives" not in corpus("export", "-")
    counts = corpus("import", file, jsonl(tmp_path / "b.jsonl", signed("a new bio of the same person", 5)), "--json")
    assert (counts["added"], counts["duplicates"], counts["forgotten"]) == (0, 1, 3)
    found = CombinedIndex([Part(open_forgotten(home / "forgotten.idx", 1), "forgotten")])
    layers = {match.layer for match in found.matches(mine.upper())}
    assert "exact" in layers
    assert any(match.layer == "near" and match.amount > 0.7 for match in found.matches(mine.replace("seven", "nine")))
    assert b"hives" not in (home / "corpus.db").read_bytes() + (home / "forgotten.idx").read_bytes()


def test_f41_opting_out_works_before_a_bio_was_ever_seen(corpus: Run, tmp_path: Path) -> None:
    corpus("forget", "5", "@bob", "--text", "Tea  and MAPS")
    bios: list[dict[str, object] | str] = [
        signed("one", 5),
        signed("two", 6, "Bob"),
        "tea and maps",
        {"bio": "two", "screen_name": "BOB"},
        "three",
    ]
    counts = corpus("import", jsonl(tmp_path / "a.jsonl", *bios), "--json")
    assert (counts["added"], counts["forgotten"]) == (1, 4)
    assert corpus("stats", "--json")["forgotten"] == 3


def test_f41_opting_out_works_while_an_import_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BATCH", 10)
    with Store(tmp_path / "corpus.db") as one, Store(tmp_path / "corpus.db") as two:

        def bios() -> Any:
            for number in range(100):
                if number == 50:
                    forget(two, ["3", "80"], [], NOW)
                yield Bio(f"person number {number}", number + 1)

        added = one.add(bios(), NOW)
        assert (added.added, added.forgotten) == (99, 1)
        assert {bio.author for bio in one.rows()} == set(range(1, 101)) - {3, 80}


def test_forgetting_a_text_takes_its_only_author_along_but_not_one_of_many(corpus: Run, tmp_path: Path) -> None:
    corpus("import", jsonl(tmp_path / "a.jsonl", signed("I am unique", 5), signed("music", 6), signed("music", 7)))
    corpus("forget", "--text", "i am UNIQUE", "--text", "Music")
    again = signed("another of mine", 5), signed("another of six", 6), signed("another of seven", 7)
    counts = corpus("import", jsonl(tmp_path / "b.jsonl", *again, "music"), "--json")
    assert (counts["added"], counts["forgotten"]) == (2, 2)


def test_a_list_of_opt_outs_is_read_from_a_file(corpus: Run, tmp_path: Path) -> None:
    (tmp_path / "out.txt").write_text("# asked on Monday\n5\n@Bob  # by mail\n\n", encoding="utf-8")
    assert corpus("forget", "--file", str(tmp_path / "out.txt"), "--json")["keys"] == 2
    (tmp_path / "out.txt").write_text("Bob\n", encoding="utf-8")
    corpus("forget", "--file", str(tmp_path / "out.txt"), code=2)
    assert "with its @" in corpus.errors  # type: ignore[attr-defined]


def test_the_audit_tells_what_happened_in_nobodys_words(corpus: Run, tmp_path: Path, home: Path) -> None:
    corpus("import", jsonl(tmp_path / "a.jsonl", signed("a secret life", 5, "ann")))
    corpus("forget", "@ann")
    with sqlite3.connect(home / "corpus.db") as db:
        ((what,),) = db.execute("SELECT what FROM audit")
        everything = "\n".join(db.iterdump())
    assert what == "forgot on request: 1 bio, 1 author removed, 3 keys added"
    assert "secret" not in everything
    assert "ann" not in everything.replace("scanned", "")


def test_a_forget_that_cannot_write_its_fingerprints_forgets_nothing_by_halves(tmp_path: Path) -> None:
    with Store(tmp_path / "corpus.db") as opened:
        opened.add([Bio("mine", 5)], NOW)
        (tmp_path / "forgotten.idx").mkdir()
        with pytest.raises(CorpusError, match=r"forgotten\.idx"):
            forget(opened, ["5"], [], NOW + timedelta(days=1))
        assert [bio.author for bio in opened.rows()] == [5]
        assert not opened.forgotten().keys


def test_corpus_needs_neither_torch_nor_tweepy_and_numpy_only_to_forget(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "a.jsonl", signed("mine", 5))
    script = (
        "import sys; from biobot.cli import main\n"
        "for arguments in sys.argv[1:]:\n"
        "    try: main(['corpus', *arguments.split()])\n"
        "    except SystemExit as left: assert left.code == 0\n"
        "    print([each for each in ('torch', 'tweepy', 'numpy') if each in sys.modules])"
    )
    home = {"BIOBOT_HOME": str(tmp_path / "h")}
    done = subprocess.run(
        [sys.executable, "-c", script, f"import {file}", "stats", "export -", "forget 5"],
        env=os.environ | home,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        check=True,
    )
    said = [line for line in done.stdout.decode().splitlines() if line.startswith("[")]
    assert said == ["[]", "[]", "[]", "['numpy']"]
