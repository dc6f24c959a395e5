"""What a text is written in: its scripts, and a guess at its language by its most common words.

The guess serves to choose word lists and to filter coarsely: many bios are too short for one.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_COMMON = {
    "en": "the and of to in is my a for with i you your it that this on are from by be not all at we am who",
    "es": "de la el y en que los mi con por un una para las del soy es lo no me más vida yo al como su si",
    "fr": "de la le et les des en un une je du pour est dans que mon ma au sur pas qui vie avec mes suis ou",
    "de": "und der die das ich ist in nicht ein eine mit von für auf zu den im bin auch aus mein es wir",
    "pt": "de e que o do da em um uma não os meu com para minha no na por eu mais sou se mas vida dos é",
    "it": "di e il la che in un una per non sono con mi del le della i da vita mio ma ho al si più è",
    "nl": "de het een en van ik in is op voor met dat niet zijn aan mijn te er ook bij maar je",
    "sv": "och jag är att det en i på som för av med inte till mig ett den om har men",
    "da": "og jeg er at det en i på som for af med ikke til mig et den om har men",
    "no": "og jeg er at det en i på som for av med ikke til meg et den om har men",
    "fi": "ja on ei se että olen ole mutta minun kun niin myös ovat joka kanssa",
    "pl": "i w nie się na jest z do to że jak o mnie po za ale życie jestem",
    "cs": "a se v na je že to s z jsem do si o jako za ale mě pro",
    "tr": "ve bir bu da de için ben çok ne ile en her değil gibi ama olan",
    "hu": "a az és nem hogy egy is van de ez én mint csak meg",
    "fil": "ang ng sa na ako mga ko at ay hindi ka lang mo pero kung",
    "id": "yang dan di aku ini itu tidak dengan untuk dari ada saya kamu jangan bukan",
}
_WORDS: dict[str, list[str]] = {}
"""Each common word, with the languages that it is common in."""
for _code, _words in _COMMON.items():
    for _word in _words.split():
        _WORDS.setdefault(_word, []).append(_code)
_BY_SCRIPT = {
    "hiragana": "ja",
    "katakana": "ja",
    "hangul": "ko",
    "thai": "th",
    "cyrillic": "ru",
    "arabic": "ar",
    "devanagari": "hi",
    "hebrew": "he",
    "greek": "el",
    "han": "zh",
}
LANGUAGES = (*_COMMON, *_BY_SCRIPT.values())
"""The codes that `language` may return."""
_ASCII = re.compile("[A-Za-z]+")
_WORD = re.compile(r"[^\W\d_]+")
_OTHER = re.compile(r"[^\W\d_\x00-\x7f]")
_SCRIPTS = {"cjk": "han", "katakana-hiragana": "katakana", "halfwidth": "katakana", "fullwidth": "latin"}


def scripts(text: str) -> dict[str, int]:
    """Return the number of letters of each script, by its name: "latin", "han", "hiragana", "arabic" …"""
    latin = sum(map(len, _ASCII.findall(text)))
    found = {"latin": latin} if latin else {}
    if not text.isascii():
        for character in _OTHER.findall(text):
            name = _script(character)
            found[name] = found.get(name, 0) + 1
    return found


@lru_cache(maxsize=8192)
def _script(character: str) -> str:
    first = unicodedata.name(character, "").partition(" ")[0].lower()
    return _SCRIPTS.get(first, first)


def language(text: str) -> str | None:
    """Return the code of the language that a text seems to be in, or None where there is too little to tell."""
    if not text.isascii():
        found = scripts(text)
        if not found:
            return None
        kana = found.get("hiragana", 0) + found.get("katakana", 0)
        script = max(found, key=lambda name: found[name])
        if script == "han" and kana:
            return "ja"
        if script != "latin":
            return _BY_SCRIPT.get(script)
    return _by_words(_WORD.findall(text.lower()))


def _by_words(words: list[str]) -> str | None:
    scores: dict[str, int] = {}
    for word in _WORDS.keys() & words:
        for name in _WORDS[word]:
            scores[name] = scores.get(name, 0) + 1
    best = max(scores.values(), default=0)
    if best < 2:  # one common word proves nothing
        return None
    leaders = [name for name, score in scores.items() if score == best]
    return leaders[0] if len(leaders) == 1 else None  # nor does a tie, as between Danish and Norwegian
