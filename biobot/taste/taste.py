"""One owner's taste: the shipped ranker, and the owner's departure from it where that predicts better."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

import numpy as np

from biobot import storage
from biobot.candidate import Candidate
from biobot.errors import TasteError
from biobot.taste.features import Features, features, term_names
from biobot.taste.lexicon import words
from biobot.taste.marks import EDIT, Mark, Marks
from biobot.taste.ranker import Observation, Ranker, fit
from biobot.text.language import language
from biobot.text.normalize import fold

MARKS = Path(__file__).with_name("marks.jsonl.gz")
"""The marks that the shipped taste was learnt from."""
BASE, OWN = "base", "own"
"""Names of what `save` wrote: a taste to begin with, and an owner's departure from it."""
GOOD = 2.0
"""A text with this mark or a higher one is good."""
LEAST_OWN = 20
"""With fewer marks of the owner's there is nothing to cross-validate: the shipped taste is used."""
MOST_OWN = 5_000
"""The newest marks that are learnt from: the time grows with their cube."""
_VALIDATED = 600
_FOLDS = 5


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well a taste predicts marks that it did not see.

    `spearman` is the rank correlation, `top_tenth_good` the share of good texts among the tenth with the highest
    scores and `average_good` that among all.
    """

    spearman: float
    top_tenth_good: float
    average_good: float

    def as_dict(self) -> dict[str, float]:
        """Return the figures as `biobot taste --json` prints them."""
        return {each.name: round(getattr(self, each.name), 4) for each in fields(self)}

    @classmethod
    def mean(cls, several: Sequence[Self]) -> Self:
        """Return the mean of several."""
        return cls(*(float(np.mean([getattr(each, name.name) for each in several])) for name in fields(cls)))


@dataclass(frozen=True, slots=True)
class Learnt:
    """What came of an owner's marks: how well both tastes predict them, and which is in use, "shipped" or "own"."""

    own: int
    shipped: Agreement | None
    owned: Agreement | None
    in_use: str

    @property
    def why(self) -> str:
        """Return the reason for the taste that is in use, as a sentence."""
        if self.shipped is None or self.owned is None:
            return f"The shipped taste is in use: yours needs {LEAST_OWN} marks, and there are {self.own}."
        gain = f"rank correlation {self.owned.spearman:.2f} instead of {self.shipped.spearman:.2f}"
        if self.in_use == OWN:
            return f"Your own taste is in use: it predicts your marks better than the shipped one ({gain})."
        return f"The shipped taste is in use: yours does not predict your marks better ({gain})."


class Taste:
    """Scores candidates from 0 to 3 as this owner would mark them."""

    def __init__(self, shipped: Ranker, own: Ranker | None = None) -> None:
        self.shipped = shipped
        self.own = own

    def scores(self, candidates: Sequence[Candidate]) -> list[float]:
        """Return a score for each candidate; one in a language that the taste does not know gets the average."""
        found = [features(each) for each in candidates]
        scores = self.shipped.scores(found)
        neutral = self.shipped.mean
        if self.own is not None:
            scores = self.own.scores(found, scores)
            neutral = float(np.clip(self.own.mean + (1 + self.own.shipped_effect) * neutral, 0, 3))
        pairs = zip(candidates, scores.tolist(), strict=True)
        return [score if is_judgeable(each.text) else neutral for each, score in pairs]

    def explain(self, candidate: Candidate) -> dict[str, float]:
        """Return what spoke for (above 0) and against a text: its words, and the numbers of its form; largest first."""
        found = features(candidate)
        effects: dict[str, float] = {}
        for ranker in (self.shipped, self.own):
            if ranker is not None:
                terms = ranker.word_effects(found)
                named = {f"“{term}”": terms.get(number, 0.0) for term, number in term_names(candidate.text).items()}
                for name, effect in (named | ranker.form_effects(found)).items():
                    effects[name] = effects.get(name, 0.0) + effect
        return dict(sorted(effects.items(), key=lambda each: -abs(each[1])))


def is_judgeable(text: str) -> bool:
    """Return whether the shipped taste can judge a text: whether it is English, or too little to tell."""
    return language(text) in ("en", None) and (bool(words(text)) or not any(map(str.isalpha, text)))


def learn_base(marks: Sequence[Mark], folder: Path, splits: int = 10) -> Agreement:
    """Learn a taste to begin with from `marks` alone, write it to `folder`, and return how well it predicts.

    That is the mean over `splits` random splits into five folds; it takes a minute for 1,000 marks.
    """
    rated = [each for each in marks if each.value is not None]
    if len(rated) < LEAST_OWN:
        raise TasteError(f"a taste needs at least {LEAST_OWN} marks, and there are {len(rated)}")
    texts = [features(each.candidate) for each in rated]
    values = np.array([each.value for each in rated])

    def fitted(rest: np.ndarray, held: np.ndarray) -> np.ndarray:
        return _fit(texts, values, rest).scores([texts[at] for at in held])

    found = Agreement.mean([validate(values, fitted, seed) for seed in range(splits)])
    with storage.errors_as(TasteError, folder):
        storage.make_folder(folder)
        _fit(texts, values, np.arange(len(texts))).save(folder / f"{BASE}.npz")
        with storage.atomic_write(folder / f"{BASE}.json", 0o644) as file:
            file.write(json.dumps({"marks": len(rated), **asdict(found)}, indent=1).encode() + b"\n")
    return found


def _fit(texts: Sequence[Features], values: np.ndarray, at: np.ndarray) -> Ranker:
    return fit([texts[each] for each in at], [Observation(k, float(values[each])) for k, each in enumerate(at)])


@lru_cache(maxsize=4)
def base(home: Path | None = None) -> tuple[Ranker, dict[str, Any]]:
    """Return the taste to begin with, and what is known of it: the one in HOME/taste, else the one that ships."""
    folder = home / "taste" if home is not None and (home / "taste" / f"{BASE}.npz").exists() else Path(__file__).parent
    try:
        return Ranker.load(folder / f"{BASE}.npz"), json.loads((folder / f"{BASE}.json").read_bytes())
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        fix = "install biobot again" if home is None or folder != home / "taste" else "run `biobot taste reset`"
        raise TasteError(f"the taste in {folder} cannot be read ({error}); {fix}") from None


def load(home: Path, decisions: Sequence[Mark] = ()) -> Taste:
    """Return the taste of the bot in `home`, whose owner also made `decisions`; writes nothing.

    If marks came since the owner's taste was learnt, it is learnt anew, in memory. Raises TasteError.
    """
    with open_marks(home, read_only=True) as marks:
        first, _about = base(home)
        if not (len(marks) or decisions):
            return Taste(first)
        state = _state(home)
        try:
            if state.get("revision") == _revision(marks, decisions, first):
                return Taste(first, Ranker.load(home / "taste" / f"{OWN}.npz") if state["in_use"] == OWN else None)
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
            pass  # it is learnt again below: the marks are what counts
        return Taste(first, _learn(_together(decisions, marks), first)[0])


def learn(home: Path, decisions: Sequence[Mark] = ()) -> Learnt:
    """Learn the owner's taste from the marks in `home` and from `decisions`, and keep it there."""
    first, _about = base(home)
    with open_marks(home) as marks:
        revision = _revision(marks, decisions, first)
        ranker, learnt = _learn(_together(decisions, marks), first)
    folder = home / "taste"
    with storage.errors_as(TasteError, folder):
        storage.make_folder(folder)
        if ranker is not None:
            ranker.save(folder / f"{OWN}.npz")
        with storage.atomic_write(folder / f"{OWN}.json") as file:
            file.write(json.dumps({"revision": revision, **asdict(learnt)}).encode())
    return learnt


def learning_curve(
    home: Path, decisions: Sequence[Mark] = (), sizes: Sequence[int] = (20, 50, 100, 200, 400)
) -> list[tuple[int, Agreement]]:
    """Return how well the owner's taste predicts their marks when it is learnt from the newest so many of them."""
    first, _about = base(home)
    with open_marks(home, read_only=True) as marks:
        rated = [each for each in _together(decisions, marks) if each.value is not None]
    return [(size, _compare(rated[-size:], first)[1]) for size in sizes if size < len(rated)]


def open_marks(home: Path, *, read_only: bool = False) -> Marks:
    """Open the owner's marks."""
    return Marks(home / "taste.db", read_only=read_only)


def state(home: Path, decisions: Sequence[Mark] = ()) -> Learnt:
    """Return what came of the owner's marks, without writing anything."""
    first, _about = base(home)
    with open_marks(home, read_only=True) as marks:
        return _learn(_together(decisions, marks), first)[1]


def _together(decisions: Sequence[Mark], marks: Marks) -> list[Mark]:
    """Return an owner's decisions on drafts, but for those that they marked by hand as well, and then the marks."""
    rated = marks.all()
    texts = {fold(each.candidate.text) for each in rated}
    return [each for each in decisions if fold(each.candidate.text) not in texts] + rated


def reset(home: Path) -> int:
    """Delete all marks and everything learnt in `home`, and return how many marks there were."""
    with open_marks(home) as marks:
        count = marks.reset()
    for name in (f"{BASE}.npz", f"{BASE}.json", f"{OWN}.npz", f"{OWN}.json"):
        (home / "taste" / name).unlink(missing_ok=True)
    return count


def _state(home: Path) -> dict[str, Any]:
    try:
        found = json.loads((home / "taste" / f"{OWN}.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def validate(marks: np.ndarray, fitted: Callable[[np.ndarray, np.ndarray], np.ndarray], seed: int) -> Agreement:
    """Return the mean agreement over the folds of one random split.

    `fitted(rest, held)` returns the scores of the texts numbered `held`, learnt from those numbered `rest`.
    """
    folds = np.array_split(np.random.default_rng(seed).permutation(len(marks)), _FOLDS)
    return Agreement.mean(
        [agreement(fitted(np.setdiff1d(np.arange(len(marks)), held), held), marks[held]) for held in folds]
    )


def agreement(scores: np.ndarray, marks: np.ndarray) -> Agreement:
    """Return how well scores predict marks."""
    one, other = _ranks(scores), _ranks(marks)
    flat = one.std() == 0 or other.std() == 0
    good = marks >= GOOD
    top = np.argsort(-scores, kind="stable")[: max(len(scores) // 10, 1)]
    return Agreement(0.0 if flat else float(np.corrcoef(one, other)[0, 1]), float(good[top].mean()), float(good.mean()))


def _learn(marks: Sequence[Mark], first: Ranker) -> tuple[Ranker | None, Learnt]:
    """Return the owner's ranker, if it predicts the owner's marks better than `first`, and how both did."""
    recent = list(marks)[-MOST_OWN:]
    rated = [each for each in recent if each.value is not None]
    if len(rated) < LEAST_OWN:
        return None, Learnt(len(marks), None, None, "shipped")
    before, after = _compare(rated[-_VALIDATED:], first)
    if after.spearman <= before.spearman:
        return None, Learnt(len(marks), before, after, "shipped")
    texts = [features(each.candidate) for each in recent]
    observations = []
    for at, each in enumerate(recent):
        if each.worse is not None:
            observations.append(Observation(at, EDIT, len(texts)))
            texts.append(features(Candidate(each.worse)))
        elif each.value is not None:
            observations.append(Observation(at, each.value))
    return fit(texts, observations, first.scores(texts)), Learnt(len(marks), before, after, OWN)


def _compare(rated: Sequence[Mark], first: Ranker) -> tuple[Agreement, Agreement]:
    """Return how well `first`, and a departure from it learnt from the other folds, predict an owner's marks."""
    texts = [features(each.candidate) for each in rated]
    values = np.array([each.value for each in rated])
    known = first.scores(texts)

    def own(rest: np.ndarray, held: np.ndarray) -> np.ndarray:
        observations = [Observation(number, float(values[at])) for number, at in enumerate(rest)]
        ranker = fit([texts[at] for at in rest], observations, known[rest])
        return ranker.scores([texts[at] for at in held], known[held])

    return validate(values, lambda _, held: known[held], 0), validate(values, own, 0)


def _revision(marks: Marks, decisions: Sequence[Mark], first: Ranker) -> str:
    """Return what changes with the marks, the decisions, and the taste to begin with."""
    said = json.dumps([each.as_dict() for each in decisions])
    return f"{marks.revision}-{blake2b(said.encode(), digest_size=8).hexdigest()}-{first.mean:.6f}"


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return the ranks of values, equal ones sharing their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    found: np.ndarray = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return found
