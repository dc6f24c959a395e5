"""Files of every kind become bios, and whatever is no bio is told with its place and its reason."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest

from biobot.corpus import readers
from biobot.corpus.readers import Bio, Names, Skipped, read
from biobot.errors import CorpusError


def texts(path: Path, field: str | None = None) -> list[str]:
    return [each.text for each in read(path, Names(field)) if isinstance(each, Bio)]


def skipped(path: Path, field: str | None = None) -> list[tuple[int, str]]:
    return [(each.line, each.why) for each in read(path, Names(field)) if isinstance(each, Skipped)]


def written(path: Path, *records: object) -> Path:
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records), encoding="utf-8")
    return path


def test_the_same_bios_come_from_jsonl_csv_and_txt_and_from_gz_of_them(tmp_path: Path) -> None:
    bios = ["Baker, of bread", 'Says "hello" a lot', "Tea 🌻 und Käse"]
    written(tmp_path / "a.jsonl", *({"bio": bio} for bio in bios))
    (tmp_path / "a.csv").write_text(
        'n,description\n1,"Baker, of bread"\n2,"Says ""hello"" a lot"\n3,Tea 🌻 und Käse\n', encoding="utf-8"
    )
    (tmp_path / "a.txt").write_text("\n".join(bios) + "\n\n", encoding="utf-8")
    for kind in ("jsonl", "csv", "txt"):
        packed = tmp_path / f"b.{kind}.gz"
        packed.write_bytes(gzip.compress((tmp_path / f"a.{kind}").read_bytes()))
        assert texts(tmp_path / f"a.{kind}") == texts(packed) == bios


def test_a_bio_in_csv_may_have_several_lines(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'bio,x\r\n"one\r\ntwo",1\r\nthree,2\r\n')
    assert texts(tmp_path / "a.csv") == ["one\r\ntwo", "three"]


def test_tweets_and_pages_of_the_api_give_the_bios_of_their_users(tmp_path: Path) -> None:
    file = written(
        tmp_path / "tweets.jsonl",
        {
            "text": "a tweet",
            "user": {"id_str": "12", "screen_name": "Ann", "description": "writes"},
            "retweeted_status": {"user": {"id_str": "13", "screen_name": "bob", "description": "is retweeted"}},
        },
        {"data": [{"id": "14", "username": "cy", "description": "on a page"}], "meta": {}},
        {"data": {"id": "1", "text": "t"}, "includes": {"users": [{"id": "15", "username": "di", "description": "x"}]}},
    )
    assert list(read(file)) == [
        Bio("writes", 12, "Ann"),
        Bio("is retweeted", 13, "bob"),
        Bio("on a page", 14, "cy"),
        Bio("x", 15, "di"),
    ]


def test_a_bare_id_is_the_number_of_a_row_unless_a_handle_stands_beside_it(tmp_path: Path) -> None:
    file = written(tmp_path / "a.jsonl", {"id": 1, "bio": "row"}, {"id": 1, "bio": "person", "username": "p"})
    assert [each.author for each in read(file) if isinstance(each, Bio)] == [None, 1]


def test_a_field_can_be_named_and_may_lie_deep(tmp_path: Path) -> None:
    file = written(tmp_path / "a.jsonl", {"about": {"me": "deep"}, "bio": "no"}, {"about": 3})
    assert texts(file, "about.me") == ["deep"]
    assert skipped(file, "about.me") == [(2, "no 'about.me' in it")]


def test_every_bad_line_is_told_with_its_number_and_its_reason(tmp_path: Path) -> None:
    file = tmp_path / "bad.jsonl"
    lines = [
        b'{"bio": "good"}',
        b"not json",
        b'{"bio": "caf\xe9"}',
        b'{"bio": "half \\ud83d"}',
        b'{"name": "x"}',
        b'{"bio": "  "}',
        b'{"bio": "nul \\u0000"}',
        b"[" * 100_000,
        json.dumps({"bio": "x" * 70_000}).encode(),
        '{"bio": "cafÃ©"}'.encode(),
        b'{"bio": "good, too"}',
    ]
    file.write_bytes(b"\n".join(lines))
    assert texts(file) == ["good", "good, too"]
    assert [line for line, _ in skipped(file)] == list(range(2, 11))
    reasons = [why for _, why in skipped(file)]
    assert reasons[:4] == ["not JSON", "not UTF-8", "not UTF-8", "no bio in it"]
    assert "mojibake" in reasons[-1]


def test_a_bad_csv_row_costs_only_itself(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"bio,x\ngood,1\nshort\nlatin \xe9,1\nfine,2\n")
    assert texts(tmp_path / "a.csv") == ["good", "fine"]
    assert skipped(tmp_path / "a.csv") == [(3, "1 columns where the header has 2"), (4, "not UTF-8")]


def test_an_odd_byte_in_a_column_that_is_no_bio_costs_only_its_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(
        b"id,screen_name,description,source\n1,a_a,Baker,x\n2,jos\xe9,Moon,x\n3,c_c,Sun,\xe9\n4,d_d,Caf\xc3\xa9,x\n"
    )
    assert texts(path) == ["Baker", "Café"]
    assert skipped(path) == [(3, "not UTF-8"), (4, "not UTF-8")]
    path = written(
        tmp_path / "a.jsonl",
        {"bio": "Baker", "handle": "\ud83d"},
        {"bio": "Moon", "source": "\ud83d"},
        {"bio": "Sun"},
    )
    assert texts(path) == ["Sun"]
    assert skipped(path) == [(1, "not UTF-8"), (2, "not UTF-8")]


@pytest.mark.parametrize("text", ["cafÃ©", "donâ€™t", "ðŸ˜€ hi", "ã\u0081\u0093ã\u0082\u0093", "naÃ¯ve Ã©tÃ©"])
def test_mojibake_is_seen(text: str) -> None:
    assert readers.mojibake(text)


@pytest.mark.parametrize(
    "text",
    [
        "café…",
        "“CAFÉ”",
        "É… ça va",
        "AMANHÃ…",
        "São Paulo — Brasil",
        "naïve “été”",
        "Ñandú",
        "東京 🌻",
        "ÀÉÎÕÜ",
        "50 £ «où»",
    ],
)
def test_real_words_are_no_mojibake(text: str) -> None:
    assert not readers.mojibake(text)


def test_a_byte_order_mark_is_no_part_of_the_first_bio_and_utf_16_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("first\nsecond\n", encoding="utf-8-sig")
    assert texts(tmp_path / "a.txt") == ["first", "second"]
    (tmp_path / "b.txt").write_text("first\n", encoding="utf-16")
    assert texts(tmp_path / "b.txt") == ["first"]


def test_a_file_that_cannot_be_read_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "x.dat").write_text("some words\n", encoding="utf-8")
    (tmp_path / "follower.js").write_text('window.YTD.follower.part0 = [ {"follower": {"accountId": "1"}} ]', "utf-8")
    for name, words in (("none.jsonl", "cannot read"), ("x.dat", "name it"), ("follower.js", "collect.ids")):
        with pytest.raises(CorpusError, match=words):
            texts(tmp_path / name)
    (tmp_path / "a.csv").write_text("name,age\nx,1\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="--field"):
        texts(tmp_path / "a.csv")


def test_a_gz_that_was_cut_gives_what_came_before(tmp_path: Path) -> None:
    whole = gzip.compress("".join(f'{{"bio": "number {n} {n * n}"}}\n' for n in range(20_000)).encode())
    (tmp_path / "a.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    found: list[Bio | Skipped] = []
    with pytest.raises(CorpusError, match="damaged after line"):
        found.extend(read(tmp_path / "a.jsonl.gz"))
    assert len(found) > 5_000


def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    with file.open("wb") as out:
        out.write(b'{"bio": "first"}\n')
        for _ in range(40):
            out.write(b"x" * (1 << 20))
        out.write(b'\n{"bio": "last"}\n')
    tracemalloc.start()
    assert texts(file) == ["first", "last"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * readers.MAX_LINE


def test_ids_come_from_plain_lists_and_from_a_twitter_archive(tmp_path: Path) -> None:
    (tmp_path / "follower.js").write_text(
        'window.YTD.follower.part0 = [\n  {\n    "follower" : {\n      "accountId" : "123",\n'
        '      "userLink" : "https://twitter.com/intent/user?user_id=123"\n    }\n  },\n'
        '  {"follower": {"accountId": "456"}}, {"follower": {"accountId": "789"}}\n]\n',
        encoding="utf-8",
    )
    (tmp_path / "ids.txt").write_text("id\n12\n# 13\n99999999999999999999\n14,name\n", encoding="utf-8")
    assert list(readers.ids(tmp_path / "follower.js")) == [123, 456, 789]
    assert list(readers.ids(tmp_path / "ids.txt")) == [12, 14]
