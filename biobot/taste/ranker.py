"""The ranker: Gaussian processes over marks, one for the shipped taste and one for how far an owner departs from it.

The score of a text is the mark that a reader would give it, 0 to 3. Texts are alike by their words (TF-IDF of words,
signs, and pairs of these, and of words with nearly the same meaning), by what they are about, and by their form.
Unlike a sum of unbounded features the estimate for a text unlike everything marked falls back to the mean, so a
degenerate text gains nothing. The shipped taste is fitted with fixed variances. An owner's is the shipped score plus
a process of its own, whose variances are estimated from the owner's marks: it finds out what this owner cares about.
An edit says by about how much one text is better than another: an observation of a difference.

Equations: Rasmussen and Williams (2006), chapter 2; variances by the multiplicative updates for variance components
of Zhou, Hu, Zhou and Lange (2019).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np

from biobot.storage import atomic_write
from biobot.taste.features import FORM, Features
from biobot.taste.lexicon import VECTORS

WIDTH = 1.2
"""Length scale of form and topic, in standard deviations per square root of dimensions."""
FIGURES = np.array([1.0] * (len(FORM) - 2) + [2.0] * 2, np.float32)
"""How much each number of the form counts: the model's own figures twice, since there are only two of them."""
SHIPPED: Mapping[str, float] = {"terms": 0.2, "topic": 0.38, "form": 0.04, "topic and form": 0.38}
"""Variances of the shipped taste's components, chosen by cross-validation; the noise has the same as all of them."""
OWN: Mapping[str, float] = {
    "constant": 0.3,
    "shipped": 0.1,
    "terms": 0.3,
    "meanings": 0.5,
    "topic": 0.2,
    "form": 0.2,
    "topic and form": 0.1,
    **{f"form {number}": 0.02 for number in range(len(FORM))},
}
"""The first guess at the variances of an owner's departure; `form 3` is a linear effect of FORM[3]."""
OWN_NOISE = 0.3
UPDATES = 12
"""So many updates of an owner's variances: stopping early keeps them near the first guess where marks are few."""
ESTIMATED_FROM = 600
"""Variances are estimated from so many of the newest marks."""
LEAST_WORDS = 2
"""A text with fewer known words has the lowest score: the ranker has nothing to judge it by."""


@dataclass(frozen=True, slots=True)
class Observation:
    """A mark from 0 to 3 of the text `index`; or, with `worse`, by how much it is better than that one."""

    index: int
    mark: float
    worse: int | None = None


@dataclass(frozen=True, slots=True)
class Sparse:
    """The terms of some texts: `columns[at]` of text `rows[at]` has the value `values[at]`; rows of unit length."""

    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray


@dataclass(frozen=True, slots=True)
class Ranker:
    """A fitted taste: the marked texts as it sees them, and what the posterior mean multiplies each kernel by.

    term_hashes uint32 (t), ascending, with idf and weights float32 (t); likewise meaning_weights float32 (lexicon's
    rows); centre and spread float32 (FORM); forms float32 (n, FORM); topic_mean float32 (DIMENSIONS); topics float32
    (n, DIMENSIONS); weights float64 (n); smooth float64 (3): variances of topic, form, and both together; linear
    float64 (FORM): the effect of each number of the form.
    """

    mean: float
    shipped_effect: float
    term_hashes: np.ndarray
    term_idf: np.ndarray
    term_weights: np.ndarray
    meaning_weights: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    forms: np.ndarray
    topic_mean: np.ndarray
    topic_scale: float
    topics: np.ndarray
    weights: np.ndarray
    smooth: np.ndarray
    linear: np.ndarray

    def scores(self, texts: Sequence[Features], shipped: np.ndarray | None = None) -> np.ndarray:
        """Return the estimated mark of each text, 0 to 3; float64 (texts). An owner's ranker needs `shipped`."""
        if not texts:
            return np.zeros(0)
        found = self.mean + self._smooth(texts)
        found += np.array([sum(self.word_effects(each).values()) for each in texts])
        if shipped is not None:
            found += shipped * (1 + self.shipped_effect)
        enough = np.array([each.words >= LEAST_WORDS for each in texts])
        return np.maximum(np.where(enough, found, 0.0), 0.0)

    def word_effects(self, text: Features) -> dict[int, float]:
        """Return what each term of a text adds to its score, by the term's hash; words by their meaning, too."""
        effects: dict[int, float] = {}
        wanted = np.array(list(text.terms), np.uint32)
        if len(wanted) and len(self.term_hashes):
            at = np.minimum(np.searchsorted(self.term_hashes, wanted), len(self.term_hashes) - 1)
            known = self.term_hashes[at] == wanted
            at, counts = at[known], np.array(list(text.terms.values()))[known]
            values = (1 + np.log(counts)) * self.term_idf[at]
            values *= self.term_weights[at] / (np.linalg.norm(values) + 1e-9)
            effects = dict(zip(wanted[known].tolist(), values.tolist(), strict=True))
        if self.meaning_weights.any():
            for word, (rows, values) in text.meanings.items():
                effects[word] = effects.get(word, 0.0) + float(self.meaning_weights[rows] @ values)
        return effects

    def form_effects(self, text: Features) -> dict[str, float]:
        """Return what each number of a text's form adds to its score, compared with that of an average text."""
        form, topic = self._form([text.form]), self._topic([text.topic])
        changed = np.repeat(form, len(FORM) + 1, axis=0)
        np.fill_diagonal(changed, 0.0)
        values = self._kernel(changed, np.repeat(topic, len(changed), axis=0)) @ self.weights + changed @ self.linear
        return dict(zip(FORM, (values[-1] - values[:-1]).tolist(), strict=True))

    def save(self, path: Path) -> None:
        """Write the ranker to `path`, whole or not at all."""
        with atomic_write(path) as file:
            np.savez_compressed(file, **{each.name: getattr(self, each.name) for each in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; raises OSError, ValueError or KeyError for anything else."""
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            values = {each.name: data[each.name] for each in fields(cls)}
        ranker = cls(**values | {name: float(values[name]) for name in ("mean", "shipped_effect", "topic_scale")})
        count = len(ranker.weights)
        if ranker.forms.shape != (count, len(FORM)) or len(ranker.topics) != count or len(ranker.linear) != len(FORM):
            raise ValueError("its parts do not fit together")
        return ranker

    def _smooth(self, texts: Sequence[Features]) -> np.ndarray:
        forms, topics = self._form([each.form for each in texts]), self._topic([each.topic for each in texts])
        found: np.ndarray = self._kernel(forms, topics) @ self.weights + forms @ self.linear
        return found

    def _kernel(self, forms: np.ndarray, topics: np.ndarray) -> np.ndarray:
        topic, form = _gaussian(topics, self.topics), _gaussian(forms, self.forms)
        found: np.ndarray = self.smooth[0] * topic + self.smooth[1] * form + self.smooth[2] * topic * form
        return found

    def _form(self, forms: Sequence[np.ndarray]) -> np.ndarray:
        """Return forms in standard deviations, clipped at 3; what is not known counts as average."""
        scaled = np.clip((np.stack(forms) - self.centre) / self.spread, -3, 3)
        found: np.ndarray = (np.nan_to_num(scaled) * FIGURES).astype(np.float32)
        return found

    def _topic(self, topics: Sequence[np.ndarray]) -> np.ndarray:
        found: np.ndarray = ((np.stack(topics) - self.topic_mean) / self.topic_scale).astype(np.float32)
        return found


def fit(texts: Sequence[Features], observations: Sequence[Observation], shipped: np.ndarray | None = None) -> Ranker:
    """Return the ranker that `observations` of `texts` make; deterministic, O(n³) in their number.

    With `shipped`, float64 (texts), the shipped scores, it is an owner's departure from them.
    """
    assert observations
    terms, idf, term_values = _tfidf(texts)
    forms = np.stack([each.form for each in texts])
    known = np.maximum((~np.isnan(forms)).sum(axis=0), 1)
    centre = np.nansum(forms, axis=0) / known
    spread = np.sqrt(np.nansum((forms - centre) ** 2, axis=0) / known) + 1e-6
    topics = np.stack([each.topic for each in texts])
    topic_mean = topics.mean(axis=0)
    topic_scale = float(np.sqrt(((topics - topic_mean) ** 2).mean())) + 1e-6
    blank = np.zeros(0, np.float32)
    frame = Ranker(
        0.0, 0.0, terms, idf, blank, blank, centre, spread, blank, topic_mean, topic_scale, blank, blank, blank, blank
    )
    forms, topics = frame._form(list(forms)), frame._topic(list(topics))
    meanings = _meanings(texts)

    marks = np.array([each.mark for each in observations])
    absolute = np.array([each.worse is None for each in observations])
    mean = float(marks[absolute].mean()) if absolute.any() else 1.5
    better = np.array([each.index for each in observations])
    worse = np.array([each.index if each.worse is None else each.worse for each in observations])
    if shipped is None:
        target, variances, noise = marks - mean * absolute, dict(SHIPPED), sum(SHIPPED.values())
        centred = np.zeros(len(texts))
    else:
        mean -= float(shipped.mean())
        centred = shipped - shipped.mean()
        expected = mean + shipped
        target = marks - np.where(absolute, expected[better], expected[better] - expected[worse])
        variances, noise = dict(OWN), OWN_NOISE

    def component(name: str, at: np.ndarray) -> np.ndarray:
        """Return one component of the kernel between the texts `at`; float (texts, texts)."""
        found: np.ndarray
        if name in ("terms", "meanings"):
            found = _product(term_values if name == "terms" else meanings, at, len(texts))
        elif name.startswith("form ") or name in ("constant", "shipped"):
            number = name.removeprefix("form ")
            effect = forms[at, int(number)] if number.isdigit() else centred[at] if number == "shipped" else at * 0 + 1
            found = np.outer(effect, effect)
        else:
            found = np.ones((len(at), len(at)), np.float32)
            if "topic" in name:
                found *= _gaussian(topics[at], topics[at])
            if "form" in name:
                found *= _gaussian(forms[at], forms[at])
        return found

    def observed(kernel: np.ndarray, first: np.ndarray, second: np.ndarray, single: np.ndarray) -> np.ndarray:
        """Return the covariance of what was observed, from that of the texts."""
        if single.all():
            return kernel if np.array_equal(first, np.arange(len(kernel))) else kernel[np.ix_(first, first)]
        seen = kernel[first] - np.where(single[:, None], 0, kernel[second])
        found: np.ndarray = seen[:, first] - np.where(single, 0, seen[:, second])
        return found

    if shipped is not None:
        recent = slice(max(len(marks) - ESTIMATED_FROM, 0), None)
        at, inverse = np.unique(np.concatenate([better[recent], worse[recent]]), return_inverse=True)
        first, second = np.split(inverse, 2)
        parts = [observed(component(name, at), first, second, absolute[recent]) for name in variances]
        variances, noise = _estimate(dict(zip(variances, parts, strict=True)), target[recent], variances, noise)

    every = np.arange(len(texts))
    effects = np.array([variances.get(f"form {number}", 0.0) for number in range(len(FORM))], np.float32)
    kernel: np.ndarray = (forms * effects) @ forms.T
    for name, variance in variances.items():
        if not name.startswith("form "):
            kernel += np.float32(variance) * component(name, every).astype(np.float32)
    seen = observed(kernel, better, worse, absolute)
    seen[np.diag_indices(len(seen))] += np.float32(noise)
    solved = np.linalg.solve(seen, target.astype(np.float32)).astype(np.float64)
    weights = np.zeros(len(texts))
    np.add.at(weights, better, solved)
    np.add.at(weights, worse[~absolute], -solved[~absolute])
    shipped_effect = variances.get("shipped", 0.0) * float(centred @ weights)
    if shipped is not None:
        mean += variances["constant"] * float(weights.sum()) - shipped_effect * float(shipped.mean())
    return Ranker(
        mean=mean,
        shipped_effect=shipped_effect,
        term_hashes=terms,
        term_idf=idf,
        term_weights=_weights(term_values, weights, len(terms)) * np.float32(variances["terms"]),
        meaning_weights=_weights(meanings, weights, VECTORS) * np.float32(variances.get("meanings", 0.0)),
        centre=centre,
        spread=spread,
        forms=forms,
        topic_mean=topic_mean,
        topic_scale=topic_scale,
        topics=topics,
        weights=weights,
        smooth=np.array([variances[name] for name in ("topic", "form", "topic and form")]),
        linear=effects * (forms.T @ weights),
    )


def _estimate(
    parts: Mapping[str, np.ndarray], target: np.ndarray, variances: Mapping[str, float], noise: float
) -> tuple[dict[str, float], float]:
    """Return variances and noise after UPDATES steps towards the most likely ones."""
    found = dict(variances)
    for _ in range(UPDATES):
        total = sum(found[name] * part for name, part in parts.items()) + noise * np.eye(len(target))
        inverse = np.linalg.inv(total)
        solved = inverse @ target
        for name, part in parts.items():
            gain = max(float(solved @ part @ solved), 1e-12) / (float((inverse * part).sum()) + 1e-12)
            found[name] *= gain**0.5
        noise = max(noise * float(solved @ solved / np.trace(inverse)) ** 0.5, 0.05)
    return found, noise


def _tfidf(texts: Sequence[Features]) -> tuple[np.ndarray, np.ndarray, Sparse]:
    """Return the hashes of the terms that two texts or more hold, ascending, their idf, and the texts in these."""
    holders = Counter(term for each in texts for term in each.terms)
    terms = np.array(sorted(term for term, count in holders.items() if count > 1), np.uint32)
    idf = np.log((1 + len(texts)) / (1 + np.array([holders[int(term)] for term in terms], np.float32))) + 1
    number = {int(term): at for at, term in enumerate(terms)}
    entries = [
        (row, number[term], (1 + np.log(count)) * idf[number[term]])
        for row, each in enumerate(texts)
        for term, count in each.terms.items()
        if term in number
    ]
    return terms, idf.astype(np.float32), _unit(entries, len(texts))


def _meanings(texts: Sequence[Features]) -> Sparse:
    """Return the texts as the rows of the lexicon that their words are near to."""
    entries: list[tuple[int, int, float]] = []
    for row, each in enumerate(texts):
        for rows, values in each.meanings.values():
            entries += zip([row] * len(rows), rows.tolist(), values.tolist(), strict=True)
    return _unit(entries, 0)


def _unit(entries: Sequence[tuple[int, int, float]], texts: int) -> Sparse:
    """Return a sparse matrix; with `texts`, the number of its rows, these are scaled to unit length."""
    rows, columns = (np.array([each[at] for each in entries], np.int64) for at in (0, 1))
    values = np.array([each[2] for each in entries], np.float64)
    if texts:
        values /= (np.sqrt(np.bincount(rows, weights=values**2, minlength=texts)) + 1e-9)[rows]
    return Sparse(rows, columns, values.astype(np.float32))


def _product(matrix: Sparse, at: np.ndarray, texts: int) -> np.ndarray:
    """Return matrix @ matrix.T between its rows `at`, float32 (at, at), one column of the matrix at a time."""
    place = np.full(texts, -1)
    place[at] = np.arange(len(at))
    rows = place[matrix.rows]
    entries = np.flatnonzero(rows >= 0)
    entries = entries[np.lexsort((rows[entries], matrix.columns[entries]))]
    rows, columns, values = rows[entries], matrix.columns[entries], matrix.values[entries]
    first = np.flatnonzero(np.diff(rows, prepend=-1) | np.diff(columns, prepend=-1))  # a text may come twice
    values = np.add.reduceat(values, first) if len(first) else values
    rows, columns = rows[first], columns[first]
    found = np.zeros((len(at), len(at)), np.float32)
    ends = np.flatnonzero(np.diff(columns, prepend=-1, append=-1))
    for begin, end in pairwise(ends):
        found[np.ix_(rows[begin:end], rows[begin:end])] += np.outer(values[begin:end], values[begin:end])
    return found


def _weights(matrix: Sparse, weights: np.ndarray, columns: int) -> np.ndarray:
    """Return matrix.T @ weights; float32 (columns)."""
    products = matrix.values * weights[matrix.rows]
    return np.bincount(matrix.columns, weights=products, minlength=columns).astype(np.float32)


def _gaussian(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    distance = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2 * one @ other.T
    found: np.ndarray = np.exp(np.maximum(distance, 0) / (-2 * WIDTH**2 * one.shape[1]))
    return found
