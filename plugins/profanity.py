"""Refuses profanity and slurs, also in disguise, by the word lists beside this file (see profanity.LICENSE)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from biobot import Candidate, fold, hookimpl, language, scripts

MILD, COARSE = 1, 2
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
SPACED = re.compile(r"(?<![^\W_])(?:[^\W_][\s.,\-_*~]{1,3}){2,}[^\W_](?![^\W_])")
LONGEST = 60
"""Characters of a chunk that are looked at."""
DOUBLE, TRIPLE = re.compile(r"(.)\1+"), re.compile(r"(.)\1{2,}")
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
    """Give the keys of `[filters.profanity]`."""
    return Profanity


@hookimpl
def biobot_filter(candidate: Candidate, settings: Profanity) -> str | None:
    """Refuse a text with a listed word; the objection names the list and the severity, not the word."""
    text = fold(candidate.text)
    severity = _severity(text, settings)
    if severity >= settings.severity:
        # only now, since it is rare: without what is known to be harmless
        severity = _severity(_harmless(settings.allow).sub(" ", text), settings)
    if severity >= settings.severity:
        return f"holds a listed word (en, severity {severity})"
    for name in _others(candidate.text, settings.languages):
        if _foreign(name).search(text):
            return f"holds a listed word ({name})"
    return None


def _severity(text: str, settings: Profanity) -> int:
    worst = max((_worst(chunk, settings.words) for chunk in text.split()), default=0)
    worst = max(worst, _phrases(WORD.findall(text), settings.words))
    for spaced in SPACED.findall(text):
        worst = max(worst, _word("".join(filter(str.isalnum, spaced)).translate(LEET), settings.words))
    return worst


@lru_cache(maxsize=50_000)
def _worst(chunk: str, own: tuple[str, ...]) -> int:
    """Give the greatest severity among the readings of what stands between two spaces."""
    if chunk.isalpha():
        return _word(chunk, own)
    return max(_word(reading, own) for reading in _readings(chunk[:LONGEST]))


def _readings(chunk: str) -> tuple[str, ...]:
    """Give what a chunk with signs in it may be meant to say."""
    readings = [*WORD.findall(chunk), ""]
    if any(map(str.isalpha, chunk)):
        bare = chunk.strip(".,;:?!\"'()[]{}<>~-_…")
        signs = (bare, bare.translate(ONE_AS_L), chunk.strip(".,;:?\"'()[]{}<>~-_…"))
        readings += ["".join(filter(str.isalpha, one.translate(LEET))) for one in signs]
        if re.fullmatch(r"[^\W\d_]+[*#%][*#%\w]*", bare):
            readings += _unmasked(bare)
    return tuple(readings)


def _unmasked(masked: str) -> list[str]:
    """Give the listed words that fit, with a letter for each sign: `f**k`."""
    pattern = re.compile(re.sub(r"[*#%]", "[a-z]", re.escape(masked).replace("\\", "")))
    return [word for word, severity in _listed()[0].items() if severity > MILD and pattern.fullmatch(word)]


@lru_cache(maxsize=50_000)
def _word(word: str, own: tuple[str, ...]) -> int:
    """Give the severity of a word with letters repeated, with an ending, or with a core word in it."""
    words, _, allowed = _listed()
    if word in own:
        return 4
    if word in allowed:
        return 0
    forms = {word}
    single = DOUBLE.sub(r"\1", word)
    if single != word:
        forms |= {TRIPLE.sub(r"\1", word), TRIPLE.sub(r"\1\1", word)}
    worst = max(words.get(form, 0) for form in forms)
    for form in forms:
        if form in allowed:
            return worst
        for stem in _stems(form):
            severity = words.get(stem, 0)
            worst = max(worst, severity if severity > COARSE else 0)
    for core in (CORE.search(word), CORE.search(single)):
        if core:
            worst = max(worst, words.get(core[0], COARSE + 1))
    return worst


def _stems(word: str) -> list[str]:
    """Give what a word may be an ending of: a plural of any word, other endings of one with four letters or more."""
    stems = [word[:-1]] if word.endswith("s") else []
    if word.endswith("ies"):
        stems.append(word[:-3] + "y")
    if ending := ENDED.fullmatch(word):
        stems.append(ending[1])
    return stems


def _phrases(words: list[str], own: tuple[str, ...]) -> int:
    """Give the greatest severity of the phrases among the words of a text."""
    phrases = _listed()[1]
    worst = 0
    for at, word in enumerate(words):
        for phrase, severity in phrases.get(word, ()):
            if tuple(words[at : at + len(phrase)]) == phrase:
                worst = max(worst, severity)
    return 4 if any(" " in term and f" {term} " in f" {' '.join(words)} " for term in own) else worst


@cache
def _listed() -> tuple[dict[str, int], dict[str, list[tuple[tuple[str, ...], int]]], frozenset[str]]:
    """Read the English words with their severity, phrases by their first word, and words that only look like one."""
    words: dict[str, int] = {}
    phrases: dict[str, list[tuple[tuple[str, ...], int]]] = {}
    allowed = set()
    for name, severity, entry in _lines():
        parts = tuple(WORD.findall(fold(entry)))
        if name == "allow":
            allowed.add("".join(parts))
        elif name == "en" and len(parts) == 1:
            words[parts[0]] = severity
        elif name == "en" and parts:
            phrases.setdefault(parts[0], []).append((parts, severity))
    return words, phrases, frozenset(allowed)


@cache
def _harmless(own: tuple[str, ...]) -> re.Pattern[str]:
    """Write the pattern of harmless phrases."""
    phrases = [*HARMLESS.split("|"), *(" ".join(WORD.findall(fold(phrase))) for phrase in own)]
    return re.compile("|".join(rf"\b{re.escape(phrase)}\b".replace(r"\ ", r"\W+") for phrase in phrases if phrase))


@cache
def _foreign(name: str) -> re.Pattern[str]:
    """Write the pattern of another language's list; scripts without spaces are searched anywhere."""
    entries = [fold(entry) for language_, _, entry in _lines() if language_ == name]
    entries = sorted({entry for entry in entries if len(entry) > 1}, key=len, reverse=True) or ["(?!)"]
    anywhere = name in ("ja", "zh", "th", "ko")
    body = "|".join(map(re.escape, entries)) if entries != ["(?!)"] else "(?!)"
    return re.compile(body if anywhere else rf"(?<!\w)(?:{body})(?!\w)")


def _others(text: str, names: tuple[str, ...]) -> list[str]:
    found = [language(text) if name == "auto" else name for name in names]
    if "auto" in names and not text.isascii() and "arabic" in scripts(text):
        found.append("fa")
    return [name for name in dict.fromkeys(found) if name and name != "en"]


@cache
def _lines() -> tuple[tuple[str, int, str], ...]:
    lines = Path(__file__).with_name("profanity.txt").read_text(encoding="utf-8").splitlines()
    parts = (line.split("\t") for line in lines if not line.startswith("#"))
    return tuple((name, int(severity), entry) for name, severity, entry in parts)
