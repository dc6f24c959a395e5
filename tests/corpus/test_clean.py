"""What is left out of training, and that it is left out by the policy alone."""

from __future__ import annotations

from collections import Counter

import pytest

from biobot.corpus.clean import EMAIL, PHONE, STORED_LANGUAGES, URL, clean, holds, traits
from biobot.corpus.readers import Bio, Skipped
from biobot.settings import TrainSettings
from biobot.text.language import LANGUAGES

HOLDS = {
    "see https://example.org/x": URL,
    "www.example.org": URL,
    "shop at example.com!": URL,
    "my blog: Foo-Bar.Co.UK": URL,
    "mail me: a.b+c@example.org": EMAIL,
    "A.B@EXAMPLE.ORG or https://example.org": EMAIL | URL,
    "call +49 (0)30 123456-78": PHONE,
    "call 030 1234 5678": PHONE,
    "tel:555-867-5309": PHONE,
}
HOLDS_NOTHING = [
    "Baker. Gardener. Pirate.",
    "born 1987, since 2009-2013",
    "e.g. tea, i.e. coffee",
    "@someone and @someone.else",
    "v2.0 of me...so what",
    "1990 - 2013 / 2014 - 2020",
    "10:30 or 11:45?",
]


@pytest.mark.parametrize(("text", "found"), HOLDS.items())
def test_finds_urls_addresses_and_phone_numbers(text: str, found: int) -> None:
    assert holds(text) == found


@pytest.mark.parametrize("text", HOLDS_NOTHING)
def test_leaves_ordinary_words_alone(text: str) -> None:
    assert holds(text) == 0


def test_leaves_out_whole_bios_and_counts_why() -> None:
    left_out: Counter[str] = Counter()
    bios: list[Bio | Skipped] = [
        Bio("one\r\ntwo\rthree\n"),
        Bio("https://example.org"),
        Bio("a@example.org"),
        Bio("+49 30 1234567"),
        Bio("é" * 6),
        Bio("é" * 9),
        Bio("of Ann", author=5),
        Bio("é"),
        Skipped("f", 1, "not JSON"),
    ]
    policy = TrainSettings(min_bytes=3, max_bytes=16)
    learnt = list(clean(bios, policy, left_out, lambda bio: bio.author == 5))
    assert learnt == ["one\r\ntwo\rthree\n", "éééééé"]
    assert left_out == {"min_bytes": 1, "max_bytes": 2, "email": 1, "phone": 1, "skipped": 1, "forgotten": 1}


IN = {
    "the love of my life": "en",
    "東京に住んでいます": "ja",
    "모두 안녕": "ko",
    "soy de la playa y el mar": "es",
    "🦊": "und",
}


@pytest.mark.parametrize("languages", [("en",), ("ja", "und"), ("es", "ko"), ("fr",), ()])
def test_learns_the_languages_that_the_policy_names_or_all(languages: tuple[str, ...]) -> None:
    left_out: Counter[str] = Counter()
    learnt = list(clean(map(Bio, IN), TrainSettings(languages=languages), left_out))
    assert learnt == [text for text, code in IN.items() if code in languages or not languages]
    assert left_out["languages"] == len(IN) - len(learnt)


def test_every_language_that_can_be_told_can_be_named() -> None:
    assert sorted(STORED_LANGUAGES) == sorted({*LANGUAGES, "und"})
    for code in STORED_LANGUAGES:
        TrainSettings(languages=(code,))


def test_a_store_keeps_the_numbers_that_its_languages_had() -> None:
    assert [STORED_LANGUAGES[number] for number in (0, 7, 16, 17, 26)] == ["en", "sv", "id", "ja", "und"]
    assert traits("the love of my life, https://example.org") == URL | 0 << 3
    assert traits("東京に住んでいます") == 17 << 3


def test_line_ends_become_newlines_where_the_policy_says_so() -> None:
    bios = [Bio("one\r\ntwo\rthree\n\r"), Bio("no line")]
    policy = TrainSettings(line_ends="newline")
    assert list(clean(bios, policy, Counter())) == ["one\ntwo\nthree\n\n", "no line"]


def test_keeps_what_the_policy_keeps() -> None:
    keep = TrainSettings(url="keep", email="keep", phone="keep")
    assert list(clean(map(Bio, HOLDS), keep, Counter())) == list(HOLDS)


def test_does_not_touch_a_made_up_bio() -> None:
    from tests.conftest import made_up_bios

    bios = made_up_bios(1000)
    assert list(clean(map(Bio, bios), TrainSettings(), Counter())) == bios
