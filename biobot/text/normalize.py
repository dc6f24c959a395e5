"""What counts as the same text, from the strictest rule to the loosest.

    composed   the same characters: Unicode's composed form, runs of white space as one space
    published  the same post: also however a network escapes it and shortens its links
    caseless   the same words: also in upper or lower case, or in Unicode's compatibility forms
    fold       the same to a reader: also with other accents, invisible characters, look-alike letters

Two of them are stored, so old files match only as long as these never change: the keys of opted-out texts in
corpus.db are hashes of `caseless` texts; the outbox's unique texts, the fingerprints and the choice of held-out
bios are made of `fold`. A test holds both to recorded values.
"""

from __future__ import annotations

import html
import unicodedata

from biobot.text.links import LINK_LIKE

_DRAWN_LIKE = {
    "a": "аɑɐαᴀꓮᎪΑ",
    "b": "ьъƀƃɓввβʙᏴꓐƄ",
    "c": "сϲƈɔᴄⅽᏟꓚ¢",
    "d": "ԁđɖɗðᴅᎠꓓժ",
    "e": "еєɛəɘǝεҽᴇᎬꓰ℮",
    "f": "ƒғꜰꓝϝ",
    "g": "ɡǥɠɢԍᏀꓖց",
    "h": "һħɦнʜᎻꓧհ",
    "i": "іıɨɩɪιⅰᎥꓲ",
    "j": "јȷɉϳᴊꓙ",
    "k": "кƙκᴋᏦꓗ",
    "l": "ӏłƚɫɭʟⅼᏞꓡǀ",
    "m": "мɱɯᴍᎷꓟⅿ",
    "n": "пɲɳƞηɴꓠոռи",
    "o": "оøɵοσᴏօꓳ०๐",
    "p": "рρƥᴘᏢꓑ",
    "q": "ԛɋզꞯ",
    "r": "гɍɾɼʀʁᎡꓣя",
    "s": "ѕʂꜱꓢᏚ",
    "t": "тŧƭʈτᴛᎢꓔ",
    "u": "υʉցᴜʊսꓴц",
    "v": "ѵνʋᴠⅴᏙꓦ",
    "w": "ԝɯωшщᴡᎳꓪ",
    "x": "хχⅹꓫ×",
    "y": "уүɏƴʏγΥꓬў",
    "z": "ƶʐʑᴢζᏃꓜ",
}
"""Latin letters, each with the letters of other scripts that look like it (in lower case where they have one)."""

_LOOK_ALIKES = {other.casefold(): latin for latin, others in _DRAWN_LIKE.items() for other in others}
for _start in (0x1F150, 0x1F170):  # white letters in dark discs and squares, which NFKD does not decompose
    _LOOK_ALIKES |= {chr(_start + offset): chr(ord("a") + offset) for offset in range(26)}


class _Table(dict[int, str]):
    """What each code point folds to, worked out on first use."""

    def __missing__(self, code: int) -> str:
        self[code] = "".join(
            _LOOK_ALIKES.get(each, each)
            for each in unicodedata.normalize("NFKD", chr(code)).casefold()
            if unicodedata.category(each) not in ("Mn", "Me", "Cf")
        )
        return self[code]


_TABLE = _Table()


def composed(text: str) -> str:
    """Return `text` in Unicode's composed form (NFC) with single spaces for white space."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def published(text: str) -> str:
    """Return what is left of `text` whatever a network does to it: no HTML escapes, and `<link>` for every link."""
    return composed(LINK_LIKE.sub("<link>", unicodedata.normalize("NFC", html.unescape(text))))


def caseless(text: str) -> str:
    """Return `text` without case, in compatibility form (NFKC), with single spaces for white space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def fold(text: str) -> str:
    """Return `text` without what a reader does not see or would not mind: equal folds are the same text to biobot."""
    if text.isascii():
        return " ".join(text.lower().split())
    return composed(text.translate(_TABLE))  # composed: Hangul is syllables again
