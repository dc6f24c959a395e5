"""What a bot must not repeat: opened once, whatever the outbox has grown to, and never fooled by a file beside it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest

from biobot.candidate import Match
from biobot.corpus.opt_outs import FINGERPRINTS
from biobot.dedupe import fingerprint, index, known_texts
from biobot.dedupe.known_texts import CombinedIndex, open_known_texts
from biobot.errors import CorpusError
from biobot.posting.outbox import Outbox
from tests.dedupe.test_index import WORDS, amounts, invented

OWN = invented(700, seed=11, length=70) + invented(300, seed=12, length=40)


Row = tuple[int, str, str | None]


def rows(texts: Iterable[str] = OWN, state: str = "posted") -> list[Row]:
    return [(number, state, text) for number, text in enumerate(texts, start=1)]


def outbox_of(folder: Path, outbox: list[Row]) -> Outbox:
    """Open an outbox with just these rows."""
    path = folder / "outbox.db"
    path.unlink(missing_ok=True)
    opened = Outbox(path, "rehearsal")
    with opened.transaction() as db:
        db.executemany("INSERT INTO post (id, state, text, network, created) VALUES (?, ?, ?, 'rehearsal', '')", outbox)
    return opened


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "fingerprints.idx"
    index.build(invented(50, seed=10), path)
    return path


def opened(
    home: Path, learnt: Path, own: list[Row], *, forgotten: int | None = None, may_write: bool = False
) -> CombinedIndex:
    with outbox_of(home, own) as outbox:
        return open_known_texts(home, learnt, outbox, forgotten, may_write=may_write)


def save(home: Path, own: list[Row]) -> None:
    with outbox_of(home, own) as outbox:
        known_texts.save_own_texts(home / known_texts.OUTBOX_INDEX, outbox)


def exact(found: tuple[Match, ...]) -> set[str]:
    return {match.source for match in found if match.layer == "exact"}


def test_own_texts_are_recognised_as_those_of_a_training_set(tmp_path: Path, learnt: Path) -> None:
    index.build(OWN[:50], tmp_path / "file.idx")
    file = index.Index.open(tmp_path / "file.idx")
    memory = opened(tmp_path, learnt, rows(OWN[:50]))
    for text in (OWN[3], OWN[4][10:60] + " " + " ".join(WORDS), OWN[5].replace("a", "o", 3)):
        assert amounts(memory.matches(text)) == amounts(file.matches(text))
        assert {match.source for match in memory.matches(text)} == {"posted"}


@pytest.mark.parametrize("may_write", [False, True])
def test_each_text_counts_as_what_its_row_is_now(tmp_path: Path, learnt: Path, may_write: bool) -> None:
    opened(tmp_path, learnt, rows(state="held"), may_write=may_write)
    states = ["held", "approved", "rejected", "skipped", "sending", "posted", "unconfirmed", "failed", "deleted"]
    own: list[Row] = [(row, states[row % 9], text) for row, _, text in rows()]
    known = opened(tmp_path, learnt, [*own, (2000, "skipped", None)], may_write=may_write)
    for row, state, text in own[::37]:
        assert text is not None
        assert exact(known.matches(text)) == {"queued" if state in states[:4] else "posted"}, row


def test_a_row_is_no_copy_of_itself_but_one_of_its_twin_on_another_network(tmp_path: Path, learnt: Path) -> None:
    own = [*rows(), (5000, "approved", OWN[4].upper())]
    for _ in range(2):  # computed, then saved
        known = opened(tmp_path, learnt, own, may_write=True)
        assert known.without("8").matches(OWN[7]) == ()
        assert exact(known.matches(OWN[7])) == {"posted"}
        assert exact(known.without("5").matches(OWN[4])) == {"queued"}
        assert exact(known.without("5000").matches(OWN[4])) == {"posted"}
        assert exact(known.without("no id").matches(OWN[7])) == {"posted"}


def test_only_who_may_write_saves_fingerprints_and_saves_them_once(tmp_path: Path, learnt: Path) -> None:
    path = tmp_path / known_texts.OUTBOX_INDEX
    opened(tmp_path, learnt, rows())
    assert not path.exists()
    opened(tmp_path, learnt, rows(), may_write=True)
    saved = path.stat().st_mtime_ns
    known = opened(tmp_path, learnt, rows([*OWN, "a text that came later"]), may_write=True)
    assert exact(known.matches("A text that came later")) == {"posted"}
    assert path.stat().st_mtime_ns == saved  # rewritten when it is worth it


def test_saved_fingerprints_are_not_computed_again(
    tmp_path: Path, learnt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(tmp_path, learnt, rows(), may_write=True)
    computed: list[str] = []
    compute = fingerprint.compute_batch

    def counted(texts: Sequence[str]) -> fingerprint.StoredFingerprints:
        computed.extend(texts)
        return compute(texts)

    monkeypatch.setattr(fingerprint, "compute_batch", counted)
    known = opened(tmp_path, learnt, rows([*OWN, "a text that came later"]))
    assert computed[-1] == "a text that came later"
    assert len(computed) <= known_texts.BLOCK
    assert all(exact(known.matches(text)) == {"posted"} for text in OWN[::50])


@pytest.mark.parametrize(
    "wrong", ["empty", "cut", "flipped", "nonsense", "folder", "a model's", "another bot's", "older"]
)
def test_a_wrong_index_beside_the_outbox_lets_no_copy_pass(tmp_path: Path, learnt: Path, wrong: str) -> None:
    path = tmp_path / known_texts.OUTBOX_INDEX
    save(tmp_path, rows())
    whole = bytearray(path.read_bytes())
    match wrong:
        case "empty":
            path.write_bytes(b"")
        case "cut":
            path.write_bytes(whole[:-100])
        case "flipped":
            whole[len(whole) // 2] ^= 1
            path.write_bytes(whole)
        case "nonsense":
            path.write_bytes(b"nonsense" * 1000)
        case "folder":
            path.unlink()
            path.mkdir()
        case "a model's":
            path.write_bytes(learnt.read_bytes())
        case "another bot's":  # the same ids, other texts
            save(tmp_path, rows(invented(1000, seed=13)))
        case "older":  # of before half the texts were edited or came
            save(tmp_path, rows([text if at % 2 else text[::-1] for at, text in enumerate(OWN[:600])]))
    for may_write in (False, True):
        known = opened(tmp_path, learnt, rows(), may_write=may_write)
        assert all(exact(known.matches(text)) == {"posted"} for text in OWN[::31])
        assert all(exact(known.matches(text)) == set() for text in (OWN[20][::-1], *invented(5, seed=13)))


def test_the_strongest_resemblance_of_each_source_and_layer_is_told_once(tmp_path: Path, learnt: Path) -> None:
    near, nearer = OWN[0].replace("a", "x", 2), OWN[0].replace("a", "x", 1)
    found = opened(tmp_path, learnt, [(1, "posted", near), *rows()[1:], (2000, "posted", nearer)]).matches(OWN[0])
    (best,) = [match for match in found if match.layer == "near"]
    (only,) = [match for match in opened(tmp_path, learnt, [(1, "posted", nearer)]).matches(OWN[0]) if match == best]
    assert only.amount < 1


def test_common_phrases_of_many_posts_cost_little_and_are_found(tmp_path: Path, learnt: Path) -> None:
    draw = random.Random(3)
    phrase = "professional napper and amateur juggler, full time cloud watcher"
    texts = [f"{phrase} {''.join(draw.choices('abcdefghij ', k=20))}" for _ in range(3000)]
    known = opened(tmp_path, learnt, rows(texts))
    assert amounts(known.matches(f"{phrase} qqq"))["copied"] >= len(phrase)


def test_who_opted_out_is_recognised_without_their_text(tmp_path: Path, learnt: Path) -> None:
    path, text = tmp_path / FINGERPRINTS, invented(1, seed=9)[0]
    assert opened(tmp_path, learnt, []).matches(text) == ()
    assert known_texts.forget(path, [text]) == 1
    assert known_texts.forget(path, [text, "another text that somebody wants to be forgotten"]) == 2
    found = opened(tmp_path, learnt, []).matches(text)
    assert amounts(found).keys() == {"exact", "near", "copied"}
    assert {match.source for match in found} == {"forgotten"}
    assert text[:8].encode() not in path.read_bytes()
    path.write_text("nonsense\n")
    with pytest.raises(CorpusError, match="damaged"):
        opened(tmp_path, learnt, [])


@pytest.mark.parametrize(("left", "forgotten", "refused"), [(2, 2, False), (2, 1, False), (1, 2, True), (0, 1, True)])
def test_nothing_is_judged_with_fewer_opt_outs_than_there_were(
    tmp_path: Path, learnt: Path, left: int, forgotten: int, refused: bool
) -> None:
    path = tmp_path / FINGERPRINTS
    known_texts.forget(path, OWN[:2])
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:left]))
    with pytest.raises(CorpusError, match=rf"holds {left} of the {forgotten}") if refused else nullcontext():
        opened(tmp_path, learnt, [], forgotten=forgotten)
    path.unlink()
    with pytest.raises(CorpusError, match="holds 0 of the"):
        opened(tmp_path, learnt, [], forgotten=0)
