"""Refuses profanity and slurs, also in disguise, by the word lists beside this file (see profanity.LICENSE)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from biobot import Candidate, fold, hookimpl, language

COARSE = 2
CORE = re.compile("fuck|shit|cunt|nigger|nigga|faggot|bitch|whore|asshole|wanker|retard|slut")
"""Words that are caught in the midst of others, too: what they are harmless parts of is in the list as `allow`."""
ENDED = re.compile(
    r"(\w{4,}?)(?:s|es|ed|er|ers|in|ing|ings|y|ie|ies|ish|z|a|as|az|ah|head|heads|face|faces|hole|holes|tard|tards|bag|bags)"
)
HARMLESS = (
    "dick cheney|moby dick|dick van dyke|van dyke|philip k dick|magna cum laude|summa cum laude|cum laude|blue tit|"
    "blue tits|great tit|great tits|coal tit|spick and span|spic and span|pussy willow|pussy willows|pussy riot|"
    "pussy cat|maine coon|maine coons|black country|essex girl|cock a doodle doo|cock and bull|dick tracy|"
    "dick clark|fag end|offa s dyke|offas dyke|food porn|earth porn|word porn|anal retentive"
)
LEET = str.maketrans("013457@$!|+€£", "oieastasiltel")
ONE_AS_L = str.maketrans("1!|", "lll")
LOOKS = str.maketrans("ΗΝΜΥυμµνσςγΣΛΔπУуИиß", "hnmuuuunssgeaanuuuub")
"""Letters that also look, or sound, like another one than they fold to."""
MARKS = ".,;:?\"'()[]{}<>~-_…"
"""What stands beside a word and is no letter of it."""
SPACED = re.compile(r"(?<![^\W_])(?:[^\W_][\s.,\-_*~]{1,3}){2,}[^\W_](?![^\W_])")
DOUBLE, TRIPLE = re.compile(r"(\w)\1+"), re.compile(r"(\w)\1{2,}")
MASKED = re.compile(r"[^\W\d_]+[*#%][*#%\w]*")
SPACELESS = ("ja", "zh", "th", "ko")
MARKED = (*SPACELESS, "hi")
"""Languages whose marks are no accents, but make other letters: they are compared as they are, not folded."""
ARABIC = re.compile("[\u0600-\u06ff]")
WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Profanity:
    """`[filters.profanity]`: which words count.

    severity: the least that is refused (1 mild, 2 coarse, 3 vulgar, 4 slurs and shock);
    languages: whose lists are used beside the English one: "auto" is the language that the text seems to be in;
    words, allow: your own terms to refuse, and words and phrases that are never refused.
    """

    severity: int = 2
    languages: tuple[str, ...] = ("auto",)
    words: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()


@hookimpl
def biobot_settings() -> type[Profanity]:
    """Return the keys of `[filters.profanity]`."""
    return Profanity


@hookimpl
def biobot_filter(candidate: Candidate, settings: Profanity) -> str | None:
    """Refuse a text with a listed word; the objection names the list and the severity, not the word."""
    texts = _folds(candidate.text)
    own = _own(settings.words)
    severity = max(_severity(text, own) for text in texts)
    if severity >= settings.severity:
        # only now, since it is rare: without what is known to be harmless
        rest = [_harmless(settings.allow).sub(" ", text) for text in texts]
        severity = severity if rest == texts else max(_severity(text, own) for text in rest)
    if severity >= settings.severity:
        return f"holds a listed word (en, severity {severity})"
    for name in _others(candidate.text, settings.languages):
        if _foreign(name).search(_marked(candidate.text) if name in MARKED else texts[0]):
            return f"holds a listed word ({name})"
    return None


def _folds(text: str) -> list[str]:
    """Fold a text, and once more with the other reading of the letters that have two."""
    other = text if text.isascii() else text.translate(LOOKS)
    return [fold(text)] if other == text else [fold(text), fold(other)]


class Own(NamedTuple):
    """The operator's own terms: single words, which are found in disguise, too, and the pattern of the others."""

    words: frozenset[str]
    others: re.Pattern[str]


class Listed(NamedTuple):
    """The English list: words and signs with their severity, phrases by their first word, what only looks like one."""

    words: dict[str, int]
    signs: dict[str, int]
    phrases: dict[str, list[tuple[tuple[str, ...], int]]]
    allowed: frozenset[str]
    beginnings: frozenset[str]
    """The first three letters of the words, with doubled letters once: other words need no second look."""


def _severity(text: str, own: Own) -> int:
    """Return the greatest severity among the words and phrases of a folded text."""
    words = _words(text)
    if not own.words.isdisjoint(words) or own.others.search(text):
        return 4
    said = " ".join(words)
    said_once = DOUBLE.sub(r"\1", said)
    core = CORE.search(said) or CORE.search(said_once)
    listed = _listed()
    worst = max([_phrases(text, words), *(severity for sign, severity in listed.signs.items() if sign in text)])
    for word, once in zip(words, said_once.split(), strict=True):
        if once[:3] in listed.beginnings or (core and (CORE.search(word) or CORE.search(once))):
            worst = max(worst, _word(word, once))
    return worst


def _words(text: str) -> set[str]:
    """Return the words that a folded text may be meant to hold."""
    words = set()
    for chunk in text.split():
        bare = chunk.strip(MARKS)
        if bare.isalpha():
            words.add(bare)
        else:
            words.update(_readings(chunk))
    for spaced in SPACED.findall(text):
        words.add("".join(filter(str.isalnum, spaced)).translate(LEET))
    return words - {""}


@lru_cache(maxsize=50_000)
def _readings(chunk: str) -> tuple[str, ...]:
    """Return what a chunk with signs in it may be meant to say."""
    readings = WORD.findall(chunk)
    if readings:
        bare = chunk.strip(MARKS + "!")
        signs = (bare, bare.translate(ONE_AS_L), chunk.strip(MARKS))
        readings += ["".join(filter(str.isalpha, one.translate(LEET))) for one in signs]
        if MASKED.fullmatch(bare):
            readings += _unmasked(bare)
    return tuple(readings)


def _unmasked(masked: str) -> list[str]:
    """Return the listed words that fit, with a letter for each sign: `f**k`."""
    words = (word for word in _listed().words if len(word) == len(masked))
    return [word for word in words if all(sign in "*#%" + letter for sign, letter in zip(masked, word, strict=True))]


@lru_cache(maxsize=50_000)
def _word(word: str, once: str) -> int:
    """Return the severity of a word with letters repeated, with an ending, or with a core word in it.

    `once` is the word with each doubled letter once.
    """
    listed = _listed()
    forms = {word, TRIPLE.sub(r"\1", word), TRIPLE.sub(r"\1\1", word)} if TRIPLE.search(word) else {word}
    worst = max(listed.words.get(form, 0) for form in forms)
    if not listed.allowed.isdisjoint(forms):
        return worst
    for form in forms:
        for stem in _stems(form):
            severity = listed.words.get(stem, 0)
            worst = max(worst, severity if severity > COARSE else 0)
    for form in (word, once):
        if core := CORE.search(form):
            worst = max(worst, listed.words[core[0]])
    return worst


def _stems(word: str) -> list[str]:
    """Return what a word may be an ending of: a plural of any word, other endings of one with four letters or more."""
    stems = [word[:-1]] if word.endswith("s") else []
    if word.endswith("ies"):
        stems.append(word[:-3] + "y")
    if ending := ENDED.fullmatch(word):
        stems.append(ending[1])
    return stems


def _phrases(text: str, words: set[str]) -> int:
    """Return the greatest severity of the phrases in a text of these words."""
    phrases = _listed().phrases
    if phrases.keys().isdisjoint(words):
        return 0
    said = tuple(WORD.findall(text))
    return max(
        (
            severity
            for at, word in enumerate(said)
            for phrase, severity in phrases.get(word, ())
            if said[at : at + len(phrase)] == phrase
        ),
        default=0,
    )


@cache
def _listed() -> Listed:
    """Read the English list."""
    words: dict[str, int] = {}
    signs: dict[str, int] = {}
    phrases: dict[str, list[tuple[tuple[str, ...], int]]] = {}
    allowed, beginnings = set(), set()
    for name, severity, entry in _lines():
        parts = tuple(WORD.findall(fold(entry)))
        if name == "allow":
            allowed.add("".join(parts))
        elif name == "en" and len(parts) == 1:
            words[parts[0]] = severity
            beginnings.add(DOUBLE.sub(r"\1", parts[0])[:3])
        elif name == "en" and parts:
            phrases.setdefault(parts[0], []).append((parts, severity))
        elif name == "en":
            signs[fold(entry)] = severity
    return Listed(words, signs, phrases, frozenset(allowed), frozenset(beginnings))


@cache
def _own(terms: tuple[str, ...]) -> Own:
    """Sort the operator's terms."""
    folded = list(map(fold, terms))
    return Own(frozenset(filter(str.isalpha, folded)), _any_of(each.split() for each in folded if not each.isalpha()))


@cache
def _harmless(own: tuple[str, ...]) -> re.Pattern[str]:
    """Write the pattern of harmless phrases."""
    return _any_of([*map(str.split, HARMLESS.split("|")), *(WORD.findall(fold(phrase)) for phrase in own)])


def _any_of(phrases: Iterable[list[str]]) -> re.Pattern[str]:
    """Write the pattern of phrases, given by their words, whatever stands between these."""
    bodies = [r"\W+".join(map(re.escape, words)) for words in phrases if words]
    return re.compile(rf"(?<!\w)(?:{'|'.join(bodies) or '(?!)'})(?!\w)")


@cache
def _foreign(name: str) -> re.Pattern[str]:
    """Write the pattern of another language's list; scripts without spaces are searched anywhere."""
    level = _marked if name in MARKED else fold
    entries = {level(entry) for language_, _, entry in _lines() if language_ == name}
    body = "|".join(re.escape(entry) for entry in sorted(entries, key=len, reverse=True) if len(entry) > 1) or "(?!)"
    return re.compile(body if name in SPACELESS else rf"(?<!\w)(?:{body})(?!\w)")


def _marked(text: str) -> str:
    """Level the forms of a text's letters, but not their marks."""
    return unicodedata.normalize("NFKC", text).casefold()


def _others(text: str, names: tuple[str, ...]) -> list[str]:
    found = [language(text) if name == "auto" else name for name in names]
    if "auto" in names and not text.isascii() and ARABIC.search(text):
        found.append("fa")
    return [name for name in dict.fromkeys(found) if name and name != "en"]


@cache
def _lines() -> tuple[tuple[str, int, str], ...]:
    lines = Path(__file__).with_name("profanity.txt").read_text(encoding="utf-8").splitlines()
    parts = (line.split("\t") for line in lines if not line.startswith("#"))
    return tuple((name, int(severity), entry) for name, severity, entry in parts)
