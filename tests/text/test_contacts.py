"""E-mail addresses and phone numbers."""

from __future__ import annotations

import pytest

from biobot.text.contacts import has_email, has_phone, without_emails


@pytest.mark.parametrize("text", ["a.b+c@example.org", "me @ example.co.uk", "連絡はme@example.orgまで", "A@B.CD"])
def test_finds_addresses_also_amid_other_letters(text: str) -> None:
    assert has_email(text)


@pytest.mark.parametrize("text", ["@someone.else", "me@home", "me at example.org", "a@b.c", "me@ example.org"])
def test_leaves_handles_and_halves_of_addresses_alone(text: str) -> None:
    assert not has_email(text)
    assert without_emails(text) == text


def test_takes_out_whole_addresses() -> None:
    assert without_emails("mail jo.doe@mail.example.org or x@y.zz now") == "mail   or   now"


@pytest.mark.parametrize(
    ("text", "least"),
    [
        ("030 1234567", 10),
        ("030 123456", 9),
        ("030 1234", 7),
        ("+49 12345", 7),
        ("(030) 123-456", 9),
        ("030.123.456/78901", 14),
        ("+1234567", 7),
    ],
)
def test_a_number_with_enough_digits_is_a_phone_number(text: str, least: int) -> None:
    assert has_phone(text, least)
    assert has_phone(text, least + 1) == text.startswith("+")


@pytest.mark.parametrize("text", ["+123456", "1" * 16, "12345678", "v1.23456789", "x123456789", "123456789x"])
def test_other_numbers_are_none(text: str) -> None:
    assert not has_phone(text)
