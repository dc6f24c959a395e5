"""The ranker: Gaussian processes over marks, one for the shipped taste and one for how far an owner departs from it.

The score of a text is the mark that a reader would give it, 0 to 3. Texts are alike by their words (TF-IDF of words,
signs, and pairs of these, and of words with nearly the same meaning), by what they are about, and by their form.
Unlike a sum of unbounded features the estimate for a text unlike everything marked falls back to the mean, so a
degenerate text gains nothing. The shipped taste is fitted with fixed variances. An owner's is the shipped score plus
a process of its own, whose variances are estimated from the owner's marks: it finds out what this owner cares about.
An edit says by about how much one text is better than another: an observation of a difference.

Equations: Rasmussen and Williams (2006), chapter 2; variances by the multiplicative updates for variance components
of Zhou, Hu, Zhou and Lange (2019); weights by conjugate gradients (Hestenes and Stiefel 1952).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Self

import numpy as np

from biobot.storage import atomic_write
from biobot.taste.features import FORM, Features, Sparse
from biobot.taste.lexicon import SENSES, VECTORS, found

WIDTH = 1.2
"""Length scale of form and topic, in standard deviations per square root of dimensions."""
FIGURES = np.array([1.0] * (len(FORM) - 2) + [2.0] * 2, np.float32)
"""How much each number of the form counts: the model's own figures twice, since there are only two of them."""
PARTS = ("terms", "meanings", "topic", "form", "topic and form")
"""The components of the kernel, each with a variance; after them come the linear effects."""
LINEAR = ("constant", "shipped", *FORM, *SENSES)
"""What an owner's departure may depend on linearly, each with a variance."""
NAMES = (*FORM, *(f"{sense} words" for sense in SENSES))
"""What people call the linear effects, but for the first two."""
SHIPPED = np.array([0.2, 0.0, 0.38, 0.04, 0.38] + [0.0] * len(LINEAR))
"""Variances of the shipped taste's components, chosen by cross-validation; the noise has the same as all of them."""
OWN = np.array([0.5, 1.0, 0.2, 0.2, 0.1] + [0.3, 0.1] + [0.02] * len(FORM) + [0.003] * len(SENSES))
"""The first guess at the variances of an owner's departure."""
OWN_NOISE = 0.3
LEAST_NOISE = 0.05
TOLERANCE = 1e-3
"""By so much, relatively, the weights of the marks may miss these."""
LANDMARKS = 150
"""Marked texts that stand for all of them in the preconditioner."""
UPDATES = 6
"""Updates of an owner's variances: stopping early keeps them near the first guess while marks are few."""
ESTIMATED_FROM = 400
"""How many of the newest marks the variances are estimated from."""
LEAST_WORDS = 2
"""A text with fewer known words has the lowest score: the ranker has nothing to judge it by."""
_BLOCK = 64
"""Rows of the kernel that are computed at once."""


@dataclass(frozen=True, slots=True)
class Observation:
    """A mark from 0 to 3 of the text `index`; or, with `worse`, by how much it is better than that one."""

    index: int
    mark: float
    worse: int | None = None


@dataclass(frozen=True, slots=True)
class Scale:
    """What makes texts comparable, learnt from those that were marked.

    `terms`, uint32 ascending, are the hashes of the terms that two texts or more held, with their `idf`, float32;
    `centre` and `spread` are float32 (FORM), `topic_mean` float32 (DIMENSIONS).
    """

    terms: np.ndarray
    idf: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    topic_mean: np.ndarray
    topic_spread: np.ndarray

    @classmethod
    def of(cls, texts: Features) -> Self:
        """Return the scale of marked texts."""
        terms, holders = np.unique(texts.terms.columns, return_counts=True)
        terms, holders = terms[holders > 1], holders[holders > 1]
        known = np.maximum((~np.isnan(texts.form)).sum(axis=0), 1)
        centre = np.nansum(texts.form, axis=0) / known
        topic_mean = texts.topic.mean(axis=0)
        return cls(
            terms,
            (np.log((1 + len(texts)) / (1 + holders)) + 1).astype(np.float32),
            centre,
            np.sqrt(np.nansum((texts.form - centre) ** 2, axis=0) / known) + 1e-6,
            topic_mean,
            np.sqrt(((texts.topic - topic_mean) ** 2).mean(keepdims=True)) + 1e-6,
        )

    def weighted(self, texts: Features) -> Sparse:
        """Return the terms of texts, as columns of `terms`, by TF-IDF; each text scaled to unit length."""
        if not len(self.terms):
            return Sparse(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
        at, known = found(self.terms, texts.terms.columns)
        rows, at = texts.terms.rows[known], at[known]
        values = (1 + np.log(texts.terms.values[known])) * self.idf[at]
        lengths = np.sqrt(np.bincount(rows, values**2, len(texts)))
        return Sparse(rows, at, values / (lengths[rows] + 1e-9))

    def form(self, texts: Features) -> np.ndarray:
        """Return the numbers of the form in standard deviations, at most 3; what is not known counts as average."""
        scaled = np.clip((texts.form - self.centre) / self.spread, -3, 3)
        known: np.ndarray = (np.nan_to_num(scaled) * FIGURES).astype(np.float32)
        return known

    def topic(self, texts: Features) -> np.ndarray:
        """Return what texts are about, in standard deviations."""
        scaled: np.ndarray = ((texts.topic - self.topic_mean) / self.topic_spread).astype(np.float32)
        return scaled


@dataclass(frozen=True, slots=True)
class Ranker:
    """A fitted taste: the marked texts as it sees them, and what the posterior mean multiplies each kernel by.

    `term_weights` float32 (terms), `meaning_weights` float32 (VECTORS); `topics` float32
    (n, DIMENSIONS + 2) and `forms` float32 (n, FORM + 2) of the marked texts as `_towards` makes them, with their
    `weights` float64 (n); `smooth`, float64 (3), are the variances of
    topic, form, and both together; `linear` float64 (LINEAR). `shipped` is the marked texts' mean shipped score.
    """

    scale: Scale
    mean: float
    shipped: float
    term_weights: np.ndarray
    meaning_weights: np.ndarray
    topics: np.ndarray
    forms: np.ndarray
    weights: np.ndarray
    smooth: np.ndarray
    linear: np.ndarray

    def scores(self, texts: Features, shipped: np.ndarray | None = None) -> np.ndarray:
        """Return the estimated mark of each text, 0 to 3; float64 (texts). An owner's ranker needs `shipped`."""
        terms, meanings = self._terms(texts), texts.meanings
        forms = self.scale.form(texts)
        away = _away(self.scale.topic(texts)), _away(forms)
        total = self.mean + _smooth(self.smooth, away, (self.topics, self.forms)) @ self.weights
        total += _linear(forms, texts.senses, shipped, self.shipped) @ self.linear
        total += np.bincount(terms.rows, terms.values, len(texts))
        if self.meaning_weights.any():
            total += np.bincount(meanings.rows, meanings.values * self.meaning_weights[meanings.columns], len(texts))
        if shipped is not None:
            total += shipped
        return judged(total, texts)

    def neutral(self, shipped: float) -> float:
        """Return the score of an average text whose shipped score is given."""
        return float(np.clip(self.mean + shipped + self.linear[:2] @ [1, shipped - self.shipped], 0, 3))

    def term_effects(self, text: Features) -> dict[int, float]:
        """Return what each term of a single text adds to its score, by the term's hash; words by their meaning, too."""
        terms, effects = self._terms(text), dict[int, float]()
        meanings = text.meanings.values * self.meaning_weights[text.meanings.columns]
        for hashes, values in ((self.scale.terms[terms.columns], terms.values), (text.meaning_words, meanings)):
            for term, value in zip(hashes.tolist(), values.tolist(), strict=True):
                effects[term] = effects.get(term, 0.0) + value
        return effects

    def form_effects(self, text: Features) -> dict[str, float]:
        """Return what form and senses of a single text add to its score, compared with an average form and no sense."""
        form, topic = self.scale.form(text), self.scale.topic(text)
        changed = np.repeat(form, len(FORM) + 1, axis=0)
        np.fill_diagonal(changed, 0.0)
        away = _away(np.repeat(topic, len(changed), axis=0)), _away(changed)
        values = _smooth(self.smooth, away, (self.topics, self.forms)) @ self.weights
        effects = self.linear[2:] * np.concatenate([form[0], text.senses[0]])
        effects[: len(FORM)] += values[-1] - values[:-1]
        return dict(zip(NAMES, effects.tolist(), strict=True))

    def leanings(self) -> dict[str, float]:
        """Return what the score gains from one standard deviation of each number of the form, and from each sense."""
        return dict(zip(NAMES, self.linear[2:].tolist(), strict=True))

    def save(self, path: Path) -> None:
        """Write the ranker to `path`, whole or not at all."""
        with atomic_write(path) as file:
            np.savez_compressed(file, **{name: getattr(each, name) for each, name in self._arrays()})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; raises OSError, ValueError or KeyError for anything else."""
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            scale, own = (
                {each.name: data[each.name] for each in fields(kind) if each.name != "scale"} for kind in (Scale, cls)
            )
        ranker = cls(Scale(**scale), **own | {name: float(own[name]) for name in ("mean", "shipped")})
        count = len(ranker.weights)
        if (
            ranker.forms.shape != (count, len(FORM) + 2)
            or len(ranker.topics) != count
            or len(ranker.linear) != len(LINEAR)
        ):
            raise ValueError("its parts do not fit together")
        return ranker

    def _arrays(self) -> list[tuple[object, str]]:
        return [(each, one.name) for each in (self, self.scale) for one in fields(each) if one.name != "scale"]

    def _terms(self, texts: Features) -> Sparse:
        terms = self.scale.weighted(texts)
        return replace(terms, values=terms.values * self.term_weights[terms.columns])


def judged(scores: np.ndarray, texts: Features) -> np.ndarray:
    """Return scores as they are shown: none below 0, and 0 for a text with too few words to judge."""
    return np.where(texts.words >= LEAST_WORDS, np.maximum(scores, 0.0), 0.0)


@dataclass(frozen=True, slots=True)
class _Observed:
    """What was observed of some texts: of `better`, and where `edits` is 1, by how much it is better than `worse`."""

    better: np.ndarray
    worse: np.ndarray
    edits: np.ndarray

    def of(self, values: np.ndarray) -> np.ndarray:
        """Return the observations of `values`, one row per text."""
        found: np.ndarray = (values[self.better].T - self.edits * values[self.worse].T).T
        return found

    def back(self, values: np.ndarray, texts: int) -> np.ndarray:
        """Return the product of the transpose of `of` with `values`."""
        found: np.ndarray = np.bincount(self.better, values, texts)
        return found - np.bincount(self.worse, values * self.edits, texts)

    def newest(self, count: int) -> tuple[np.ndarray, _Observed]:
        """Return the texts of the last `count` observations, and these as observations of them."""
        better, worse = self.better[-count:], self.worse[-count:]
        texts, inverse = np.unique(np.concatenate([better, worse]), return_inverse=True)
        return texts, _Observed(inverse[: len(better)], inverse[len(better) :], self.edits[-count:])


def fit(texts: Features, observations: Sequence[Observation], shipped: np.ndarray | None = None) -> Ranker:
    """Return the ranker that `observations` of `texts` make; deterministic, some 0.7 s for 5,000.

    With `shipped`, float64 (texts), the shipped scores, it is an owner's departure from them.
    """
    assert observations
    count, scale = len(texts), Scale.of(texts)
    marks = np.array([each.mark for each in observations])
    worse = [each.index if each.worse is None else each.worse for each in observations]
    edits = np.array([each.worse is not None for each in observations], float)
    observed = _Observed(np.array([each.index for each in observations]), np.array(worse), edits)
    prior = np.zeros(count) if shipped is None else shipped
    mean = float((marks - observed.of(prior))[edits == 0].mean()) if not edits.all() else 1.5 - float(prior.mean())
    target = marks - observed.of(mean + prior)
    kernel = _Kernel(texts, scale, shipped)
    variances, noise = SHIPPED, float(SHIPPED.sum())
    if shipped is not None:
        at, newest = observed.newest(ESTIMATED_FROM)
        parts, linear = kernel.parts(at)
        parts = np.stack([newest.of(newest.of(part).T) for part in parts])
        variances, noise = _estimate(parts, newest.of(linear), target[-ESTIMATED_FROM:])
    times = kernel.times(variances)
    solved = _solve(
        lambda values: observed.of(times(observed.back(values, count))) + noise * values,
        target,
        observed.of(kernel.low_rank(variances)),
        noise + variances[:2].sum(),
    )
    weights = observed.back(solved, count)
    return Ranker(
        scale=scale,
        mean=mean,
        shipped=float(prior.mean()),
        term_weights=(variances[0] * kernel.terms.back(weights, len(scale.terms))).astype(np.float32),
        meaning_weights=(variances[1] * texts.meanings.back(weights, VECTORS)).astype(np.float32),
        topics=kernel.towards[0],
        forms=kernel.towards[1],
        weights=weights,
        smooth=variances[2 : len(PARTS)],
        linear=variances[len(PARTS) :] * (kernel.linear.T @ weights),
    )


def held_out(
    texts: Features, marks: np.ndarray, folds: Sequence[np.ndarray], shipped: np.ndarray | None = None
) -> np.ndarray:
    """Return a score for each text that was learnt from the marks of the other folds."""
    every = np.arange(len(texts))
    parts, linear = _Kernel(texts, Scale.of(texts), shipped).parts(every)
    prior = np.zeros(len(texts)) if shipped is None else shipped
    scores = np.zeros(len(texts))
    for held in folds:
        rest = np.setdiff1d(every, held)
        mean = (marks - prior)[rest].mean()
        target = (marks - prior)[rest] - mean
        within = parts[:, rest[:, None], rest]
        variances, noise = SHIPPED, float(SHIPPED.sum())
        if shipped is not None:
            variances, noise = _estimate(within, linear[rest], target)
        solved = np.linalg.solve(
            _total(within, linear[rest], linear[rest], variances) + noise * np.eye(len(rest)), target
        )
        across = _total(parts[:, held[:, None], rest], linear[held], linear[rest], variances)
        scores[held] = prior[held] + mean + across @ solved
    return judged(scores, texts)


class _Kernel:
    """The kernel between marked texts, for any variances of its components."""

    def __init__(self, texts: Features, scale: Scale, shipped: np.ndarray | None) -> None:
        self.terms, self.meanings = scale.weighted(texts), texts.meanings
        topics, forms = scale.topic(texts), scale.form(texts)
        self.away, self.towards = (_away(topics), _away(forms)), (_towards(topics), _towards(forms))
        self.linear = _linear(forms, texts.senses, shipped, 0.0 if shipped is None else float(shipped.mean()))

    def parts(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return PARTS between the texts `at`, float32 (PARTS, at, at), and their linear features."""
        topic, form = (np.exp(one[at] @ other[at].T) for one, other in zip(self.away, self.towards, strict=True))
        words = [dense @ dense.T for dense in (each.dense(at) for each in (self.terms, self.meanings))]
        return np.stack([*words, topic, form, topic * form]), self.linear[at]

    def times(self, variances: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Return what multiplies a vector by the kernel, whose smooth part is computed once: float32 (n, n)."""
        count, linear = len(self.linear), variances[len(PARTS) :]
        smooth = _smooth(variances[2 : len(PARTS)], self.away, self.towards)

        def multiplied(vector: np.ndarray) -> np.ndarray:
            found: np.ndarray = smooth @ vector.astype(np.float32) + self.linear @ (linear * (vector @ self.linear))
            for matrix, variance in ((self.terms, variances[0]), (self.meanings, variances[1])):
                if variance:
                    found += variance * matrix.times(matrix.back(vector), count)
            return found

        return multiplied

    def low_rank(self, variances: np.ndarray) -> np.ndarray:
        """Return what makes, with its transpose, the linear part and nearly the smooth one (Nyström's method)."""
        at = np.unique(np.linspace(0, len(self.linear) - 1, LANDMARKS).astype(int))
        near = _smooth(variances[2 : len(PARTS)], self.away, [each[at] for each in self.towards])
        factor = np.linalg.cholesky(near[at] + 1e-3 * np.eye(len(at)))
        return np.hstack([self.linear * np.sqrt(variances[len(PARTS) :]), np.linalg.solve(factor, near.T).T])


def _estimate(parts: np.ndarray, linear: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, float]:
    """Return variances and noise after UPDATES steps from the first guess towards the most likely ones."""
    linear, target = linear.astype(np.float32), target.astype(np.float32)
    variances, noise = OWN, OWN_NOISE
    for _ in range(UPDATES):
        inverse = np.linalg.inv(
            _total(parts, linear, linear, variances) + np.float32(noise) * np.eye(len(target), dtype=np.float32)
        )
        solved = inverse @ target
        gains = np.concatenate([(parts @ solved) @ solved, (linear.T @ solved) ** 2])
        expected = np.concatenate([np.einsum("ij,pij->p", inverse, parts), ((inverse @ linear) * linear).sum(axis=0)])
        variances = variances * np.sqrt(np.maximum(gains, 1e-12) / (expected + 1e-12))
        noise = max(noise * float(solved @ solved / np.trace(inverse)) ** 0.5, LEAST_NOISE)
    return variances, noise


def _total(parts: np.ndarray, linear: np.ndarray, others: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Return the kernel from its components; float32."""
    count = len(PARTS)
    found: np.ndarray = np.tensordot(variances[:count].astype(np.float32), parts, 1)
    found += (linear * variances[count:]).astype(np.float32) @ others.T.astype(np.float32)
    return found


def _solve(
    times: Callable[[np.ndarray], np.ndarray], target: np.ndarray, low_rank: np.ndarray, rest: float
) -> np.ndarray:
    """Return x with times(x) = target, by conjugate gradients.

    `times` multiplies by a positive definite matrix that is about low_rank @ low_rank.T + rest * 1: that one's inverse,
    by Woodbury's formula, is the preconditioner.
    """
    inner = np.linalg.inv(np.eye(low_rank.shape[1]) + low_rank.T @ low_rank / rest)

    def easier(values: np.ndarray) -> np.ndarray:
        found: np.ndarray = (values - low_rank @ (inner @ (low_rank.T @ values)) / rest) / rest
        return found

    solved, left = np.zeros(len(target)), target
    direction = easier(left)
    size = float(left @ direction)
    for _ in range(len(target)):
        if np.linalg.norm(left) <= TOLERANCE * np.linalg.norm(target):
            break
        product = times(direction)
        step = size / float(direction @ product)
        solved, left = solved + step * direction, left - step * product
        eased = easier(left)
        before, size = size, float(left @ eased)
        direction = eased + direction * (size / before)
    return solved


def _linear(forms: np.ndarray, senses: np.ndarray, shipped: np.ndarray | None, centre: float) -> np.ndarray:
    """Return the features of LINEAR: float64 (texts, LINEAR)."""
    blank = np.zeros(len(forms)) if shipped is None else shipped - centre
    return np.column_stack([np.ones(len(forms)), blank, forms, senses])


def _smooth(variances: np.ndarray, away: Sequence[np.ndarray], towards: Sequence[np.ndarray]) -> np.ndarray:
    """Return the part of the kernel that topic, form, and both together make, float32 (texts, other texts).

    `away` has the topics and forms of the texts as `_away` made them, `towards` those of the others.
    """
    topic, form, both = variances.astype(np.float32)
    found = np.empty((len(away[0]), len(towards[0])), np.float32)
    for at in range(0, len(found), _BLOCK):  # temporary arrays that fit into the processor's cache
        rows = slice(at, at + _BLOCK)
        first, second = (np.exp(one[rows] @ other.T) for one, other in zip(away, towards, strict=True))
        found[rows] = first * (topic + both * second) + form * second
    return found


def _away(points: np.ndarray) -> np.ndarray:
    """Return `points` so that the product with those of `_towards` is the exponent of a Gaussian of their distance."""
    scale = np.float32(1 / (WIDTH**2 * points.shape[1]))
    return np.column_stack([scale * points, -scale / 2 * (points**2).sum(axis=1), np.full(len(points), -scale / 2)])


def _towards(points: np.ndarray) -> np.ndarray:
    return np.column_stack([points, np.ones(len(points), np.float32), (points**2).sum(axis=1)])
