"""What a text is written in."""

from __future__ import annotations

import subprocess
import sys

import pytest

from biobot.text.language import foreign, is_likely, language, letters, scripts


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("I am the mother of two cats and a nurse", "en"),
        ("soy la madre de dos gatos y me gusta el café", "es"),
        ("je suis la mère de deux chats et je ne dors pas", "fr"),
        ("ich bin die Mutter von zwei Katzen und mag den Regen", "de"),
        ("ang buhay ko ay para sa mga pusa ko", "fil"),
        ("suka kopi dan kucing, hidup ini indah sekali", "id"),
        ("猫が好きです", "ja"),
        ("고양이를 좋아해요", "ko"),
        ("люблю кошек и собак", "ru"),
        ("日本語学校の本", "ja"),
        ("THE CATS OF ROME", "en"),
        ("@la_madre https://example.org/de/los/gatos I like the rain", "en"),
        ("coffee, rain", None),
        ("🌻🌻", None),
        ("", None),
    ],
)
def test_tells_the_language_or_says_that_it_cannot(text: str, code: str | None) -> None:
    assert language(text) == code


@pytest.mark.parametrize(
    "text",
    [
        "25 years cat, 6 years the technologist, parrots. Arr.",
        "The laundred captain from the warm laptop.",
        "Mother of two, Café Zürich, 東京",
        "I paint. ¯\\_(ツ)_/¯",
        "coffee, rain",
        "vinyl | maps | #TeamFollowBack #RechazoCrece",
        "🌻🌻",
    ],
)
def test_english_with_a_name_or_an_ornament_is_english(text: str) -> None:
    assert sum(foreign(text, ["en"]).values()) <= 0.1


@pytest.mark.parametrize(
    ("text", "languages", "other"),
    [
        ("猫がとても大好きです。 #BFF #DIRECTIONER", ["en"], "hiragana"),
        ("고양이랑 살아요 ‘24 HTML — luna & mia", ["en"], "hangul"),
        ("suka kopi dan kucing, hidup ini indah sekali", ["en"], "id"),
        ("I love my cats and the rain | Soy la madre de dos gatos y me gusta el café", ["en"], "es"),
        ("I love my cats and the rain", ["de", "fr"], "en"),
        ("люблю кошек и собак", ["en"], "cyrillic"),
        ("I am the mother of two cats", ["ja"], "en"),
    ],
)
def test_nearly_all_of_a_text_must_be_in_its_languages(text: str, languages: list[str], other: str) -> None:
    found = foreign(text, languages)
    assert sum(found.values()) > 0.3
    assert other in found


@pytest.mark.parametrize("languages", [["en", "es"], ["es", "en", "de"]])
def test_a_text_may_mix_the_languages_that_are_allowed(languages: list[str]) -> None:
    mixed = "I love my cats and the rain | Soy la madre de dos gatos y me gusta el café"
    assert not foreign(mixed, languages)
    assert is_likely(mixed, languages)


def test_names_in_latin_letters_are_at_home_in_every_language() -> None:
    assert not foreign("東京に住んでいます。NHK, Sony", ["ja"])


def test_counts_letters_by_script_and_wide_ones_for_two() -> None:
    assert scripts("abc 猫が 123 🌻 Я") == {"latin": 3, "han": 1, "hiragana": 1, "cyrillic": 1}
    assert scripts("猫") == {"han": 1}
    assert letters("abc 猫 Я") == {"latin": 3, "han": 2, "cyrillic": 1}


def test_the_model_is_loaded_when_it_is_first_needed() -> None:
    script = "import sys, biobot.text.language, biobot.settings; print('fasttext' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
