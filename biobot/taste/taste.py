"""One owner's taste: the shipped ranker, and the owner's departure from it where that predicts better."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
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
from biobot.taste.marks import EDIT, Mark, Marks, open_marks
from biobot.taste.ranker import Observation, Ranker, fit, held_out
from biobot.text.language import language

MARKS = Path(__file__).with_name("marks.jsonl.gz")
"""The marks that the shipped taste was learnt from."""
BASE, BLIND, OWN = "base", "blind", "own"
"""Names of what `save` wrote: a taste to begin with, the same for texts without figures, an owner's departure."""
VERSION = 3
"""Changes with the features: what was learnt with others is learnt again."""
GOOD = 2.0
"""A text with this mark or a higher one is good."""
LEAST_OWN = 20
"""With fewer marks of the owner's there is nothing to cross-validate: the shipped taste is used."""
MOST_OWN = 5_000
"""The newest marks that are learnt from: the time grows with their square."""
LESS = 0.99
"""The owner's taste is used when its error is smaller than this part of the shipped one's."""
CURVE = (20, 50, 100, 200)
"""How many of the newest marks the learning curve is drawn from."""
MOST_NAMED, LEAST_NAMED = 3, 0.1
"""How many likes and dislikes of an owner are named, and by how much each must change a score."""
_VALIDATED = 400
_FOLDS = 5
_UNREADABLE = (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well a taste predicts marks that it did not see.

    `spearman` is the rank correlation, `top_tenth_good` the share of good texts among the tenth with the highest
    scores, `average_good` that among all, and `error` the root of the mean squared difference.
    """

    spearman: float
    top_tenth_good: float
    average_good: float
    error: float

    @classmethod
    def mean(cls, several: Sequence[Self]) -> Self:
        """Return the mean of several."""
        return cls(*(float(np.mean([getattr(each, name.name) for each in several])) for name in fields(cls)))


@dataclass(frozen=True, slots=True)
class Learnt:
    """What came of an owner's marks: how well both tastes predict them, and which is in use, "shipped" or "own".

    `likes` and `dislikes` name what the owner's taste gives more or less for than the shipped one, the most first.
    `curve` has, for some numbers of the newest marks, how well the owner's taste predicts when learnt from these.
    """

    own: int
    shipped: Agreement | None = None
    owned: Agreement | None = None
    in_use: str = "shipped"
    curve: tuple[tuple[int, Agreement], ...] = ()
    likes: tuple[str, ...] = ()
    dislikes: tuple[str, ...] = ()

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Self:
        """Rebuild it from the output of `asdict`; raise KeyError, TypeError or ValueError where that is malformed."""
        shipped, owned = (None if found[name] is None else Agreement(**found[name]) for name in ("shipped", "owned"))
        curve = tuple((int(size), Agreement(**each)) for size, each in found["curve"])
        lists = (tuple(map(str, found[name])) for name in ("likes", "dislikes"))
        return cls(int(found["own"]), shipped, owned, str(found["in_use"]), curve, *lists)

    @property
    def why(self) -> str:
        """Return the reason for the taste that is in use, as a sentence."""
        if self.shipped is None or self.owned is None:
            return f"The shipped taste is in use: yours needs {LEAST_OWN} marks, and there are {self.own}."
        gain = f"typical error {self.owned.error:.2f} instead of {self.shipped.error:.2f}"
        if self.in_use == OWN:
            said = (
                f"Your own taste is in use: it predicts your {self.own:,} marks better than the shipped one ({gain})."
            )
            for verb, names in (("more", self.likes), ("less", self.dislikes)):
                said += f" You like {verb}: {', '.join(names)}." if names else ""
            return said
        return (
            f"The shipped taste is in use: after {self.own:,} marks yours does not predict your marks better ({gain})."
        )


@dataclass(frozen=True, slots=True)
class Base:
    """A taste to begin with: how it judges texts whose bits and entropy are known, and others."""

    seeing: Ranker
    blind: Ranker

    def scores(self, texts: Features) -> np.ndarray:
        """Return the estimated mark of each text, 0 to 3; float64 (texts)."""
        blind = np.isnan(texts.form[:, -1])
        if blind.all():
            return self.blind.scores(texts)
        seen = self.seeing.scores(texts)
        return np.where(blind, self.blind.scores(texts), seen) if blind.any() else seen


class Taste:
    """Scores candidates from 0 to 3 as this owner would mark them."""

    def __init__(self, base: Base, own: Ranker | None = None) -> None:
        self.base = base
        self.own = own

    @property
    def neutral(self) -> float:
        """Return the score of an average text."""
        mean = self.base.seeing.mean
        return mean if self.own is None else self.own.neutral(mean)

    def scores(self, candidates: Sequence[Candidate]) -> list[float]:
        """Return a score for each candidate; one in a language that the taste does not know gets the average."""
        if not candidates:
            return []
        found = features(candidates)
        scores = self.base.scores(found)
        if self.own is not None:
            scores = self.own.scores(found, scores)
        pairs = zip(candidates, scores.tolist(), strict=True)
        return [score if is_judgeable(each.text) else self.neutral for each, score in pairs]

    def explain(self, candidate: Candidate) -> dict[str, float]:
        """Return what spoke for (above 0) and against a text: its words, and the numbers of its form; largest first."""
        found, names, effects = features([candidate]), term_names(candidate.text), dict[str, float]()
        base = self.base.blind if candidate.entropy is None else self.base.seeing
        for ranker in (base, self.own):
            if ranker is not None:
                terms = ranker.term_effects(found)
                named = {f"“{name}”": terms.get(term, 0.0) for term, name in names.items()}
                for name, effect in (named | ranker.form_effects(found)).items():
                    effects[name] = effects.get(name, 0.0) + effect
        return dict(sorted(effects.items(), key=lambda each: -abs(each[1])))


def is_judgeable(text: str) -> bool:
    """Return whether the shipped taste can judge a text: whether it is English, or too little to tell."""
    return language(text) in ("en", None) and (bool(words(text)) or not any(map(str.isalpha, text)))


def learn_base(marks: Sequence[Mark], folder: Path, splits: int = 10) -> Agreement:
    """Learn a taste to begin with from `marks` alone, write it to `folder`, and return how well it predicts.

    That is the mean over `splits` random splits into five folds.
    """
    rated = [each for each in marks if each.value is not None]
    if len(rated) < LEAST_OWN:
        raise TasteError(f"a taste needs at least {LEAST_OWN} marks, and there are {len(rated)}")
    values = np.array([each.value for each in rated])
    observed = [Observation(at, float(value)) for at, value in enumerate(values)]
    seeing, blind = (
        features(each) for each in ([one.candidate for one in rated], [Candidate(one.candidate.text) for one in rated])
    )
    found = Agreement.mean([validate(seeing, values, seed) for seed in range(splits)])
    with storage.errors_as(TasteError, folder):
        if not folder.exists():
            storage.make_folder(folder)
        fit(seeing, observed).save(folder / f"{BASE}.npz")
        fit(blind, observed).save(folder / f"{BLIND}.npz")
        with storage.atomic_write(folder / f"{BASE}.json", 0o644) as file:
            file.write(json.dumps({"marks": len(rated), **asdict(found)}, indent=1).encode() + b"\n")
    return found


@lru_cache(maxsize=4)
def base(home: Path | None = None) -> tuple[Base, dict[str, Any]]:
    """Return the taste to begin with, and what is known of it: the one in HOME/taste, else the one that ships."""
    folder = home / "taste" if home is not None and (home / "taste" / f"{BASE}.npz").exists() else Path(__file__).parent
    try:
        found = Base(*(Ranker.load(folder / f"{name}.npz") for name in (BASE, BLIND)))
        return found, json.loads((folder / f"{BASE}.json").read_bytes())
    except _UNREADABLE as error:
        own = home is not None and folder == home / "taste"
        fix = "make it again with `biobot taste learn --base`, or delete it" if own else "install biobot again"
        raise TasteError(f"the taste in {folder} cannot be read ({error}); {fix}") from None


def load(home: Path, decisions: Sequence[Mark] = (), *, may_write: bool = False) -> Taste:
    """Return the taste of the bot in `home`, whose owner also made `decisions`. Raises TasteError.

    If marks came since the owner's taste was learnt, it is learnt anew: in memory, or for good if it `may_write`.
    """
    first, _about = base(home)
    with open_marks(home, read_only=True) as marks:
        if not (decisions or len(marks)):
            return Taste(first)
        if (kept := _kept(home, _revision(marks, decisions, first))) is not None:
            with suppress(*_UNREADABLE):  # else it is learnt again below: the marks are what counts
                return Taste(first, Ranker.load(home / "taste" / f"{OWN}.npz") if kept.in_use == OWN else None)
    return Taste(first, _learn(home, decisions, keep=may_write)[0])


def learn(home: Path, decisions: Sequence[Mark] = ()) -> Learnt:
    """Learn the owner's taste from the marks in `home` and from `decisions`, and keep it there."""
    return _learn(home, decisions, keep=True)[1]


def state(home: Path, decisions: Sequence[Mark] = (), *, may_write: bool = False) -> Learnt:
    """Return what came of the owner's marks: as it was kept; if marks came since, learnt anew, and kept if it may."""
    with open_marks(home, read_only=True) as marks:
        kept = _kept(home, _revision(marks, decisions, base(home)[0]))
    return kept or _learn(home, decisions, keep=may_write)[1]


def reset(home: Path) -> int:
    """Delete all marks and everything learnt in `home`, and return how many marks there were."""
    with open_marks(home) as marks:
        count = marks.reset()
    for name in (f"{BASE}.npz", f"{BLIND}.npz", f"{BASE}.json", f"{OWN}.npz", f"{OWN}.json"):
        (home / "taste" / name).unlink(missing_ok=True)
    return count


def validate(texts: Features, marks: np.ndarray, seed: int) -> Agreement:
    """Return how well the marks of each fifth of some texts are predicted by a taste learnt from the others alone."""
    folds = _folds(len(marks), seed)
    return _over(folds, held_out(texts, marks, folds), marks)


def agreement(scores: np.ndarray, marks: np.ndarray) -> Agreement:
    """Return how well scores predict marks."""
    one, other = _ranks(scores), _ranks(marks)
    flat = one.std() == 0 or other.std() == 0
    good = marks >= GOOD
    top = np.argsort(-scores, kind="stable")[: max(len(scores) // 10, 1)]
    spearman = 0.0 if flat else float(np.corrcoef(one, other)[0, 1])
    error = float(((scores - marks) ** 2).mean() ** 0.5)
    return Agreement(spearman, float(good[top].mean()), float(good.mean()), error)


def _folds(count: int, seed: int = 0) -> list[np.ndarray]:
    return np.array_split(np.random.default_rng(seed).permutation(count), _FOLDS)


def _over(folds: Sequence[np.ndarray], scores: np.ndarray, marks: np.ndarray) -> Agreement:
    return Agreement.mean([agreement(scores[held], marks[held]) for held in folds])


def _learn(home: Path, decisions: Sequence[Mark], *, keep: bool) -> tuple[Ranker | None, Learnt]:
    """Return the owner's ranker, if it predicts the owner's marks better than the base, and how both did."""
    first, _about = base(home)
    with open_marks(home, read_only=not keep) as opened:
        revision = _revision(opened, decisions, first)
        count, marks = _together(decisions, opened)
    rated = [each for each in marks if each.value is not None][-_VALIDATED:]
    learnt, ranker = Learnt(count), None
    if len(rated) >= LEAST_OWN:
        before, after = _compare(rated, first)
        curve = tuple((size, _compare(rated[-size:], first)[1]) for size in CURVE if size < len(rated))
        learnt = Learnt(count, before, after, OWN if after.error < LESS * before.error else "shipped", curve)
    if learnt.in_use == OWN:
        texts, observations = [each.candidate for each in marks], []
        for at, each in enumerate(marks):
            if each.worse is not None:
                observations.append(Observation(at, EDIT, len(texts)))
                texts.append(Candidate(each.worse))
            elif each.value is not None:
                observations.append(Observation(at, each.value))
        found = features(texts)
        ranker = fit(found, observations, first.scores(found))
        leanings = sorted(ranker.leanings().items(), key=lambda each: each[1])
        likes = tuple(name for name, effect in leanings[: -MOST_NAMED - 1 : -1] if effect > LEAST_NAMED)
        dislikes = tuple(name for name, effect in leanings[:MOST_NAMED] if effect < -LEAST_NAMED)
        learnt = replace(learnt, likes=likes, dislikes=dislikes)
    if keep:
        folder = home / "taste"
        with storage.errors_as(TasteError, folder):
            storage.make_folder(folder)
            if ranker is not None:
                ranker.save(folder / f"{OWN}.npz")
            with storage.atomic_write(folder / f"{OWN}.json") as file:
                file.write(json.dumps({"revision": revision, **asdict(learnt)}).encode())
    return ranker, learnt


def _together(decisions: Sequence[Mark], marks: Marks) -> tuple[int, list[Mark]]:
    """Return how many marks an owner made, and the newest: decisions on drafts count as older than marks by hand.

    A decision on a text that the owner marked as well does not count.
    """
    decided = [each for each in decisions if not marks.holds(each.candidate.text)]
    return len(decided) + len(marks), (decided + marks.newest(MOST_OWN))[-MOST_OWN:]


def _compare(rated: Sequence[Mark], first: Base) -> tuple[Agreement, Agreement]:
    """Return how well `first`, and a departure from it learnt from the other folds, predict an owner's marks.

    Not to call an owner's use of the scale a taste, `first` is brought to it by a line through the other folds' marks.
    """
    texts, values = features([each.candidate for each in rated]), np.array([each.value for each in rated])
    known, folds = first.scores(texts), _folds(len(rated))
    line = np.zeros(len(rated))
    for held in folds:
        rest = np.setdiff1d(np.arange(len(rated)), held)
        scores, marks = known[rest] - known[rest].mean(), values[rest]
        slope = max(float(scores @ marks / (scores @ scores + 1e-9)), 0.0)
        line[held] = marks.mean() + slope * (known[held] - known[rest].mean())
    own = _over(folds, held_out(texts, values, folds, known), values)
    return replace(_over(folds, known, values), error=_over(folds, line, values).error), own


def _kept(home: Path, revision: str) -> Learnt | None:
    """Return what `learn` kept, if it learnt from just these marks."""
    try:
        found = json.loads((home / "taste" / f"{OWN}.json").read_bytes())
        return Learnt.read(found) if found["revision"] == revision else None
    except _UNREADABLE:
        return None


def _revision(marks: Marks, decisions: Sequence[Mark], first: Base) -> str:
    """Return what changes with the marks, the decisions, the taste to begin with, and the features."""
    said = json.dumps([VERSION, first.seeing.mean, *(each.as_dict() for each in decisions)])
    return f"{marks.revision}-{blake2b(said.encode(), digest_size=8).hexdigest()}"


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return the ranks of values, equal ones sharing their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    found: np.ndarray = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return found
