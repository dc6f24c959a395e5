"""The filters that come with biobot, each asked as a user's test would ask it (F23, F24, F25)."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from biobot.bundled import bundled
from biobot.candidate import Match
from biobot.testing import judge

DISGUISES: dict[str, Callable[[str], str]] = {
    "upper case": str.upper,
    "full-width": lambda word: "".join(chr(ord(letter) + 0xFEE0) for letter in word),
    "Cyrillic look-alikes": lambda word: word.translate(str.maketrans("aceikoptuxy", "асеікортуху")),
    "Greek look-alikes": lambda word: word.translate(str.maketrans("abegiknostuw", "αβεγικνοςτυω")),
    "Greek capitals": lambda word: word.upper().translate(str.maketrans("ABEHIKNOTU", "ΑΒΕΗΙΚΝΟΤΥ")),
    "leet": lambda word: word.translate(str.maketrans("aeios", "4310$")),
    "more leet": lambda word: word.translate(str.maketrans("ait", "@!+")),
    "zero-width split": "\u200b".join,
    "soft hyphens": "\u00ad".join,
    "accents": lambda word: "".join(letter + "\u0301\u0323" for letter in word),
    "spaced out": " ".join,
    "dotted": ".".join,
    "dashed": "-".join,
    "underscored": "_".join,
    "stretched": lambda word: word[0] + word[1] * 4 + word[2:],
    "starred": lambda word: word[0] + "*" + word[2:],
    "suffixed": lambda word: word + "s",
    "mathematical": lambda word: "".join(chr(0x1D41A + ord(letter) - 97) for letter in word),
    "in circles": lambda word: "".join(chr(0x24D0 + ord(letter) - 97) for letter in word),
}
COARSE = ["fuck", "shit", "bitch", "cunt", "nigger", "faggot", "whore", "asshole", "slut", "wanker"]
HARMLESS_WORDS = """
Scunthorpe Japan Egypt spice assassin class bass glass grass pass passion compass embassy Essex Sussex Middlesex
Penistone Lightwater Clitheroe Cockermouth Dorking Hancock peacock cocktail Babcock shuttlecock cockatoo analysis
analyst canal banal therapist psychotherapist grape drape scrape document circumvent cucumber accumulate button butter
butterfly rebuttal buttercup Dickens Dickinson dictate predict titan title titanium competition constitution institution
Matsushita Takeshita shiitake mishit Yoshitaka pussycat whitewash snigger sniggering niggle raccoon cocoon tycoon
saxophone Saskatchewan sextant sextet unisex basement abasement hello shell Michelle hellebore Hellmann damnation
amnesty crapshoot scrap scrape arsenal parsec sparse Marseille coarse rehearse horse nurse purse swank twinkle
homophone Homer Nigeria Niger niggardly night knight suckle honeysuckle succulent kumquat organism organist
shoes canoe Hoboken bigger digger trigger jigger rigger vinegar finger ginger sausage message passage bitcoin
flag lifelong fig wanderer swan spanker hunker bunker tanker anchor buccaneer mass massage classic assistant
association assemble assess asset bassoon ambassador cassette harass lass morass sassafras
"""
HARMLESS = HARMLESS_WORDS.split()


def refused(name: str, text: str, **settings: object) -> bool:
    return judge(bundled("plugins") / f"{name}.py", text, settings=settings) is not None


@pytest.mark.parametrize("disguise", DISGUISES)
def test_profanity_sees_through_the_disguise(disguise: str) -> None:
    caught = [word for word in COARSE if refused("profanity", f"well {DISGUISES[disguise](word)} then")]
    assert len(caught) >= 9, set(COARSE) - set(caught)


def test_profanity_lets_harmless_words_pass() -> None:
    flagged = [word for word in HARMLESS if refused("profanity", f"I like {word} a lot") or refused("profanity", word)]
    assert len(flagged) <= 0.02 * len(HARMLESS), flagged
    for text in ("Dick Cheney and Moby Dick", "magna cum laude", "blue tits", "spick and span", "M*A*S*H"):
        assert not refused("profanity", text)


@pytest.mark.parametrize(
    "text",
    [
        *("an unfuckable mess", "megafuuckery", "megafaggotry"),  # in the midst, with one letter too many, with two
        *("diiiick", "pusssy", "bastarding", "twats", "punanies", "gin jockey", "oh/twat", "fags"),
        *(
            "d1ck!",
            "pak!",
            "s1ut",
            "tw47",
            "(c*nt)",
            "s h 1 t",
            "t _ w * a ~ t",
            "pussу",
            "#love#life#is#good#and#then#it#is#bad#but#fuck#it",
        ),
        *("Dick Cheney is a cunt", "the damn cunt of Scunthorpe"),
    ],
)
def test_profanity_finds_the_word_whatever_is_done_to_it(text: str) -> None:
    assert refused("profanity", text)


@pytest.mark.parametrize(
    "text",
    [
        *("SCUNTHORPEEE", "titan*", "Fagin", "Dickies", "a jockey of gin", "moby-dick", "Jesus Christ is my saviour"),
        *("k l m, s l u tea", "this l u t", "𐄇 and 𐄇"),
    ],
)
def test_profanity_lets_pass_what_only_looks_like_a_word(text: str) -> None:
    assert not refused("profanity", text)


def test_profanity_finds_every_word_of_its_list() -> None:
    lines = (bundled("plugins") / "profanity.txt").read_text(encoding="utf-8").splitlines()
    listed = [line.split("\t")[2] for line in lines if line.startswith("en\t")]
    assert len(listed) > 800
    assert not [word for word in listed if not refused("profanity", f"{word},", severity=1)]


def test_profanity_takes_the_operators_words_and_exceptions() -> None:
    assert refused("profanity", "I love Brussels SPR0UTS", words=["Sprouts"])
    assert refused("profanity", "a sea, of tears", words=["sea of Tears"])
    assert not refused("profanity", "a sea of tearsheets, C and D", words=["sea of tears", "c++"])
    assert refused("profanity", "I speak C++", words=["c++"])
    assert not refused("profanity", "the shit-show", allow=["Shit Show"])
    assert refused("profanity", "damn, d*mn", severity=1)
    assert refused("profanity", "d*mn", severity=1)
    assert not refused("profanity", "damn")


def test_profanity_uses_the_list_of_the_language_that_the_text_is_in() -> None:
    assert refused("profanity", "je suis la mère de deux cons et de trois salauds avec des enculé dans la vie")
    assert not refused("profanity", "the mother of two, con artist")
    assert refused("profanity", "pendejo", languages=["es"])
    assert not refused("profanity", "pendejo", languages=[])
    assert not refused("profanity", "soy un vehículo ridículo", languages=["es"])
    assert not refused("profanity", "the damn cats and I", languages=["en"])
    assert not refused("profanity", "yang, dan: di aku ini untuk kamu")  # a language without a list
    assert refused("profanity", "از تجاوز بدم می‌آید")  # Persian, by its script
    assert not refused("profanity", "تجاوز", languages=["ar"])


def test_profanity_reads_scripts_without_spaces_and_keeps_their_marks() -> None:
    assert refused("profanity", "ビッチです")
    assert not refused("profanity", "ヒッチハイクが好きです")
    assert refused("profanity", "ﾋﾞｯﾁです")
    assert not refused("profanity", "女性的生活")


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("🌻" * 140, True),
        ("🌻" * 141, False),
        ("東" * 140, True),
        ("東" * 141, False),
        ("a" * 19, False),
        ("a" * 20, True),
    ],
)
def test_length_counts_as_x_does(text: str, passes: bool) -> None:
    assert refused("length", text) is not passes


@pytest.mark.parametrize("text", ["hi @nobody", "hi ＠nobody", "(@a)", "rich with $TSLA", "#a #b #c #d"])
def test_mentions_are_refused(text: str) -> None:
    assert refused("mentions", text)


def test_mentions_may_be_allowed_by_name() -> None:
    assert not refused("mentions", "ask @Support about $5, #a #b #c", allow=["@support"])
    assert refused("mentions", "#a", hashtags=0)


@pytest.mark.parametrize(
    "text", ["https://t.co/abc", "gmail.com", "write me:x.org", "www. example", "ftp://a", "http:// x", "日本x.com"]
)
def test_links_are_refused(text: str) -> None:
    assert refused("links", text)


def test_links_may_be_allowed_by_domain() -> None:
    assert not refused("links", "node.js, e.g. this. And that…")
    assert not refused("links", "https://www.example.org/a and blog.example.org", allow=["example.org"])
    assert refused("links", "badexample.org", allow=["example.org"])


@pytest.mark.parametrize(
    "text",
    [
        *("me@example.org", "me＠example.org", "me (at) example (dot) org", "me at example dot org"),
        *("me\u200b@example.org", "お問い合わせはme@example.orgまで", "me[at]example.org", "me @ example.org"),
        *("1234567812345678", "555\u20131234\u20137", "030\n12\n34567"),
        *("+44 20 7946 0958", "(555) 123-4567", "０９０-１２３４-５６７８", "WhatsApp: 12345678", "tel 55512"),
        *("12 Baker Street", "Goethestraße 12", "rue de la Paix 5"),
    ],
)
def test_private_data_is_refused(text: str) -> None:
    assert refused("private", text)


@pytest.mark.parametrize(
    "repeated", ["a.", "a@", "@", "a", " @ a", "a at ", "a dot ", "[at]", "1", "1 ", "(1", "1 a ", " ", "aé", "a1-"]
)
def test_private_takes_time_in_proportion_to_the_text(repeated: str) -> None:
    def seconds(size: int) -> float:
        text = repeated * (size // len(repeated)) + "@"
        start = time.process_time()
        refused("private", text)
        return time.process_time() - start

    seconds(100)  # loads the plugin
    assert min(seconds(16_000) for _ in range(3)) < 0.5  # cubic time would be hours, quadratic seconds


@pytest.mark.parametrize(
    "text",
    [
        "born 12.05.1987",
        "1984-2020",
        "10,000,000 fans",
        "24/7",
        "at work. Dot com boom",
        "1999, 2001, 2003, 2020",
        "3.14159265",
    ],
)
def test_numbers_that_are_nobodys_pass(text: str) -> None:
    assert not refused("private", text)


def test_language_allows_all_until_told_otherwise() -> None:
    assert not refused("language", "猫が好きです")
    assert refused("language", "猫が好きです", scripts=["latin"])
    assert not refused("language", "a baker who likes many kinds of 猫 in Lisbon", scripts=["latin"])
    assert refused("language", "soy la madre de dos gatos", languages=["en"])
    assert not refused("language", "coffee", languages=["en"])
    assert refused("language", "coffee", languages=["en"], strict=True)


@pytest.mark.parametrize(
    ("match", "text", "said"),
    [
        (Match("learnt", "exact", 1.0), "x" * 40, "exact: the same text as a training bio"),
        (Match("learnt", "near", 0.55), "x" * 70, "near: 55% like a training bio"),
        (Match("learnt", "near", 0.54), "x" * 70, None),
        (Match("learnt", "near", 0.46), "x" * 55, "near: 46% like a training bio"),
        (Match("learnt", "near", 0.45), "x" * 55, None),
        (Match("learnt", "near", 0.37), "x" * 20, "near: 37% like a training bio"),
        (Match("learnt", "near", 0.35), "x" * 40, None),
        (Match("learnt", "near", 0.7), "x" * 10, None),
        (
            Match("learnt", "copied", 32),
            "x" * 200,
            "copied: 32 characters in a row from a training bio",
        ),
        (Match("learnt", "copied", 28), "x" * 200, None),
        (
            Match("learnt", "copied", 28),
            "x" * 58,
            "copied: 28 characters in a row from a training bio",
        ),
        (Match("learnt", "copied", 28), "x" * 60, None),
        (
            Match("queued", "copied", 16),
            "x" * 34,
            "copied: 16 characters in a row from a text in the queue",
        ),
        (Match("posted", "copied", 40), "x" * 200, None),
        (
            Match("forgotten", "copied", 40),
            "x" * 200,
            "copied: 40 characters in a row from a bio whose author opted out",
        ),
    ],
)
def test_dedupe_says_in_which_way_and_how_closely(match: Match, text: str, said: str | None) -> None:
    assert judge(bundled("plugins") / "dedupe.py", text, seen=[match]) == said
