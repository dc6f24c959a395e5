"""The fold: what two texts that look the same to a reader have in common.

Compatibility forms, accents, invisible characters, case, look-alike letters and runs of white space are
levelled. The dedupe filter, the outbox and the profanity filter all compare folded texts.
"""

from __future__ import annotations

import unicodedata

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
"""A Latin letter, and the letters of other scripts that are drawn like it (lower case where there is one)."""


def _look_alikes() -> dict[str, str]:
    table = {other.casefold(): latin for latin, others in _DRAWN_LIKE.items() for other in others}
    for start in (0x1F150, 0x1F170):  # letters in dark discs and squares, which NFKD leaves as they are
        table.update({chr(start + offset): chr(ord("a") + offset) for offset in range(26)})
    return table


class _Table(dict[int, str]):
    """What each code point becomes, worked out on first use."""

    alike = _look_alikes()

    def __missing__(self, code: int) -> str:
        self[code] = "".join(
            self.alike.get(each, each)
            for each in unicodedata.normalize("NFKD", chr(code)).casefold()
            if unicodedata.category(each) not in ("Mn", "Me", "Cf")
        )
        return self[code]


_TABLE = _Table()


def fold(text: str) -> str:
    """Level what a reader does not see or would not mind: two texts with one fold are the same text to us."""
    if text.isascii():
        return " ".join(text.lower().split())
    # NFC last: Hangul is syllables again
    return " ".join(unicodedata.normalize("NFC", text.translate(_TABLE)).split())
