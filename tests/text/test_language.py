"""What a text is written in."""

from __future__ import annotations

import pytest

from biobot.text.language import language, scripts


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("I am the mother of two cats and a nurse", "en"),
        ("soy la madre de dos gatos y me gusta el café", "es"),
        ("je suis la mère de deux chats et je ne dors pas", "fr"),
        ("ich bin die Mutter von zwei Katzen und mag den Regen", "de"),
        ("猫が好きです", "ja"),
        ("고양이를 좋아해요", "ko"),
        ("люблю кошек", "ru"),
        ("日本語学校の本", "ja"),
        ("THE CATS OF ROME", "en"),
        ("the cat", None),
        ("og jeg er at det i på", None),
        ("coffee, rain", None),
        ("🌻🌻", None),
    ],
)
def test_tells_the_language_or_says_that_it_cannot(text: str, code: str | None) -> None:
    assert language(text) == code


def test_counts_letters_by_script() -> None:
    assert scripts("abc 猫が 123 🌻 Я") == {"latin": 3, "han": 1, "hiragana": 1, "cyrillic": 1}
    assert scripts("猫") == {"han": 1}
