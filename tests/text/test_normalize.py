"""What counts as the same text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biobot.corpus.opt_outs import text_key
from biobot.text.normalize import caseless, composed, fold, published


@pytest.mark.parametrize(
    "text",
    [
        "ＡＢＣ  def",
        "АВС\u200b dеf",
        "a\u0301bc de\u0301f",
        "abc\n\tdef",
        "𝐚𝐛𝐜 𝐝𝐞𝐟",
        "🅰🅱c ⓓⓔⓕ",
        "🄰🅑🅲 def",
        "a\u20ddƄc def",
        "a\u00adb\u2060c d\u200def",
    ],
)
def test_levels_what_a_reader_does_not_see(text: str) -> None:
    assert fold(text) == "abc def"


def test_keeps_texts_apart_that_differ_to_a_reader() -> None:
    assert fold("nurse, baker") != fold("nurse & baker")
    assert fold("🌻") != fold("🌹")
    assert fold("Straße") == fold("STRASSE")
    assert fold("각") == fold("\u1100\u1161\u11a8") == "각"


@pytest.mark.parametrize(
    ("text", "folded", "key"),
    [
        ("Ｂäker &amp; Ｐоеt\n ſ İ ǆ ﬁ", "baker &amp; poet s i dz fi", "06894dde76207cd6ae827ce651723dd6"),
        ("𝔉𝔬𝔩𝔡 🅰 ⓓ \u200b각 Ä\u0308", "fold a d 각 a", "c763ec46a08f8e9b78e26db8ff499767"),
        ("Straße ΑΒΓ ½ ℮ ﷺ", "strasse aby 1⁄2 e صلى الله عليه وسلم", "86c628b14e945150432da2ca8d195d4d"),
    ],
)
def test_what_is_stored_folds_as_it_did_when_it_was_stored(text: str, folded: str, key: str) -> None:
    assert fold(text) == folded
    assert text_key(text).hex() == key


def test_a_post_is_found_again_whatever_the_network_did_to_its_links_and_signs() -> None:
    ours = "Tea &  cafe\u0301 at node.js <3, https://example.org/menu"
    theirs = "Tea &amp; café at https://t.co/a1 &lt;3, https://t.co/b2"
    assert published(ours) == published(theirs) != published("Tea & cafe at node.js <3, https://example.org/menu")


def test_each_rule_joins_all_that_the_stricter_one_joins() -> None:
    for rule, one, other in (
        (composed, "cafe\u0301 \n noir", "café noir"),
        (caseless, "CAFE\u0301 \n ﬁn", "café fin"),
        (fold, "ＣＡＦＥ\n ｎοіr", "café noir"),
    ):
        assert rule(one) == rule(other)
    assert composed("Café") != composed("café")
    assert caseless("cafe") != caseless("café")


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)
