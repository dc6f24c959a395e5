"""X's weighted length, by the cases of the rules and by the official library where it is installed (F24)."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from biobot.text import links as linking
from biobot.text.length import weighted_length
from biobot.text.links import links

SCRIPT = """
const {parseTweet} = require('twitter-text');
require('readline').createInterface({input: process.stdin}).on('line',
  line => console.log(parseTweet(JSON.parse(line)).weightedLength));
"""


@pytest.mark.parametrize(
    ("text", "weight"),
    [
        ("", 0),
        ("a" * 280, 280),
        ("🌻" * 140, 280),
        ("🌻" * 141, 282),
        ("東" * 140, 280),
        ("東" * 141, 282),
        ("👨\u200d👩\u200d👧\u200d👦", 2),
        ("👍🏽🇩🇪1\ufe0f\u20e3❤\ufe0f", 8),
        ("1\u20e3🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", 4),
        ("👍\u200d👍", 5),  # no sequence that X knows: two emoji and what joins them
        ("e\u0301", 1),
        ("\u200d“”–…", 5 + 1),
        ("see https://example.org/a/very/long/path?with=a&query=too#and", 4 + 23),
        ("me@gmail.com", 12),
        ("at gmail.com.", 3 + 23 + 1),
        ("Mr.Smith and node.js", 20),
        ("日本gmail.com", 4 + 23),
        ("x.cafe🏳.中国/", 23 + 2 + 6),  # X ends the link within the emoji
        ("x.cafe👩\u200d🚀.中国/", 23 + 2 + 3 + 6),
        ("a\r\nb", 4),
    ],
)
def test_counts_as_x_does(text: str, weight: int) -> None:
    assert weighted_length(text) == weight


def test_finds_bare_domains_and_urls_where_x_does() -> None:
    text = "🌻 x.com, (https://en.wikipedia.org/wiki/A_(b)) -no.com t.co/abc co.uk https://t.co/abc!"
    found = [link.text for link in links(text)]
    assert found == ["x.com", "https://en.wikipedia.org/wiki/A_(b)", "t.co/abc", "co.uk", "https://t.co/abc"]
    assert all(text[link.start : link.end] == link.text for link in links(text))


@pytest.mark.parametrize(
    ("light", "heavy"), [("\u10ff", "\u1100"), ("\u2000\u200d", "\u1fff\u200e"), ("\u2010\u201f", "\u200f\u2020")]
)
def test_weighs_a_letter_by_its_range(light: str, heavy: str) -> None:
    assert weighted_length(light) == len(light)
    assert weighted_length(heavy) == 2 * len(heavy)
    assert weighted_length("\u2032\u2037") == 2
    assert weighted_length("\u2031\u2038") == 4


@pytest.mark.parametrize(
    ("text", "found"),
    [
        *((f"{before}x.com", "") for before in ("_", ".", "/", "$", "#", "@＠", "a_")),
        *((f"x.com{after}", "") for after in "@+-"),
        ("~\ufffe👩.x.cafe", "x.cafe"),  # half of the emoji is a label
        ("see éx.com", "éx.com"),
        ("see\néx.com", "éx.com"),
        ("x.com:80/p", "x.com:80/p"),
        ("x.com/'", "x.com/"),
        ("x.com/a!(b)c(d)!", "x.com/a!(b)c(d)"),
        ("x.com/(a(b)c).(d)", "x.com/(a(b)c)"),
        ("http://my_site.x.com", "http://my_site.x.com"),
        ("a.xn--z", "a.xn--z"),
        ("http://xn--日本.com", ""),
        ("x.cafe＠.中国/", "x.cafe＠"),  # X counts the path to what stands before it
        ("https://t.co/9/a", "https://t.co/9"),
        ("https://t.co/9?a=b", "https://t.co/9?a=b"),
        (f"https://t.co/{'c' * 40}", f"https://t.co/{'c' * 40}"),
        (f"https://t.co/{'c' * 41}", ""),
        (f"http://{'b' * 63}.com", f"http://{'b' * 63}.com"),
        (f"http://{'b' * 64}.com", ""),
        (f"http://{'日' * 57}.com", f"http://{'日' * 57}.com"),
        (f"http://{'日' * 58}.com", ""),
        (f"http://{'a' * 30}。{'ñ' * 26}.com", f"http://{'a' * 30}。{'ñ' * 26}.com"),
        (f"http://{'a' * 30}。{'ñ' * 27}.com", ""),
        (f"http://a.b.com/{'d' * 4074}", f"http://a.b.com/{'d' * 4074}"),
        (f"http://a.b.com/{'d' * 4075}", ""),
    ],
)
def test_ends_and_refuses_links_where_x_does(text: str, found: str) -> None:
    assert [link.text for link in links(text)] == ([found] if found else [])


@pytest.fixture
def folder() -> Path:
    """Find npm's library: set TWITTER_TEXT to a folder in which `npm install twitter-text@3.1.0` was run."""
    folder = Path(os.environ.get("TWITTER_TEXT", "nowhere"))
    if not (shutil.which("node") and (folder / "node_modules" / "twitter-text").is_dir()):
        pytest.skip("needs node, and TWITTER_TEXT naming a folder with npm's twitter-text 3.1.0")
    return folder


def official(texts: list[str], folder: Path) -> list[int]:
    """Count as npm's library does."""
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    command = ["node", "-e", SCRIPT]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, cwd=folder, check=True)
    return list(map(int, done.stdout.split()))


def test_agrees_with_the_official_library(folder: Path) -> None:
    draw = random.Random(5)
    signs = "a Z 9 - _ . / @ # http:// https:// t.co/ www. com co.uk é 日本 .中国 x.cafe א ( ) ? = 🏳 🌈 👩 🏽 ❤ ё ＠ ©"
    pieces = signs.split()
    pieces += [
        " ",
        "\n",
        "\u200d",
        "\ufe0f",
        "\u20e3",
        "e\u0301",
        "gmail.com",
        "👩\u200d🚀",
        "🇩🇪",
        "xn--",
        "(b)",
        "/a",
        "!",
        "'",
    ]
    texts = ["".join(draw.choice(pieces) for _ in range(draw.randrange(1, 25))) for _ in range(5000)]
    texts += [f"a{chr(code)}b" for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    theirs = official(texts, folder)
    ours = list(map(weighted_length, texts))
    assert not [text for text, one, other in zip(texts, ours, theirs, strict=True) if one < other]
    assert sum(one != other for one, other in zip(ours, theirs, strict=True)) <= 5


def test_agrees_with_the_official_library_on_its_conformance_data(folder: Path) -> None:
    """Put validate.yml, from the folder `conformance` of the library's repository, into that folder."""
    yaml = pytest.importorskip("yaml")
    if not (folder / "validate.yml").is_file():
        pytest.skip("needs twitter-text's conformance/validate.yml in the folder that TWITTER_TEXT names")
    sections = yaml.safe_load((folder / "validate.yml").read_text(encoding="utf-8"))["tests"]
    texts = [case["text"] for cases in sections.values() for case in cases]
    assert len(texts) > 90
    assert list(map(weighted_length, texts)) == official(texts, folder)
    # the section for configuration v2, which counts each part of an emoji, is held only to the library as it is now
    cases = sections["WeightedTweetsWithDiscountedEmojiCounterTest"] + sections["UnicodeDirectionalMarkerCounterTest"]
    assert {case["text"]: weighted_length(case["text"]) for case in cases} == {
        case["text"]: case["expected"]["weightedLength"] for case in cases
    }


def test_looking_only_into_words_with_an_ending_misses_no_link() -> None:
    draw = random.Random(3)
    signs = [*"..:/@-_#　é😀\n 。  ", "example", "COM", "co.uk", "xn--p1ai", "рф", "http://", "a", "9", "網站", ".org"]
    texts = ["".join(draw.choices(signs, k=draw.randrange(1, 12))) for _ in range(5000)]
    quick = [[(link.start, link.end) for link in links(text)] for text in texts]
    assert quick == [list(linking._in_units(text)) if text else [] for text in texts]
    assert 500 < sum(map(bool, quick)) < 4500
