"""Files as exporters, spreadsheets and hand-written scripts leave them: their people, and what is wrong with them."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import re
import signal
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from biobot.corpus import readers
from biobot.corpus.readers import Bio, Skipped, read
from biobot.corpus.store import Store
from biobot.errors import BadFile
from tests.corpus.conftest import Run

Person = tuple[str, int | None, str | None]


def people(path: Path) -> list[Person]:
    return [(each.text, each.author, each.handle) for each in read(path) if isinstance(each, Bio)]


def skipped(path: Path) -> list[tuple[int, str]]:
    return [(each.line, each.why) for each in read(path) if isinstance(each, Skipped)]


def file(tmp_path: Path, name: str, content: str | bytes | object) -> Path:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_bytes((content if isinstance(content, str) else json.dumps(content)).encode())
    return path


def stored(corpus: Run) -> list[Person]:
    rows = map(json.loads, corpus("export", "-").splitlines())
    return [(row["bio"], row.get("user_id"), row.get("handle")) for row in rows]


# -- broken quotes -----------------------------------------------------------------------------------

HEADER = "id,screen_name,description\n"


def test_a_quote_that_never_closes_costs_one_row_and_opt_outs_behind_it_hold(corpus: Run, tmp_path: Path) -> None:
    path = file(tmp_path, "q.csv", f'{HEADER}1,a_a,"Never closed\n2,b_b,Baker\n3,c_c,Goats\n4,d_d,Moon\n')
    corpus("forget", "@b_b", "3")
    counts = corpus("import", str(path), "--json")
    assert (counts["added"], counts["forgotten"], counts["skipped"]) == (1, 2, 1)
    assert f"{path}:2: skipped: a quote opens here" in corpus.errors  # type: ignore[attr-defined]
    assert stored(corpus) == [("Moon", 4, "d_d")]


@pytest.mark.parametrize(
    "row",
    [
        '9,z_z,5"',
        '9,z_z,says "hi" a lot',
        '9,z_z,"with, a comma"',
        '"9","z_z","all quoted"',
        '9,z_z,", begins with a comma"',
        '9,z_z,"two\nlines"',
    ],
)
def test_a_quote_that_closes_by_accident_in_somebody_elses_row_swallows_nobody(tmp_path: Path, row: str) -> None:
    path = file(tmp_path, "q.csv", f'{HEADER}1,a_a,"Never closed\n2,b_b,Baker\n{row}\n10,y_y,"Last, not least"\n')
    found = people(path)
    assert [each[1:] for each in found] == [(2, "b_b"), (9, "z_z"), (10, "y_y")]
    assert (found[0][0], found[2][0]) == ("Baker", "Last, not least")
    assert [line for line, _ in skipped(path)] == [2]


@pytest.mark.parametrize(
    ("content", "line", "texts"),
    [
        # cldf/csvw #52: closed by a typographic quote
        (f'{HEADER}1,a_a,"an unclosed comment”\n2,b_b,Baker\n', 2, ["Baker"]),
        # pandas #22140: a quote is all that a cell holds
        ('id|screen_name|bio|x\n1|a_a|Moon|p\n2|b_b|"|q\n3|c_c|Sun|r\n4|d_d|Rain|s\n', 3, ["Moon", "Sun", "Rain"]),
        # pandas #22661: quotes that tabs make needless
        ('id\tscreen_name\tbio\tx\n1\ta_a\tMoon\t5.6\n2\tb_b\t"Sun"\t4.3\n3\tc_c\t"Rain\t3.3\n', 4, ["Moon", "Sun"]),
        # NVIDIA/cudf #2398: a quote within a cell that has none around it
        (f'{HEADER}1,a_a,/images"\n2,b_b,Baker "of" bread\n', None, ['/images"', 'Baker "of" bread']),
    ],
)
def test_quotes_that_broke_other_programs_cost_one_row_at_most(
    tmp_path: Path, content: str, line: int | None, texts: list[str]
) -> None:
    path = file(tmp_path, "a.csv", content)
    assert [each[0] for each in people(path)] == texts
    assert [number for number, _ in skipped(path)] == ([line] if line else [])


def test_quotes_that_open_and_close_within_the_ids_of_two_people_make_them_no_one(tmp_path: Path) -> None:
    header = "created,user_profile_description,userid,user_screen_name\n"
    path = file(tmp_path, "a.csv", f'{header}7,Baker,"263702,a_a\n7,Goats,802223",b_b\n7,Moon,802224,c_c\n')
    assert people(path) == [("Goats", 802223, "b_b"), ("Moon", 802224, "c_c")]


def test_fifty_people_behind_an_open_quote_in_a_table_of_other_columns_are_read(tmp_path: Path) -> None:
    rows = "".join(f"{number},Name {number},h_{number},bio {number},x\n" for number in range(2, 52))
    path = file(tmp_path, "q.csv", f'ID,NAME,USER,BIO,LISTED\n1,A,a_a,"open,x\n{rows}')
    assert people(path) == [(f"bio {number}", number, f"h_{number}") for number in range(2, 52)]


def test_a_quote_that_is_open_over_more_lines_than_a_bio_has_is_told_where_it_opens(tmp_path: Path) -> None:
    poem = "".join(f"line {number}\n" for number in range(400))
    path = file(tmp_path, "q.csv", f'{HEADER}1,a_a,"{poem}"\n2,b_b,Baker\n')
    assert people(path) == [("Baker", 2, "b_b")]
    assert skipped(path)[0][0] == 2


def test_well_formed_bios_of_several_lines_survive_byte_for_byte(tmp_path: Path) -> None:
    bios = [
        "one\r\ntwo",
        'says "hi",\n\n"bye"',
        "1,2,3\n4,5",
        "a,b,c\nd,e,f",
        '",",\n""',
        "end \\",
        "tab\tand ; and |\n",
    ]
    cells = "".join(f'{n},h_{n},"{bio.replace(chr(34), chr(34) * 2)}"\r\n' for n, bio in enumerate(bios, 1))
    assert people(file(tmp_path, "a.csv", HEADER + cells)) == [(bio, n, f"h_{n}") for n, bio in enumerate(bios, 1)]


def test_quotes_with_backslashes_and_quotes_that_are_not_doubled_keep_their_text(tmp_path: Path) -> None:
    rows = [
        r'1,a_a,"I say \"meow\" a lot"',
        r'2,b_b,"I say \"meow, meow\" a lot"',
        r'3,c_c,"ends in \"meow\""',
        '4,d_d,"two \\"lines\\"\nof meow"',
        '5,e_e,"I say "meow" a lot"',
        '8,h_h,"Meow" is what I say',
        r'6,f_f,"shrugs ¯\_(ツ)_/¯"',
        '7,g_g,5" of rain',
    ]
    assert [each[0] for each in people(file(tmp_path, "a.csv", HEADER + "\n".join(rows)))] == [
        'I say "meow" a lot',
        'I say "meow, meow" a lot',
        'ends in "meow"',
        'two "lines"\nof meow',
        'I say "meow" a lot',
        '"Meow" is what I say',
        r"shrugs ¯\_(ツ)_/¯",
        '5" of rain',
    ]


# -- delimiters, line ends, headers ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("semicolons.csv", "id;screen_name;description\n1;a_a;Baker, of bread\n2;b_b;Goats\n"),
        ("tabs.tsv", "id\tscreen_name\tdescription\n1\ta_a\tBaker, of bread\n2\tb_b\tGoats\n"),
        ("tabs.csv", "id\tscreen_name\tdescription\n1\ta_a\tBaker, of bread\n2\tb_b\tGoats\n"),
        ("pipes.csv", "id|screen_name|description\n1|a_a|Baker, of bread\n2|b_b|Goats\n"),
        ("excel.csv", 'sep=;\r\nid;screen_name;description\r\n1;a_a;"Baker, of bread"\r\n2;b_b;Goats\r\n'),
        ("sep.csv", 'sep=,\nid,screen_name,description\n1,a_a,"Baker, of bread"\n2,b_b,Goats\n'),
        ("blanks.csv", 'id, screen_name, description\n1, a_a, "Baker, of bread"\n2, b_b, Goats\n'),
        ("mac.csv", 'id,screen_name,description\r1,a_a,"Baker, of bread"\r2,b_b,Goats\r'),
        ("twice.csv", f'\ufeff{HEADER}1,a_a,"Baker, of bread"\n\ufeff{HEADER}2,b_b,Goats\n'),
        ("trailing.csv", 'id,screen_name,description\n1,a_a,"Baker, of bread",,\n\n2,b_b,Goats\n'),
        ("table.txt", 'id,screen_name,description\n1,a_a,"Baker, of bread"\n2,b_b,Goats\n'),
    ],
)
def test_a_table_is_read_whatever_its_delimiter_and_line_ends(tmp_path: Path, name: str, content: str) -> None:
    path = file(tmp_path, name, content)
    assert people(path) == [("Baker, of bread", 1, "a_a"), ("Goats", 2, "b_b")]
    assert skipped(path) == ([(3, "blank")] if name == "trailing.csv" else [])


def test_rows_without_ids_behind_an_accidental_quote_are_told_apart_by_their_numbers_or_at_least_reported(
    corpus: Run, tmp_path: Path
) -> None:
    table = 'handle,bio,verified,followers\na_a,"Never closed,no,10\nb_b,Baker 5",no,20\nc_c,"Moon\nand, stars",no,7\n'
    numbered = file(tmp_path, "numbers.csv", table)
    assert people(numbered) == [('Baker 5"', None, "b_b"), ("Moon\nand, stars", None, "c_c")]
    assert [line for line, _ in skipped(numbered)] == [2]
    told = (
        "1 bio of several lines could as well be the rows of several people behind a stray quote, the first on line 3;"
    )
    doubtful = file(tmp_path, "plain.csv", 'handle,bio\nx_x,Salt\na_a,"Never closed\nb_b,Baker 5"\nc_c,Goats\n')
    corpus("import", str(doubtful))
    assert told in corpus.errors  # type: ignore[attr-defined]
    corpus("import", str(file(tmp_path, "good.csv", 'handle,bio\na_a,"Two lines\nfather, runner"\nc_c,Goats\n')))
    assert corpus.errors == ""  # type: ignore[attr-defined]


def test_files_that_cannot_be_taken_as_they_are_say_what_to_change(corpus: Run, tmp_path: Path) -> None:
    for name, content, words in (
        (
            "colons.csv",
            "id:handle:bio\n1:a_a:Baker\n",
            "if that is several columns, separate them by one of , ; | or a tab",
        ),
        ("row.csv", "b_b,Baker from Lisbon\nc_c,Goats\n", "if that is a row, write the names of its columns above"),
        ("picture.csv", b"GIF89a\x00\x01", "picture.csv is not text"),
        ("letter.txt", b"\xd0\xcf\x11\xe0\xa1\xb1", "another file of Microsoft Office; save it as CSV"),
    ):
        corpus("import", str(file(tmp_path, name, content)), code=1)
        assert words in corpus.errors  # type: ignore[attr-defined]
    german = file(tmp_path, "german.txt", "Bäcker aus Köln\nGrüße aus München\n".encode("cp1252"))
    assert [each[0] for each in people(german)] == ["Bäcker aus Köln", "Grüße aus München"]
    keyed = file(tmp_path, "keyed.json", {"0": {"user_id": 7, "description": "Baker"}, "1": {"description": "Goats"}})
    assert people(keyed) == [("Baker", 7, None), ("Goats", None, None)]  # a key may be no more than a number
    nothing = file(tmp_path, "nothing.csv", "bio\n\\N\nN/A\nundefined\n[]\nBaker\n")
    assert people(nothing) == [("Baker", None, None)]


def test_ctrl_c_says_what_is_stored_and_the_same_command_goes_on_without_doubles(
    corpus: Run, tmp_path: Path, home: Path
) -> None:
    lines = [f"Baker of loaf number {number}, who also grows {number % 7} kinds of tea" for number in range(30_000)]
    pipe = tmp_path / "bios.txt"
    os.mkfifo(pipe)
    words = [sys.executable, "-m", "biobot", "--home", str(home), "corpus", "import", str(pipe)]
    with subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as command, pipe.open("w") as end:
        end.write("".join(f"{each}\n" for each in lines))  # a pipe holds 64 KB: nearly all of it was read
        end.flush()
        command.send_signal(signal.SIGINT)
        assert command.stderr is not None
        said = command.stderr.read().splitlines()
    assert command.returncode == 130
    added = re.fullmatch(rf"biobot: stopped in {pipe}; ([\d,]+) bios added so far, and kept; run the same .*", said[-1])
    assert added, said
    assert 20_000 < int(added[1].replace(",", "")) < 30_000
    pipe.unlink()
    pipe.write_text("".join(f"{each}\n" for each in lines))
    corpus("import", str(pipe))
    assert corpus("stats", "--json")["bios"] == 30_000


def test_a_column_of_bios_alone_may_have_commas_without_quotes(tmp_path: Path) -> None:
    path = file(tmp_path, "a.csv", 'bio\nBaker, of bread\n"Goats, and\nmore"\n')
    assert people(path) == [("Baker, of bread", None, None), ("Goats, and\nmore", None, None)]


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
def test_line_ends_of_every_kind_end_a_bio(tmp_path: Path, end: str) -> None:
    assert [each[0] for each in people(file(tmp_path, "a.txt", end.join(["one", "two", "three", ""])))] == [
        "one",
        "two",
        "three",
    ]


def test_a_table_without_a_header_is_told_apart_from_one_without_bios(tmp_path: Path) -> None:
    for content, words in (
        ("Baker from Lisbon who talks to bread\nGoats\n", r"begins with a bio.*name the file \.txt"),
        ("1,a_a,Baker\n2,b_b,Goats\n", "begins with a row"),
        ("name;age\nx;1\n", "only name, age; name one with .*--field"),
    ):
        with pytest.raises(BadFile, match=words):
            people(file(tmp_path, "a.csv", content))


def test_columns_that_cannot_be_recognised_are_named(corpus: Run, tmp_path: Path) -> None:
    path = file(tmp_path, "a.csv", "nr;wer;worte\n101;@alice_x;Baker\n102;@bob_y;Goats\n")
    corpus("forget", "@alice_x")
    corpus("import", "--field", "worte", "--author", "nr", "--handle", "wer", str(path))
    assert stored(corpus) == [("Goats", 102, "bob_y")]
    corpus("import", "--field", "worte", "--author", "number", str(path), code=1)
    assert "no column 'number' (--author), only nr, wer, worte" in corpus.errors  # type: ignore[attr-defined]
    path = file(tmp_path, "a.jsonl", {"about": {"words": "Moon"}, "who": {"nr": "103", "call": "cy"}})
    corpus("import", "--field", "about.words", "--author", "who.nr", "--handle", "who.call", str(path))
    assert stored(corpus)[1:] == [("Moon", 103, "cy")]


# -- exporters ---------------------------------------------------------------------------------------

BAKER = ("Baker", 101, "alice_x")
EXPORTS: dict[str, tuple[str, object]] = {
    "X's Information Operations releases": (
        "a.csv",
        "tweetid,userid,user_display_name,user_screen_name,user_reported_location,user_profile_description,tweet_text\n"
        "900,101,A,alice_x,Lisbon,Baker,hi\n",
    ),
    "capitals": ("a.csv", "ID,Handle,Description\n101,alice_x,Baker\n"),
    "twarc-csv": (
        "a.csv",
        "id,created_at,text,author_id,author.id,author.username,author.description\n900,x,hi,101,101,alice_x,Baker\n",
    ),
    "twarc, flattened": (
        "a.jsonl",
        {
            "id": "900",
            "text": "hi",
            "author_id": "101",
            "author": {"id": "101", "username": "alice_x", "description": "Baker"},
        },
    ),
    "twarc v1.1": (
        "a.jsonl",
        {
            "id_str": "900",
            "full_text": "hi",
            "user": {"id_str": "101", "screen_name": "alice_x", "description": "Baker"},
        },
    ),
    "twscrape, a user": ("a.jsonl", {"id": 101, "id_str": "101", "username": "alice_x", "rawDescription": "Baker"}),
    "twscrape, a tweet": (
        "a.jsonl",
        {"id": 900, "rawContent": "hi", "user": {"id_str": "101", "username": "alice_x", "rawDescription": "Baker"}},
    ),
    "snscrape": (
        "a.jsonl",
        {"id": 900, "content": "hi", "user": {"username": "alice_x", "id": 101, "rawDescription": "Baker"}},
    ),
    "twitter-web-exporter, JSON": (
        "a.json",
        json.dumps([{"id": "101", "screen_name": "alice_x", "name": "A", "description": "Baker"}], indent=2),
    ),
    "twitter-web-exporter, CSV": (
        "a.csv",
        "ID,Screen Name,Profile Name,Description,Followers\n101,alice_x,A,Baker,5\n",
    ),
    "X's GraphQL": (
        "a.json",
        {
            "data": {
                "user": {
                    "result": {
                        "rest_id": "101",
                        "core": {"screen_name": "alice_x"},
                        "legacy": {"description": "Baker"},
                    }
                }
            }
        },
    ),
    "X's GraphQL of 2025": (
        "a.json",
        [{"rest_id": "101", "core": {"screen_name": "alice_x"}, "legacy": {}, "profile_bio": {"description": "Baker"}}],
    ),
    "Elasticsearch": ("a.jsonl", {"_id": "x", "_source": {"user_id": 101, "screen_name": "alice_x", "bio": "Baker"}}),
    "Apify": (
        "a.json",
        [{"id": "900", "text": "hi", "author": {"id": "101", "userName": "alice_x", "description": "Baker"}}],
    ),
    "Excel's Unicode text": ("a.txt", "ID\tScreen name\tBio\n101\talice_x\tBaker\n".encode("utf-16")),
    "twarc's json2csv": (
        "a.csv",
        "id,tweet_url,user_screen_name,text,in_reply_to_user_id,retweet_or_quote_user_id,user_id,user_description\n"
        "900,x,alice_x,hi,102,103,101,Baker\n",
    ),
    "twitter-data-extractor": (
        "a.csv",
        "ID,Username,Name,Created At,Bio,Pinned Tweet ID,Pinned Tweet\n101,alice_x,A,x,Baker,900,hi\n",
    ),
    "ids marked as text": ("a.csv", "user_id,screen_name,text,user_description\nID:101,alice_x,hi,Baker\n"),
    "twint, users": ("a.csv", "id,name,username,bio,location\n101,A,alice_x,Baker,Lisbon\n"),
    "pandas": ("a.csv", ",id,screen_name,description\n0,101.0,alice_x,Baker\n"),
    "DMI-TCAT": (
        "a.csv",
        "id,time,created_at,from_user_name,text,from_user_id,from_user_description\n900,1,x,alice_x,hi,101,Baker\n",
    ),
    "rtweet": ("a.csv", "user_id,status_id,screen_name,text,description\nx101,x900,alice_x,hi,Baker\n"),
    "TwiBot-20": (
        "a.json",
        [{"ID": "101", "profile": {"id": "101 ", "id_str": "101 ", "screen_name": "alice_x ", "description": "Baker"}}],
    ),
    "TwiBot-22": ("a.json", [{"id": "u101", "username": "alice_x", "description": "Baker"}]),
    "t, the command line": ("a.csv", "ID,Since,Tweets,Screen name,Name,Bio,Status\n101,x,5,@alice_x,A,Baker,hi\n"),
    "gallery-dl": (
        "a.json",
        [{"tweet_id": 900, "author": {"id": 101, "name": "alice_x", "nick": "A", "description": "Baker"}}],
    ),
    "PhantomBuster": (
        "a.csv",
        '"profileUrl","screenName","userId","name","bio"\n"https://twitter.com/alice_x","alice_x","101","A","Baker"\n',
    ),
    "minet": ("a.csv", "id,user_id,user_screen_name,user_description,text\n900,101,alice_x,Baker,hi\n"),
    "Excel, ids as text": ("a.csv", 'id;screen_name;description\n"=""101""";https://x.com/alice_x?lang=en;Baker\n'),
    "Python's bytes": ("a.csv", "id,screen_name,description\n101,b'alice_x',Baker\n"),
    "Grailbird": ("user_details.js", 'var user_details =  {"screen_name":"alice_x","bio":"Baker","id":"101"}'),
}


@pytest.mark.parametrize("export", EXPORTS)
def test_the_bio_and_its_author_are_read_from_the_export_of(export: str, tmp_path: Path) -> None:
    name, content = EXPORTS[export]
    assert people(file(tmp_path, name, content)) == [BAKER]


@pytest.mark.parametrize("export", EXPORTS)
@pytest.mark.parametrize("who", ["101", "@Alice_X", "https://twitter.com/alice_x", "text"])
def test_f41_opt_outs_hold_before_and_after_importing_the_export_of(
    export: str, who: str, corpus: Run, tmp_path: Path
) -> None:
    path = file(tmp_path, *EXPORTS[export])
    opt_out = ["forget", "--text", "baker"] if who == "text" else ["forget", who]
    corpus("import", str(path))
    assert "1 bio and 1 author removed" in corpus(*opt_out)
    assert corpus("import", str(path), "--json")["forgotten"] == 1
    assert stored(corpus) == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "id,created_at,text,username,description\n900,x,hi,bob_y,Goats\n901,x,ho,bob_y,Goats\n"),
        ("b.csv", "id,conversation_id,tweet,username,bio\n900,900,hi,bob_y,Goats\n"),
        ("c.csv", "id_str,full_text,screen_name,description\n900,hi,bob_y,Goats\n"),
        ("d.csv", "id,author.username,author.description\n900,bob_y,Goats\n"),
        # Social Feed Manager, and Hydrator
        ("f.csv", "created_at,twitter_id,screen_name,text,user_description\nx,900,bob_y,hi,Goats\n"),
        ("g.csv", "created_at,favorite_count,id,text,user_description,user_screen_name\nx,0,900,hi,Goats,bob_y\n"),
        ("e.jsonl", '{"id": "900", "text": "hi", "username": "bob_y", "description": "Goats"}'),
    ],
)
def test_the_id_of_a_tweet_is_never_a_persons(tmp_path: Path, name: str, content: str) -> None:
    path = file(tmp_path, name, content)
    assert set(people(path)) == {("Goats", None, "bob_y")}
    if name.endswith(".csv"):
        with pytest.raises(BadFile, match="no column with ids of people"):
            list(readers.ids(path))
    else:
        assert list(readers.ids(path)) == []


def test_an_id_that_a_float_has_rounded_is_none_and_the_handle_remains(tmp_path: Path) -> None:
    ids = ["101.0", "1.0e+17", "8,1E+017", "1234567890123456789.0", "1234567890123456789"]
    rows = "".join(f"{value};h_{place};bio {place}\n" for place, value in enumerate(ids))
    found = people(file(tmp_path, "a.csv", f"id;screen_name;description\n{rows}"))
    assert [each[1] for each in found] == [101, None, None, None, 1234567890123456789]
    assert [each[2] for each in found] == ["h_0", "h_1", "h_2", "h_3", "h_4"]


@pytest.mark.parametrize(
    ("value", "handle"),
    [
        ("@Bob_Y ", "Bob_Y"),
        ("＠bob_y", "bob_y"),
        ("https://www.twitter.com/bob_y/status/900", "bob_y"),
        ("x.com/bob_y#", "bob_y"),
        ("b'bob_y'", "bob_y"),
        ("bob@example.social", "bob@example.social"),
        ("https://x.com/i/user/12", None),
        ("Bob Yellow", None),
        ("a/b+c=", None),
        ("nan", None),
        ("https://example.org/bob_y", None),
    ],
)
def test_a_handle_is_known_in_every_spelling_and_nothing_else_is_one(
    tmp_path: Path, value: str, handle: str | None
) -> None:
    assert people(file(tmp_path, "a.jsonl", {"bio": "Goats", "handle": value})) == [("Goats", None, handle)]


def test_f41_an_import_that_finds_no_author_says_what_that_means_for_opt_outs(corpus: Run, tmp_path: Path) -> None:
    said = corpus("import", str(file(tmp_path, "a.csv", "nr,description\n1,Baker\n2,Goats\n")))
    assert "no author is known for 2 bios" in said
    assert "not by id or handle" in said
    assert "no author is known for 1 of 2 bios" in corpus(
        "import", str(file(tmp_path, "b.csv", f"{HEADER}1,a_a,Baker\n,,Moon\n"))
    )
    assert "no author" not in corpus("import", str(file(tmp_path, "c.csv", f"{HEADER}1,a_a,Baker\n")))
    said = corpus("forget", "@nobody_here")
    assert "nothing of theirs was found" in said
    assert "without an author" in said
    assert "refused" not in said


def test_f41_a_text_opts_out_however_its_ampersands_are_written(corpus: Run, tmp_path: Path, home: Path) -> None:
    corpus("forget", "--text", "Tea &amp; maps", "--text", "I <3 rain")
    path = file(tmp_path, "a.txt", "tea & maps\ntea &amp; maps\nI &lt;3 rain\nR&amp;D &#39;n&#39; cake\n")
    assert corpus("import", str(path), "--json")["forgotten"] == 3
    assert stored(corpus) == [("R&D 'n' cake", None, None)]
    with Store(home / "corpus.db", read_only=True) as store:
        for text in ("TEA & maps", "tea &amp; maps", "i &lt;3 rain"):
            assert store.forgotten().covers(Bio(text))
    corpus("forget", "--text", "R&amp;D 'n' cake")
    assert stored(corpus) == []


def test_an_ampersand_escaped_twice_survives_export_and_import(corpus: Run, tmp_path: Path, home: Path) -> None:
    corpus("import", str(file(tmp_path, "a.txt", "I write &amp;amp; for a living\n")))
    assert "&amp;amp;" in corpus("export", "-")
    corpus("export", str(tmp_path / "out.jsonl"))
    assert corpus("import", str(tmp_path / "out.jsonl"), "--json")["duplicates"] == 1


def test_pythons_words_for_nothing_and_its_bytes_are_no_bios(tmp_path: Path) -> None:
    cells = ["nan", "NULL", "None", "<NA>", "b'Caf\\xc3\\xa9'", 'b"Baker"', "None of your business"]
    rows = "".join(
        f"{n},h_{n},{json.dumps(cell) if chr(34) not in cell else cell}\n" for n, cell in enumerate(cells, 1)
    )
    path = file(tmp_path, "a.csv", HEADER + rows)
    assert [each[0] for each in people(path)] == ["None of your business"]
    assert [why for _, why in skipped(path)] == ["empty"] * 4 + ["Python bytes written as text: b'…'"] * 2
    path = file(tmp_path, "b.csv", f"{HEADER}nan,None,Baker\nnan,None,Goats\n")
    assert people(path) == [("Baker", None, None), ("Goats", None, None)]


# -- JSON --------------------------------------------------------------------------------------------


def test_json_arrays_are_read_whatever_their_name_and_layout(tmp_path: Path) -> None:
    records = [
        {"id": str(n), "screen_name": f"h_{n}", "description": f"bio\n{n}", "urls": [{"a": [1]}]} for n in range(1, 9)
    ]
    wanted = [(f"bio\n{n}", n, f"h_{n}") for n in range(1, 9)]
    layouts = [
        json.dumps(records),
        json.dumps(records, indent=2),
        json.dumps(records, indent="\t").replace("\n", "\r\n"),
    ]
    layouts += ["\n".join(json.dumps(each, indent=4) for each in records), "\ufeff" + json.dumps({"users": records})]
    layouts += ["".join(f"\x1e{json.dumps(each)}\n" for each in records)]
    for content in layouts:
        for name in ("a.json", "a.jsonl", "a.csv", "a.txt", "a.js"):
            assert people(file(tmp_path, name, content)) == wanted, content[:40]
    assert people(file(tmp_path, "a.json", [["id", "bio"], ["1", "Baker"]])) == []
    assert people(file(tmp_path, "a.json", ["Baker", "Goats: a life"])) == [
        ("Baker", None, None),
        ("Goats: a life", None, None),
    ]


def test_a_large_array_or_object_is_streamed_in_bounded_memory(tmp_path: Path) -> None:
    import tracemalloc

    for before, after in (("[", "]"), ('{"meta": {"page": 1}, "users": [', '], "next": "x"}')):
        path = tmp_path / "a.json"
        with path.open("w", encoding="utf-8") as out:
            out.write(before)
            for number in range(1, 4_801):
                record = {
                    "id_str": str(number),
                    "screen_name": f"h_{number}",
                    "description": f"bio {number}",
                    "x": "y" * 2_000,
                }
                out.write(("," if number > 1 else "") + json.dumps(record))
            out.write(after)
        assert path.stat().st_size > 2 * readers.MAX_LINE
        tracemalloc.start()
        count = sum(isinstance(each, Bio) and each.author is not None for each in read(path))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == 4_800
        assert peak < 8 * readers.MAX_LINE


def test_values_that_are_nested_too_deep_hold_nobody_and_break_nothing(tmp_path: Path) -> None:
    for deep in ("[" * 900 + "]" * 900, '{"data":' * 400 + "1" + "}" * 400, '{"data":[' * 300 + "]}" * 300):
        path = file(tmp_path, "a.jsonl", f'{{"bio": "Baker"}}\n{deep}\n')
        assert people(path) == [("Baker", None, None)]
        assert list(readers.ids(path)) == []


def test_a_broken_element_of_an_array_costs_only_itself(tmp_path: Path) -> None:
    records = [
        {"id": str(n), "screen_name": f"h_{n}", "description": f"bio {n}", "list": [{"a": n}]} for n in range(1, 7)
    ]
    for indent in (None, 2):
        content = json.dumps(records, indent=indent).replace('"bio 3"', '"bio "3"').replace('"bio 5"', '"bio 5')
        path = file(tmp_path, "a.json", content)
        assert [each[0] for each in people(path)] == ["bio 1", "bio 2", "bio 4", "bio 6"]
        assert {why for _, why in skipped(path)} <= {"not JSON", "no bio in it"}
    assert people(file(tmp_path, "cut.json", json.dumps(records)[:-40]))[-1][0] == "bio 5"


def test_json_without_a_known_key_names_the_keys_that_it_has(corpus: Run, tmp_path: Path) -> None:
    path = file(tmp_path, "a.jsonl", {"nr": 1, "worte": "Baker", "\x1b[31mred": 1})
    corpus("import", str(path), code=1)
    assert "its keys are nr, worte, <1B>[31mred; name one with `biobot corpus import --field" in corpus.errors  # type: ignore[attr-defined]


def test_the_last_line_never_claims_what_did_not_happen(corpus: Run, tmp_path: Path) -> None:
    for name, content in (("a.jsonl", "nonsense\nmore nonsense\n"), ("b.txt", "\n\n"), ("c.csv", "bio\nnan\n")):
        said = corpus("import", str(file(tmp_path, name, content)), code=1)
        assert "already stored" not in said
        assert "no bio was found" in corpus.errors  # type: ignore[attr-defined]
    corpus("import", str(file(tmp_path, "0.csv", "")), code=1)
    assert "0.csv is empty" in corpus.errors  # type: ignore[attr-defined]
    path = file(tmp_path, "d.jsonl", '{"bio": "Baker"}\nnonsense\n')
    corpus("import", str(path))
    assert corpus("import", str(path)).splitlines()[1].startswith("nothing new: 1 bio already stored")
    corpus("forget", "--text", "baker")
    said = corpus("import", str(path))
    assert said.splitlines()[1].startswith("nothing added: all bios found are of people or texts that opted out")


def test_one_bad_file_among_several_stops_none_of_the_others(corpus: Run, tmp_path: Path) -> None:
    good, other = file(tmp_path, "a.txt", "Baker\n"), file(tmp_path, "b.txt", "Goats\n")
    said = corpus("import", str(good), str(tmp_path / "none.csv"), str(other), code=1)
    assert "added            2" in said
    assert "cannot read" in corpus.errors  # type: ignore[attr-defined]


# -- Twitter archives --------------------------------------------------------------------------------

PROFILE = {"profile": {"description": {"bio": "Baker", "website": "https://t.co/x"}, "avatarMediaUrl": "x"}}
TWEET = {
    "tweet": {"id_str": "900", "full_text": "hi", "entities": {"media": [{"id_str": "3", "indices": ["3", "12"]}]}}
}


def ytd(part: str, *records: object) -> str:
    return f"window.YTD.{part}.part0 = {json.dumps(list(records), indent=2)}"


def test_the_parts_of_a_twitter_archive_are_told_apart(corpus: Run, tmp_path: Path) -> None:
    assert people(file(tmp_path, "profile.js", ytd("profile", PROFILE))) == [("Baker", None, None)]
    follower = file(tmp_path, "x.js", ytd("follower", {"follower": {"accountId": "12", "userLink": "…user_id=12"}}))
    tweets = file(tmp_path, "tweets.js", ytd("tweets", TWEET))
    likes = file(tmp_path, "like.js", ytd("like", {"like": {"tweetId": "900", "fullText": "hi"}}))
    assert list(readers.ids(follower)) == [12]
    for path, words in (
        (follower, "holds ids but no bios; name it in `collect.ids`"),
        (tweets, "is the tweets of a Twitter archive: they hold no bio and no people"),
        (likes, "is the part 'like' of a Twitter archive; only profile.js holds a bio"),
    ):
        corpus("import", str(path), code=1)
        assert words in corpus.errors  # type: ignore[attr-defined]
    for path in (tweets, likes, tmp_path / "profile.js"):
        with pytest.raises(BadFile, match=r"only follower\.js and following\.js list people"):
            list(readers.ids(path))


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("a.csv", "tweet_id,user_id,text\n900,12,hi\n901,13.0,ho\n", [12, 13]),
        ("b.csv", "ID;Name\n12;Ann\n13;Bob\n", [12, 13]),
        ("c.jsonl", '{"id": "900", "text": "hi", "author_id": "12"}\n{"id": "13", "username": "bob"}', [12, 13]),
        ("d.jsonl", '{"id_str": "900", "full_text": "hi", "user": {"id_str": "12"}}', [12]),
        ("e.json", "[12, 13, 14]", [12, 13, 14]),
        ("f.json", '{"ids": ["12", "13"], "next_cursor": 0}', [12, 13]),
        ("g.csv", "12\n13\n", [12, 13]),
    ],
)
def test_ids_to_collect_are_those_of_people(tmp_path: Path, name: str, content: str, wanted: list[int]) -> None:
    assert list(readers.ids(file(tmp_path, name, content))) == wanted


# -- encodings and containers ------------------------------------------------------------------------

ACCENTS = [("Café owner", 1, "a_a"), ("Naïve über-baker – “tea”", 2, "b_b"), ("plain", 3, "c_c"), ("señor", 4, "d_d")]
TABLE = HEADER + "".join(f"{author},{handle},{text}\n" for text, author, handle in ACCENTS)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_every_usual_encoding_is_read_also_when_packed(tmp_path: Path, encoding: str, pack: type[bytes]) -> None:
    for name, content in (
        ("a.csv", TABLE),
        ("a.json", json.dumps([{"id": a, "screen_name": h, "bio": t} for t, a, h in ACCENTS], ensure_ascii=False)),
        ("a.jsonl", "".join(f'{{"id": {a}, "screen_name": "{h}", "bio": "{t}"}}\n' for t, a, h in ACCENTS)),
    ):
        if encoding == "cp1252" and name == "a.json":
            content = json.dumps(json.loads(content), ensure_ascii=False, indent=1)
        assert people(file(tmp_path, f"{name}.gz", pack(content.encode(encoding)))) == ACCENTS


def test_a_bad_line_in_a_file_that_is_mostly_utf_8_is_told_and_skipped(tmp_path: Path) -> None:
    path = file(tmp_path, "a.csv", TABLE.encode() + b"5,e_e,Caf\xe9\n6,f_f,Moon\n")
    assert people(path) == [*ACCENTS, ("Moon", 6, "f_f")]
    assert skipped(path) == [(6, "not UTF-8")]


def test_an_encoding_that_is_neither_is_refused_with_the_fix(corpus: Run, tmp_path: Path) -> None:
    for words, encoding in (
        ("Пекарь из Лиссабона", "cp1251"),
        ("東京のパン屋です", "shift_jis"),
        ("北京的面包师", "gb18030"),
    ):
        path = file(tmp_path, "a.txt", f"{words} 1\n{words} 2\n{words} 3\n".encode(encoding))
        corpus("import", str(path), code=1)
        assert "is not UTF-8" in corpus.errors  # type: ignore[attr-defined]
        assert "iconv -f" in corpus.errors  # type: ignore[attr-defined]
    corpus("import", str(file(tmp_path, "c.txt", "Hyvää päivää\nPöllö “yö”…\n¡Año «É»!\n".encode("cp1252"))))
    corpus("import", str(file(tmp_path, "b.txt", "Café\nNaïve\n".encode("cp1252"))))
    assert "read as Windows-1252" in corpus.errors  # type: ignore[attr-defined]


def zipped(path: Path, **members: str) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in members.items():
            packed.writestr(name.replace("__", "/").replace("_csv", ".csv").replace("_txt", ".txt"), content)
    return path


def test_a_zip_of_one_file_is_read_and_one_of_several_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", people_csv=TABLE)
    with zipfile.ZipFile(path, "a") as packed:
        packed.writestr("__MACOSX/._people.csv", b"\0\5")
    assert people(path) == ACCENTS
    with pytest.raises(BadFile, match="holds 2 files"):
        people(zipped(tmp_path / "b.zip", a_csv=TABLE, b_txt="x"))
    with pytest.raises(BadFile, match="Excel workbook"):
        people(zipped(tmp_path / "c.zip", xl__workbook="x", a_csv=TABLE))
    (tmp_path / "d.zip").write_bytes(path.read_bytes()[:-30])
    with pytest.raises(BadFile, match="damaged"):
        people(tmp_path / "d.zip")


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"PAR1\x15\x04", "Parquet"),
        (b"\xd0\xcf\x11\xe0\xa1", "Excel workbook"),
        (b"\x28\xb5\x2f\xfd\x04", "zstd -d"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        (b"\n<!DOCTYPE html><html>", "web page"),
        (b"SQLite format 3\0", "SQLite"),
        (b"<?xml version='1.0'?>", "XML"),
        (b"people.csv".ljust(257, b"\0") + b"ustar", "tar archive"),
    ],
)
def test_what_is_no_text_is_called_by_its_name(tmp_path: Path, start: bytes, words: str) -> None:
    for name in ("a.csv", "a.jsonl", "a.txt"):
        with pytest.raises(BadFile, match=words):
            people(file(tmp_path, name, start + bytes(range(256))))


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (TABLE.encode(), ACCENTS),
        (gzip.compress(TABLE.encode()), ACCENTS),
        (json.dumps([{"id": 1, "screen_name": "a_a", "bio": "Baker"}]).encode(), [("Baker", 1, "a_a")]),
        (b"Baker\nGoats\n", [("Baker", None, None), ("Goats", None, None)]),
    ],
)
def test_standard_input_and_the_shells_pipes_are_read(
    corpus: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, wanted: list[Person]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    corpus("import", "-")
    assert stored(corpus) == wanted
    assert {json.loads(line)["source"] for line in corpus("export", "-").splitlines()} == {"standard input"}
    os.mkfifo(tmp_path / "63")
    writer = threading.Thread(target=(tmp_path / "63").write_bytes, args=(content,))
    writer.start()
    assert people(tmp_path / "63") == wanted
    writer.join()
