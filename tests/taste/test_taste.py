"""A taste ranks as its owner would, is hard to game, and keeps every mark."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from io import StringIO
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from biobot.candidate import Candidate
from biobot.cli import main
from biobot.errors import TasteError
from biobot.posting import transitions
from biobot.posting.drafts import SamplingRecord
from biobot.posting.outbox import Outbox
from biobot.posting.post import Draft, State
from biobot.taste import taste
from biobot.taste.features import FORM, features
from biobot.taste.lexicon import HOLDERS, load, words
from biobot.taste.marks import Mark, Marks, read
from biobot.taste.ranker import Observation, Ranker, fit
from biobot.taste.variety import Variety

ANIMALS = (
    *("dog", "goat", "penguins", "cat", "owls", "horse", "bees", "wolf", "lizard", "sheep", "whale", "squirrels"),
    *("puppies", "cow", "duck", "monkey", "sharks", "kitten", "fox", "spider", "rabbit", "birds", "lion", "frogs"),
)
STARTS = ("Proud friend of one", "Still talking to my", "Lives with a", "I paint every", "Ask me about the")
ENDS = ("and nothing else", "since 2009", "on weekends", "in a small town", "for a living", "with great patience", "")
LINES = "".join(json.dumps({"text": f"A made-up text {n}", "mark": n % 7 / 2}) + "\n" for n in range(200)).encode()
NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
Said = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def marks() -> list[Mark]:
    with gzip.open(taste.MARKS) as file:
        return list(read(file, lambda number, why: pytest.fail(f"line {number}: {why}")))


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(list(words))
    return int(left.value.code or 0)


def rate(home: Path, marks: Sequence[Mark], value: Callable[[str], float], source: str = "rate") -> None:
    with Marks(home / "taste.db") as opened:
        opened.add([Mark(each.candidate, value(each.candidate.text), source=source) for each in marks], NOW)


def short(text: str) -> float:
    return 3.0 if len(text) < 45 else 0.5


def test_the_shipped_taste_was_learnt_from_the_shipped_marks(marks: list[Mark]) -> None:
    shipped, about = taste.base()
    assert about["marks"] == len(marks) == 1000
    observed = [Observation(at, each.value or 0) for at, each in enumerate(marks)]
    for blind in (False, True):
        texts = features([Candidate(each.candidate.text) if blind else each.candidate for each in marks])
        assert np.abs(fit(texts, observed).scores(texts) - shipped.scores(texts)).max() < 0.01


def test_the_shipped_taste_predicts_marks_that_it_has_not_seen(marks: list[Mark]) -> None:
    texts = features([each.candidate for each in marks])
    found = taste.validate(texts, np.array([each.value for each in marks]), 1)
    assert found.spearman > 0.5
    assert found.top_tenth_good > 0.7 > 0.5 > found.average_good


@pytest.mark.parametrize("text", ["\n" * 40, "." * 60, "♥" * 80, "qxz wvk jjq zzx", "a " * 100])
def test_a_degenerate_text_gains_nothing(text: str) -> None:
    ranking = taste.Taste(taste.base()[0])
    assert ranking.scores([Candidate(text)])[0] < ranking.neutral


def test_another_language_gets_the_average_score_and_no_less() -> None:
    ranking = taste.Taste(taste.base()[0])
    german = "Ich bin ein Bäcker und liebe die Berge, das Brot und den Wein mit meiner Frau"
    assert ranking.scores([Candidate(german), Candidate("東京在住の写真家です")]) == [ranking.neutral] * 2


def test_a_taste_follows_its_owner_and_says_how_well(home: Path, marks: list[Mark]) -> None:
    rate(home, marks[:120], short)
    learnt = taste.learn(home)
    assert learnt.in_use == "own"
    assert learnt.owned is not None
    assert learnt.shipped is not None
    assert learnt.owned.spearman > learnt.shipped.spearman
    assert "You like less: characters" in learnt.why
    rest = [each.candidate for each in marks[200:]]
    scores = np.array(taste.load(home).scores(rest))
    top = np.argsort(-scores)[: len(rest) // 10]
    assert np.mean([short(rest[at].text) == 3 for at in top]) >= 0.7


def about_animals(text: str) -> float:
    return 3.0 if set(words(text)) & set(ANIMALS) else 0.0


def test_a_taste_finds_out_what_its_owner_likes_to_read_about(home: Path, marks: list[Mark]) -> None:
    named = [f"{start} {animal} {end}" for start, animal, end in zip(cycle(STARTS), ANIMALS, cycle(ENDS))]
    others = [each.candidate.text for each in marks if not about_animals(each.candidate.text)]
    learnt, unseen = named[: len(named) // 2], named[len(named) // 2 :]
    with Marks(home / "taste.db") as opened:
        texts = learnt + others[: 100 - len(learnt)]
        opened.add([Mark(Candidate(each), about_animals(each), source="rate") for each in texts], NOW)
    found = taste.learn(home)
    assert found.in_use == "own"
    assert "You like more: animal words" in found.why
    rest = unseen + others[200 : 200 + 9 * len(unseen)]
    scores = np.array(taste.load(home).scores([Candidate(each) for each in rest]))
    best = [rest[at] for at in np.argsort(-scores)[: len(rest) // 10]]
    assert np.mean([about_animals(each) > 0 for each in best]) >= 0.7  # none of these animals was ever marked


@pytest.mark.parametrize("seed", range(3))
def test_marks_without_a_pattern_leave_the_shipped_taste_in_use(home: Path, marks: list[Mark], seed: int) -> None:
    noise = iter(np.random.default_rng(seed).uniform(0, 3, 60))
    rate(home, marks[:60], lambda _: float(next(noise)))
    learnt = taste.learn(home)
    assert learnt.in_use == "shipped"
    assert "does not predict your marks better" in learnt.why
    assert taste.load(home).own is None


def test_new_marks_count_before_they_are_learnt_for_good(home: Path, marks: list[Mark]) -> None:
    rate(home, marks[:100], short)
    fresh = taste.load(home)
    assert fresh.own is not None
    assert not (home / "taste").exists()  # loading writes nothing
    taste.learn(home)
    some = [each.candidate for each in marks[100:110]]
    assert np.allclose(taste.load(home).scores(some), fresh.scores(some), atol=1e-3)


def test_an_edit_raises_the_better_text(home: Path, marks: list[Mark]) -> None:
    rate(home, marks[:100], short)
    pair = marks[300].candidate, marks[301].candidate
    before = taste.load(home).scores(pair)
    with Marks(home / "taste.db") as opened:
        opened.add([Mark(pair[0], worse=pair[1].text, source="edit")], NOW)
    after = taste.load(home).scores(pair)
    assert after[0] - after[1] > before[0] - before[1]


def test_the_newest_mark_of_a_text_counts_and_undo_brings_the_earlier_back(home: Path) -> None:
    candidate = Candidate("A quiet baker of moons")
    with Marks(home / "taste.db") as opened:
        for value in (1.0, 3.0):
            opened.add([Mark(candidate, value, source="rate")], NOW)
        assert [each.value for each in opened.newest()] == [3.0]
        undone = opened.undo("rate")
        assert undone is not None
        assert undone.value == 3.0
        assert [each.value for each in opened.newest()] == [1.0]
        assert opened.forget(lambda text: "baker" in text) == 1
        assert len(opened) == 0


def test_a_home_without_marks_uses_the_shipped_taste_and_writes_nothing(home: Path) -> None:
    assert taste.load(home).own is None
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04"])
def test_a_damaged_file_of_what_was_learnt_is_learnt_again(home: Path, marks: list[Mark], content: bytes) -> None:
    rate(home, marks[:100], short)
    taste.learn(home)
    expected = taste.load(home).scores([marks[500].candidate])
    (home / "taste" / "own.npz").write_bytes(content)
    assert np.allclose(taste.load(home).scores([marks[500].candidate]), expected, atol=1e-3)


def test_a_database_of_marks_that_is_damaged_is_one_clear_error(home: Path) -> None:
    (home / "taste.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(TasteError, match=r"taste\.db is no SQLite database"):
        taste.load(home)


def test_a_ranker_comes_back_from_its_file_as_it_was(tmp_path: Path, marks: list[Mark]) -> None:
    texts = features([each.candidate for each in marks[:60]])
    ranker = fit(texts, [Observation(at, each.value or 0) for at, each in enumerate(marks[:60])])
    ranker.save(tmp_path / "r.npz")
    assert np.array_equal(Ranker.load(tmp_path / "r.npz").scores(texts), ranker.scores(texts))


def test_a_text_has_the_same_features_alone_and_among_others(marks: list[Mark]) -> None:
    some = [each.candidate for each in marks[:30]] + [Candidate(each) for each in ("", "\n\n", "12 x² <3", "\ud800")]
    together = features(some)
    for at, each in enumerate(some):
        alone = features([each])
        assert np.allclose(alone.form[0], together.form[at], atol=1e-5, equal_nan=True), each.text
        assert np.allclose(alone.topic[0], together.topic[at], atol=1e-6), each.text
        for one, all_of in ((alone.terms, together.terms), (alone.meanings, together.meanings)):
            mine = all_of.rows == at
            found = np.array(sorted(zip(one.columns, one.values, strict=True)))
            assert np.allclose(found, sorted(zip(all_of.columns[mine], all_of.values[mine], strict=True)))


def test_an_explanation_adds_words_and_form(marks: list[Mark]) -> None:
    effects = taste.Taste(taste.base()[0]).explain(marks[0].candidate)
    assert set(FORM) <= set(effects)
    assert any(name.startswith("“") for name in effects)


def test_the_lexicon_holds_no_phrase_of_few_people() -> None:
    known = load()
    assert known.counts[:-3].min() >= HOLDERS  # the last three stand for no word
    assert known.pair_counts.min() >= HOLDERS


def test_likeness_sees_the_same_opening_and_shared_words() -> None:
    variety = Variety(["Conservative MP for the north sea and its gulls", "baker of bread"])
    assert variety.likeness("Conservative MP for Lisbon") == 1
    assert 0 < variety.likeness("gulls over a grey sea") < 1
    assert variety.likeness("drummer") == 0


def test_marks_travel_through_a_file_and_bad_lines_are_told(bot: Callable[[str], Path], capsys: Said) -> None:
    folder = bot("")
    (folder / "in.jsonl").write_text(
        '{"text": "A baker", "mark": 2}\n{"better": "A cat", "worse": "No cat"}\n{"text": "B", "mark": 9}\n[[[\n\n'
    )
    assert run("taste", "import", "in.jsonl") == 0
    said = capsys.readouterr()
    assert "2 marks read, 2 of them for new texts" in said.out
    assert "line 3: skipped, the mark 9 is not between 0 and 3" in said.err
    assert "line 4: skipped, not an object such as" in said.err
    assert run("taste", "export", "out.jsonl") == 0
    assert [json.loads(each) for each in (folder / "out.jsonl").read_text().splitlines()] == [
        {"text": "A baker", "mark": 2.0},
        {"better": "A cat", "worse": "No cat"},
    ]
    assert (folder / "state" / "taste.db").stat().st_mode & 0o777 == 0o600
    (folder / "empty.jsonl").write_text("\n")
    assert run("taste", "import", "empty.jsonl") == 1
    assert "holds no mark; nothing has changed" in capsys.readouterr().err
    assert run("taste", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"marks", "own", "spearman", "top_tenth_good", "average_good", "in_use"}
    assert (found["own"], found["in_use"]) == (2, "shipped")
    assert run("taste", "reset", "--yes") == 0
    assert "2 marks deleted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "said", "count"),
    [
        (gzip.compress(LINES)[:-400], "and whatever follows cannot be read", range(1, 200)),
        (LINES[:-10], "line 200: skipped, not an object such as", range(199, 200)),
        (LINES.replace(b"\n", b"\r\n"), "", range(200, 201)),
        (b"\xef\xbb\xbf" + LINES, "", range(200, 201)),
        (b"text,mark\nA baker,2\n", "holds no mark; nothing has changed", range(1)),
        (LINES.decode().encode("utf-16"), "holds no mark; nothing has changed", range(1)),
        (b"SQLite format 3\0" + bytes(4096), "holds no mark; nothing has changed", range(1)),
        (b'{"text": "A baker", "mark": NaN}\n{"text": "B", "mark": true}\n' + b"[" * 90_000, "holds no mark", range(1)),
    ],
)
def test_of_a_broken_or_foreign_file_every_whole_mark_is_kept_and_the_rest_is_told(
    bot: Callable[[str], Path], capsys: Said, content: bytes, said: str, count: range
) -> None:
    folder = bot("")
    (folder / "marks").write_bytes(content)
    assert run("taste", "import", "marks") == (0 if count.stop > 1 else 1)
    assert said in capsys.readouterr().err
    with Marks(folder / "state" / "taste.db", read_only=True) as opened:
        assert len(opened) in count


def test_marks_of_two_homes_come_together_once(bot: Callable[[str], Path], capsys: Said) -> None:
    folder = bot("")
    (folder / "mine.jsonl").write_bytes(LINES)
    assert run("taste", "import", "mine.jsonl") == 0
    other = [{"text": f"A text of the other home, {number}", "mark": number % 4} for number in range(5)]
    (folder / "theirs.jsonl").write_text("".join(json.dumps(each) + "\n" for each in other))
    for expected in ("5 marks read, 5 of them for new texts", "5 marks read, 0 of them for new texts"):
        assert run("taste", "import", "theirs.jsonl") == 0
        assert expected in capsys.readouterr().out
    assert run("taste", "export", "both.jsonl") == 0
    lines = (folder / "both.jsonl").read_bytes().splitlines()
    assert sorted(json.loads(each)["text"] for each in lines) == sorted(
        json.loads(each)["text"] for each in LINES.splitlines() + [json.dumps(each).encode() for each in other]
    )


def test_marks_and_what_was_learnt_from_them_outlive_the_model_that_made_the_texts(
    bot: Callable[[str], Path], marks: list[Mark], tiny_model: Path, capsys: Said
) -> None:
    folder = bot("")
    rate(folder / "state", marks[:100], short)
    (folder / "texts").write_text("Proud friend of one dog and nothing else\n")
    said = []
    for model in ("starter", "tiny", "starter"):
        (folder / "biobot.toml").write_text(f'[model]\nname = "{model}"\n')
        shutil.copytree(tiny_model, folder / "state" / "models" / "tiny", dirs_exist_ok=True)
        assert run("taste", "--json") == 0
        assert run("check", "--json", "texts") == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] == said[2]
    assert '"own": 100' in said[0]


def test_fifty_thousand_marks_are_kept_and_the_newest_learnt_from(
    home: Path, marks: list[Mark], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taste, "MOST_OWN", 500)
    with Marks(home / "taste.db") as opened:
        old = (Mark(Candidate(f"an old text, number {number}"), number % 4) for number in range(49_000))
        opened.add(old, NOW)
    rate(home, marks, short)
    learnt = taste.learn(home)
    with Marks(home / "taste.db", read_only=True) as opened:
        assert learnt.own == len(opened) > 49_990
    assert learnt.in_use == "own"


def test_what_was_learnt_is_read_and_not_learnt_again(home: Path, marks: list[Mark], monkeypatch: Any) -> None:
    rate(home, marks[:100], short)
    learnt = taste.learn(home)
    monkeypatch.setattr(taste, "held_out", lambda *_: pytest.fail("learnt again"))
    assert taste.state(home) == learnt
    assert len(learnt.curve) == 2
    assert taste.load(home).own is not None


def test_what_a_person_decides_about_drafts_is_learnt_and_can_be_forgotten(
    bot: Callable[[str], Path], marks: list[Mark], capsys: Said
) -> None:
    folder = bot("")
    home = folder / "state"
    drafts = [Draft(each.candidate.text, model="starter", seed=1, temperature=0.8) for each in marks[:90]]
    with Outbox(home / "outbox.db", "rehearsal") as outbox:
        rows = [row for row in outbox.add(drafts, State.HELD, NOW) if row is not None]
        for row in rows:
            if short(row.text or "") == 3:
                transitions.approve(outbox, row.id, NOW)
            else:
                transitions.reject(outbox, row.id, NOW)
    assert run("taste", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["own"] == len(rows) > 80
    assert found["in_use"] == "own"
    rate(home, marks[:1], lambda _: 1.0)
    assert run("corpus", "forget", "--text", marks[0].candidate.text) == 0
    with Marks(home / "taste.db", read_only=True) as opened:
        assert len(opened) == 0


def test_rating_takes_keys_undoes_skips_and_keeps_every_mark(
    bot: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    folder = bot("[taste]\nenabled = false\n")
    monkeypatch.setattr("sys.stdin", StringIO("3x1u2sq"))
    assert run("rate", "-n", "5", "--seed", "3") == 0
    said = capsys.readouterr().out
    assert "undone" in said
    assert "2 marks;" in said
    with Marks(folder / "state" / "taste.db", read_only=True) as opened:
        found = opened.newest()
    assert [(each.value, each.source) for each in found] == [(3.0, "rate"), (2.0, "rate")]
    assert all(each.candidate.bits is not None for each in found)


def test_why_says_what_spoke_for_a_text_and_how_it_stood(bot: Callable[[str], Path], capsys: Said) -> None:
    folder = bot("")
    record = SamplingRecord(bits=60.0, entropy=1.1, score=2.5, best_of=100)
    draft = Draft(
        "A quiet baker of moons and three old cats", model="gone", seed=1, temperature=0.8, controls=record.write()
    )
    with Outbox(folder / "state" / "outbox.db", "rehearsal") as outbox:
        outbox.add([draft], State.HELD, NOW)
    assert run("why", "1", "--json") == 0
    found = json.loads(capsys.readouterr().out)["taste"]
    assert (found["score_when_chosen"], found["best_of"]) == (2.5, 100)
    assert found["for"]
    assert found["against"]
    assert run("why", "1") == 0
    assert "the best of 100 accepted bios" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["\n" * 40, "." * 60, "♥" * 80])
def test_a_text_without_words_has_the_lowest_score(text: str) -> None:
    assert taste.Taste(taste.base()[0]).scores([Candidate(text)]) == [0.0]
