"""Refuses profanity and slurs, also in disguise, by the word lists beside this file (see profanity.LICENSE)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from biobot import Candidate, caseless, fold, hookimpl, language

COARSE = 2
CORE = re.compile("fuck|shit|cunt|nigger|nigga|faggot|bitch|whore|asshole|wanker|retard|slut")
"""Words that are found inside other words, too, except in those that the list allows."""
SUFFIX = re.compile(
    r"(\w{4,}?)(?:s|es|ed|er|ers|in|ing|ings|y|ie|ies|ish|z|a|as|az|ah|head|heads|face|faces|hole|holes|tard|tards|bag|bags)"
)
LEET = str.maketrans("013457@$!|+€£", "oieastasiltel")
ONE_AS_L = str.maketrans("1!|", "lll")
SECOND_READING = str.maketrans("ΗΝΜΥυμµνσςγΣΛΔπУуИиß", "hnmuuuunssgeaanuuuub")
"""Letters that look or sound like another letter than the one they fold to."""
PUNCTUATION = ".,;:?\"'()[]{}<>~-_…"
SPACED = re.compile(r"(?<![^\W_])(?:[^\W_][\s.,\-_*~]{1,3}){2,}[^\W_](?![^\W_])")
DOUBLE, TRIPLE = re.compile(r"(\w)\1+"), re.compile(r"(\w)\1{2,}")
MASKED = re.compile(r"[^\W\d_]+[*#%][*#%\w]*")
UNSPACED = ("ja", "zh", "th", "ko")
"""Languages without spaces between words: their lists are searched anywhere in a text."""
UNFOLDED = (*UNSPACED, "hi")
"""Languages whose marks are not accents but make other letters: only case and form are ignored."""
ARABIC = re.compile("[\u0600-\u06ff]")
WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Profanity:
    """`[filters.profanity]`: which words count.

    severity: the least that is refused (1 mild, 2 coarse, 3 vulgar, 4 slurs and shock);
    languages: whose lists are used beside the English one; "auto" is the language that the text seems to be in;
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
    """Refuse a text with a listed word; the reason names the list and the severity, not the word."""
    text = candidate.text
    readings = (text,) if text.isascii() else (text, text.translate(SECOND_READING))
    texts = list(dict.fromkeys(map(fold, readings)))
    own = _own(settings.words)
    severity = max(_severity(each, own) for each in texts)
    if severity >= settings.severity:
        # harmless phrases are taken out only now, since few texts come this far
        severity = max(_severity(_harmless(settings.allow).sub(" ", each), own) for each in texts)
    if severity >= settings.severity:
        return f"holds a listed word (en, severity {severity})"
    for name in _other_languages(text, settings.languages):
        if _foreign(name).search(caseless(text) if name in UNFOLDED else texts[0]):
            return f"holds a listed word ({name})"
    return None


class Listed(NamedTuple):
    """The English list: words and signs with their severity, phrases by their first word, and allowed words."""

    words: dict[str, int]
    signs: dict[str, int]
    phrases: dict[str, list[tuple[tuple[str, ...], int]]]
    allowed: frozenset[str]
    beginnings: frozenset[str]
    """The first three letters of each word, doubled letters once: a word that begins otherwise is looked at no more."""


def _severity(text: str, own: tuple[frozenset[str], re.Pattern[str]]) -> int:
    """Return the greatest severity among the words and phrases of a folded text; `own` are the operator's."""
    words, (own_words, own_phrases) = _words(text), own
    if not own_words.isdisjoint(words) or own_phrases.search(text):
        return 4
    joined = " ".join(words)
    joined_once = DOUBLE.sub(r"\1", joined)
    core = CORE.search(joined) or CORE.search(joined_once)
    listed = _listed()
    worst = max([_phrases(text, words), *(severity for sign, severity in listed.signs.items() if sign in text)])
    for word, once in zip(words, joined_once.split(), strict=True):
        if once[:3] in listed.beginnings or (core and (CORE.search(word) or CORE.search(once))):
            worst = max(worst, _word(word, once))
    return worst


def _words(text: str) -> set[str]:
    """Return the words that a folded text may be meant to hold."""
    words: set[str] = set()
    for chunk in text.split():
        bare = chunk.strip(PUNCTUATION)
        words.update([bare] if bare.isalpha() else _readings(chunk))
    for spaced in SPACED.findall(text):
        words.add("".join(filter(str.isalnum, spaced)).translate(LEET))
    return words - {""}


@lru_cache(maxsize=50_000)
def _readings(chunk: str) -> tuple[str, ...]:
    """Return the words that a chunk with signs in it may stand for."""
    readings = WORD.findall(chunk)
    if readings:
        bare = chunk.strip(PUNCTUATION + "!")
        signs = (bare, bare.translate(ONE_AS_L), chunk.strip(PUNCTUATION))
        readings += ["".join(filter(str.isalpha, each.translate(LEET))) for each in signs]
        if MASKED.fullmatch(bare):
            fitting = re.compile(re.sub("[*#%]", ".", bare))
            readings += filter(fitting.fullmatch, _listed().words)
    return tuple(readings)


@lru_cache(maxsize=50_000)
def _word(word: str, once: str) -> int:
    """Return the severity of a word; `once` is the word with each doubled letter once."""
    listed = _listed()
    forms = {word, TRIPLE.sub(r"\1", word), TRIPLE.sub(r"\1\1", word)}
    worst = max(listed.words.get(form, 0) for form in forms)
    if not listed.allowed.isdisjoint(forms):
        return worst
    severities = [listed.words.get(stem, 0) for form in forms for stem in _stems(form)]
    cores = [listed.words[core[0]] for form in (word, once) if (core := CORE.search(form))]
    return max([worst, *cores, *(severity for severity in severities if severity > COARSE)])


def _stems(word: str) -> list[str]:
    """Return the words of which `word` may be an inflection: any plural, other suffixes after four letters or more."""
    stems = [word[:-1]] if word.endswith("s") else []
    if word.endswith("ies"):
        stems.append(word[:-3] + "y")
    if suffixed := SUFFIX.fullmatch(word):
        stems.append(suffixed[1])
    return stems


def _phrases(text: str, words: set[str]) -> int:
    """Return the greatest severity of the phrases in a text with these words."""
    phrases = _listed().phrases
    if phrases.keys().isdisjoint(words):
        return 0
    said = tuple(WORD.findall(text))
    found = ((at, *phrase) for at, word in enumerate(said) for phrase in phrases.get(word, ()))
    return max((severity for at, phrase, severity in found if said[at : at + len(phrase)] == phrase), default=0)


@cache
def _listed() -> Listed:
    """Sort the entries of the English list."""
    words: dict[str, int] = {}
    signs: dict[str, int] = {}
    phrases: dict[str, list[tuple[tuple[str, ...], int]]] = {}
    for severity, entry in _lists()["en"]:
        parts = tuple(WORD.findall(fold(entry)))
        if len(parts) == 1:
            words[parts[0]] = severity
        elif parts:
            phrases.setdefault(parts[0], []).append((parts, severity))
        else:
            signs[fold(entry)] = severity
    allowed = frozenset("".join(WORD.findall(fold(entry))) for _, entry in _lists()["allow"])
    return Listed(words, signs, phrases, allowed, frozenset(DOUBLE.sub(r"\1", word)[:3] for word in words))


@cache
def _own(terms: tuple[str, ...]) -> tuple[frozenset[str], re.Pattern[str]]:
    """Return the operator's single words, which are also found in disguise, and the pattern of the other terms."""
    folded = list(map(fold, terms))
    return frozenset(filter(str.isalpha, folded)), _any_of(each.split() for each in folded if not each.isalpha())


@cache
def _harmless(own: tuple[str, ...]) -> re.Pattern[str]:
    """Return the pattern of harmless phrases, with the operator's."""
    return _any_of(WORD.findall(fold(phrase)) for phrase in (*own, *(entry for _, entry in _lists()["harmless"])))


def _any_of(phrases: Iterable[list[str]]) -> re.Pattern[str]:
    """Return the pattern of phrases, given as their words, whatever stands between these."""
    bodies = [r"\W+".join(map(re.escape, words)) for words in phrases if words]
    return re.compile(rf"(?<!\w)(?:{'|'.join(bodies) or '(?!)'})(?!\w)")


@cache
def _foreign(name: str) -> re.Pattern[str]:
    """Return the pattern of another language's list."""
    entries = {(caseless if name in UNFOLDED else fold)(entry) for _, entry in _lists().get(name, ())}
    body = "|".join(re.escape(entry) for entry in sorted(entries, key=len, reverse=True) if len(entry) > 1) or "(?!)"
    return re.compile(body if name in UNSPACED else rf"(?<!\w)(?:{body})(?!\w)")


def _other_languages(text: str, names: tuple[str, ...]) -> list[str]:
    """Return the languages whose lists count besides the English one."""
    found = [language(text) if name == "auto" else name for name in names]
    if "auto" in names and ARABIC.search(text):  # Persian is often taken for Arabic
        found.append("fa")
    return [name for name in dict.fromkeys(found) if name and name != "en"]


@cache
def _lists() -> dict[str, list[tuple[int, str]]]:
    """Read the lists: each entry with its severity, by the name of its list."""
    lists: dict[str, list[tuple[int, str]]] = {}
    for line in Path(__file__).with_name("profanity.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            name, severity, entry = line.split("\t")
            lists.setdefault(name, []).append((int(severity), entry))
    return lists
