"""Trains the additive classifier on measured examples, and sets the points of its severity curves.

Two scores per label. Whether: log-odds of a logistic regression, moderate and stronger against everything else. How
much: ordinal, a score that has to exceed one step more for every higher amount (the all-threshold logistic loss of
Rennie and Srebro, 2005). The first alone is level or falls again at strong amounts, the second alone separates worse.

Only photographs of the training half are looked at. How much the weights are held back is chosen for each label by
cross-validation over photographs; the scores from which the curves' points are read are those that each photograph got
from weights that had not seen it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filters.degradation import LABELS
from filters.degradation.classifier import Points, Term, amount_of
from filters.degradation.kinds import KINDS, LEVELS

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

KNOTS = 11
FOLDS = 5
STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0)
"""Inverse of the penalty on squared weights: those that are tried."""
WEIGHTS = {"whole": 1.0, "sharp": 1.0, "flat": 1.0, "small": 0.5, "tiny": 0.25}
"""How much an image of each view counts: what measures see in little of a photograph is mostly chance."""
AMOUNT_STRENGTH = 0.3
FREE = 10.0
"""Scale of the steps' own features, so that the penalty hardly touches them."""
MOST_FALSE = 0.03
"""Share of clean photographs of the training half that may bear a label."""

_KINDS = {kind.name: kind for kind in KINDS}


@dataclass(frozen=True, kw_only=True)
class Examples:
    """The table of measured examples as arrays."""

    photo: NDArray[Any]
    view: NDArray[Any]
    kind: NDArray[Any]
    way: NDArray[Any]
    level: NDArray[np.int64]
    measures: Mapping[str, Floats]

    def where(self, rows: Flags) -> Examples:
        """Only these rows."""
        return Examples(
            photo=self.photo[rows],
            view=self.view[rows],
            kind=self.kind[rows],
            way=self.way[rows],
            level=self.level[rows],
            measures={name: values[rows] for name, values in self.measures.items()},
        )

    @property
    def held_out(self) -> Flags:
        """By the photograph's name alone: about half of them."""
        half = {p: hashlib.sha256(str(p).encode()).digest()[0] % 2 == 0 for p in set(self.photo)}
        return np.array([half[p] for p in self.photo])


def examples_of(table: pa.Table) -> Examples:
    """The table of `pipelines.studies.calibrate.measured_examples` as arrays; nulls become NaN."""
    about = ("photo", "view", "kind", "way")
    named: dict[str, Any] = {name: np.array(table.column(name).to_pylist()) for name in about}
    skip = {*about, "level", "turn"}
    return Examples(
        **named,
        level=table.column("level").to_numpy(),
        measures={
            name: np.array(table.column(name).cast(pa.float64()).to_numpy(), dtype=np.float64)
            for name in table.column_names
            if name not in skip
        },
    )


def truth(examples: Examples, label: str) -> Floats:
    """1 where the label is borne from moderate on, 0.5 where mildly, 0 where not, NaN where that is unclear."""
    found = np.zeros(len(examples.kind))
    for name, kind in _KINDS.items():
        rows = examples.kind == name
        if label in kind.labels:
            found[rows] = np.where(examples.level[rows] >= 2, 1.0, 0.5)
        elif label in kind.unclear:
            found[rows] = np.nan
    # Nothing is known of how sharp or how bright a drawing is.
    found[examples.kind == "graphics"] = {"graphics": 1.0, "noise": 0.0, "motion_blur": 0.0}.get(
        label, np.nan
    )
    return found


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What training gives."""

    bias: dict[str, float]
    terms: tuple[Term, ...]
    points: dict[str, Points]
    strengths: dict[str, float]
    """The penalty chosen for each label."""


def fit(
    examples: Examples,
    versions: Mapping[str, str],
    *,
    advance: Callable[[int], None] = lambda n: None,
) -> Fit:
    """Trains two scores per label: whether, and how much.

    Args:
        examples: of the training half.
        versions: `name@version` of each measure by its name.
        advance: called with 1 after each label.
    """
    knots = {name: _knots(values, examples) for name, values in examples.measures.items()}
    basis = np.concatenate([_basis(examples.measures[n], k) for n, k in knots.items()], axis=1)
    counts = np.array([WEIGHTS[view] for view in examples.view])
    weights: dict[str, Floats] = {}
    bias: dict[str, float] = {}
    points: dict[str, Points] = {}
    strengths: dict[str, float] = {}
    for label in LABELS:
        wanted = truth(examples, label)
        steps = _steps(examples, wanted, label)
        strengths[label], unseen = _chosen(basis, wanted, counts, examples)
        weights[label], bias[label] = _logistic(basis, wanted, counts, strengths[label])
        amount = amount_of(label)
        weights[amount], bias[amount] = _ordinal(basis, steps, counts)
        points[label] = _points(unseen, basis @ weights[amount] + bias[amount], steps, examples)
        advance(1)
    terms: list[Term] = []
    at = 0
    for name, where in knots.items():
        end = at + len(where)
        terms.append(
            Term(
                measure=versions[name],
                knots=tuple(where.tolist()),
                scores={score: tuple(w[at:end].tolist()) for score, w in weights.items()},
                missing={score: float(w[end]) for score, w in weights.items()},
            )
        )
        at = end + 1
    return Fit(bias=bias, terms=tuple(terms), points=points, strengths=strengths)


def _knots(values: Floats, examples: Examples) -> Floats:
    """Quantiles of the values, each kind and level counted alike."""
    groups = [f"{k}{v}" for k, v in zip(examples.kind, examples.level, strict=True)]
    _, which, count = np.unique(groups, return_inverse=True, return_counts=True)
    known = ~np.isnan(values)
    order = np.argsort(values[known], kind="stable")
    weight = (1.0 / count[which])[known][order]
    share = (np.cumsum(weight) - weight / 2) / weight.sum()
    knots = np.unique(
        np.interp(np.linspace(0.005, 0.995, KNOTS), share, values[known][order]).round(6)
    )
    return knots if len(knots) > 1 else np.array([knots[0], knots[0] + 1e-6])


def _basis(values: Floats, knots: Floats) -> Floats:
    """[n, knots + 1]: hat functions of the value, and whether it is null."""
    null = np.isnan(values)
    inside = np.clip(np.where(null, knots[0], values), knots[0], knots[-1])
    hats = [np.where(null, 0.0, np.interp(inside, knots, row)) for row in np.eye(len(knots))]
    return np.stack([*hats, null.astype(np.float64)], axis=1)


def _steps(examples: Examples, wanted: Floats, label: str) -> NDArray[np.int64]:
    """[n]: level of the label, 0 where it is not borne, -1 where that is unclear."""
    if label == "graphics":
        # How a drawing was saved is no amount.
        return np.where(np.isnan(wanted), -1, np.where(wanted > 0, len(LEVELS), 0))
    return np.where(np.isnan(wanted), -1, np.where(wanted > 0, examples.level, 0))


def _logistic(
    basis: Floats, wanted: Floats, counts: Floats, strength: float
) -> tuple[Floats, float]:
    """Weights and bias of the log-odds that the label is borne, as many damaged as undamaged."""
    from sklearn.linear_model import LogisticRegression

    model: Any = LogisticRegression(C=strength, max_iter=3000)
    rows = (wanted == 0) | (wanted == 1)
    positive = wanted[rows] == 1
    model.fit(basis[rows], positive, sample_weight=_balanced(positive, counts[rows]))
    return model.coef_[0], float(model.intercept_[0])


def _ordinal(basis: Floats, steps: NDArray[np.int64], counts: Floats) -> tuple[Floats, float]:
    """Weights and bias of a score that exceeds one step more for each higher amount; zero is the step to moderate."""
    from sklearn.linear_model import LogisticRegression

    known = steps >= 0
    features, level = basis[known], steps[known]
    marks = FREE * np.eye(len(LEVELS))
    rows = [np.hstack([features, np.tile(mark, (len(level), 1))]) for mark in marks]
    above = np.concatenate([level >= step for step in range(1, len(LEVELS) + 1)])
    model: Any = LogisticRegression(C=AMOUNT_STRENGTH, max_iter=500, fit_intercept=False)
    weight = np.tile(_balanced(level > 0, counts[known]), len(LEVELS))
    model.fit(np.vstack(rows), above, sample_weight=weight)
    weights = model.coef_[0]
    return weights[: basis.shape[1]], float(FREE * weights[basis.shape[1] + 1])


def _balanced(positive: Flags, counts: Floats) -> Floats:
    """Weights that make the ones count as much as the others."""
    ups, downs = counts[positive].sum(), counts[~positive].sum()
    return counts * np.where(positive, 0.5 / ups, 0.5 / downs) * len(positive)


def _chosen(
    basis: Floats, wanted: Floats, counts: Floats, examples: Examples
) -> tuple[float, Floats]:
    """The penalty with the best AUC over photographs that the weights had not seen, and the scores of these."""
    from sklearn.metrics import roc_auc_score

    fold = np.array([hashlib.sha256(str(p).encode()).digest()[1] % FOLDS for p in examples.photo])
    rows = ((wanted == 0) | (wanted == 1)) & np.isin(examples.view, ["whole", "sharp"])
    best: tuple[float, float, Floats] | None = None
    for strength in STRENGTHS:
        scores = np.zeros(len(wanted))
        for one in range(FOLDS):
            others = fold != one
            weights, bias = _logistic(basis[others], wanted[others], counts[others], strength)
            scores[fold == one] = basis[fold == one] @ weights + bias
        auc = float(roc_auc_score(wanted[rows] == 1, scores[rows]))
        if best is None or auc > best[0] + 1e-4:
            best = (auc, strength, scores)
    assert best is not None
    return best[1], best[2]


def _points(
    scores: Floats, amounts: Floats, steps: NDArray[np.int64], examples: Examples
) -> Points:
    """Where a label begins, and which amounts mean mild, moderate and severe.

    It begins half-way between the medians of mildly and of moderately damaged photographs, or lower, where nine tenths
    of the moderate ones bear it; further up, where more than MOST_FALSE of the clean ones would bear it.
    """
    usable = np.isin(examples.view, ["whole", "sharp"])
    clean = (examples.kind == "clean") & usable
    fewest = float(np.quantile(scores[clean], 1.0 - MOST_FALSE))
    medians = [
        float(np.median(amounts[usable & (steps == n)])) for n in (1, 2, 4) if (steps == n).any()
    ]
    if len(medians) == 1:
        # A drawing is one or is not.
        begins = (fewest + max(fewest, float(np.quantile(scores[steps > 0], 0.02)))) / 2
        typical = float(np.median(amounts[clean]))
        third = (medians[0] - typical) / 3
        return Points(
            begins=begins, mild=typical + third, moderate=typical + 2 * third, severe=medians[0]
        )
    mild, moderate = (scores[usable & (steps == n)] for n in (1, 2))
    middle = (float(np.median(mild)) + float(np.median(moderate))) / 2
    begins = max(min(middle, float(np.quantile(moderate, 0.1))), fewest)
    return Points(begins=begins, mild=medians[0], moderate=medians[1], severe=medians[2])
