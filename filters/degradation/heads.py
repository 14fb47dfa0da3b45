"""Fits the heads of degradation-4: log-odds that a person sees a label, from real and synthetic pictures together.

A head is an L2-penalised logistic regression: over hat functions of the measures (the additive model of classifier.py),
or over the early features of an encoder. Real pictures make up half of the weight; within them a source counts by the
root of its size, so that no one source decides. What a head says of pictures whose sources it has not seen calibrates
it: standardized, then a logistic regression of two numbers, folded into the weights, so that a score is a log-odds that
holds at a stated prevalence.

Sources that share pictures are one group and are left out together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filters.degradation import LABELS

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

OVERALL = "degraded"
"""The head for any visible damage."""
HEADS = (*LABELS, OVERALL)
KNOTS = 11
STRENGTH = 0.03
"""Inverse of the penalty on squared weights of an additive head."""
EARLY_STRENGTH = 0.003
"""The same of a head on early features."""
EARLY_MOST = 4.0
"""Standard deviations from the mean at which early features are cut off."""
REAL_SHARE = 0.5
"""Of the weight that real pictures have together."""
STEADY = {"overexposed": 1.0, "graphics": 0.1, OVERALL: 1.0}
"""How much it counts, by head, that it says something else of a picture that was saved again: half the mean square of
the difference beside the mean loss. The other heads tell less well for it (docs/LOG.md)."""
SLOPE = 2.0
"""Log-odds for a standard deviation of a score, of which calibration knows before it sees any picture."""
PULL = 0.1
"""How strongly the slope is drawn there: weight of its squared distance beside a mean logistic loss."""
LEAST_SLOPE = 0.2
"""A calibrated score never turns round."""
NEWTON_STEPS = 40
PREVALENCE = {
    "blur": 0.15,
    "motion_blur": 0.03,
    "noise": 0.1,
    "jpeg": 0.05,
    "low_light": 0.1,
    "overexposed": 0.04,
    "upscaled": 0.05,
    "graphics": 0.1,
    OVERALL: 0.45,
}
"""Share of pictures with each at which probabilities hold: about that of the pictures that were labelled by eye. Where
fewer are degraded, fewer bear a label than its probability says."""
FOLDS = 8


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """What is learnt from, and judged on: n pictures, synthetic ones among them."""

    names: NDArray[Any]
    """[n]: file, with what was made of it."""
    groups: NDArray[Any]
    """[n]: sources that are left out together."""
    kinds: NDArray[Any]
    """[n]: eye_class of a real one, kind of damage of a synthetic one."""
    real: Flags
    """[n]: as somebody published it."""
    stored: Flags
    """[n]: a real one, saved again."""
    counts: Floats
    """[n]: how much it counts among its kind."""
    truth: Floats
    """[n, heads]: 1 a person sees it, 0 not, NaN unclear."""
    measures: dict[str, Floats]
    """[n] each, NaN where null."""
    early: Floats
    """[n, features], or [n, 0] where none were taken."""

    def __len__(self) -> int:
        return len(self.names)


def folds_of(pictures: Pictures, *, folds: int = FOLDS, seed: int = 0) -> NDArray[np.int64]:
    """[n]: fold of each picture's group, -1 for groups without a real picture; degraded and clean spread evenly."""
    wanted = pictures.truth[:, HEADS.index(OVERALL)]
    judged = pictures.real & np.isfinite(wanted)
    names = np.unique(pictures.groups[judged])
    names = names[np.random.default_rng(seed).permutation(len(names))]
    sizes = {n: int((judged & (pictures.groups == n)).sum()) for n in names}
    filled = np.zeros((folds, 2))
    whole = np.array([max(1, int((judged & (wanted == v)).sum())) for v in (0, 1)])
    fold: dict[str, int] = {}
    # The largest group first, each into the fold that then fits best.
    for name in sorted(names, key=lambda n: -sizes[n]):
        of_group = judged & (pictures.groups == name)
        adds = np.array([(of_group & (wanted == v)).sum() for v in (0, 1)])
        costs = [
            float((((filled + np.eye(folds)[k][:, None] * adds) / whole) ** 2).sum())
            for k in range(folds)
        ]
        fold[str(name)] = int(np.argmin(costs))
        filled[fold[str(name)]] += adds
    return np.array([fold.get(str(name), -1) for name in pictures.groups])


def weights_of(pictures: Pictures, rows: NDArray[np.int64], wanted: Floats) -> Floats:
    """[rows]: real ones REAL_SHARE of the whole, ones and zeros alike, groups by the root of their size."""
    weight = pictures.counts[rows].copy()
    real = (pictures.real | pictures.stored)[rows]
    groups = np.array(
        [f"{g}|{v}" for g, v in zip(pictures.groups[rows], wanted, strict=True)], dtype=object
    )
    _, which = np.unique(groups.astype(str), return_inverse=True)
    sizes = np.bincount(which[real], weight[real], minlength=int(which.max()) + 1)
    weight[real] /= np.sqrt(sizes[which[real]])
    for part, share in ((real, REAL_SHARE), (~real, 1.0 - REAL_SHARE)):
        for value in (0.0, 1.0):
            chosen = part & (wanted == value)
            if chosen.any():
                weight[chosen] *= share / weight[chosen].sum()
    for value in (0.0, 1.0):
        chosen = wanted == value
        weight[chosen] *= 0.5 / weight[chosen].sum()
    return weight * len(rows)


def knots_of(values: Floats) -> Floats:
    """Quantiles, at least two and ascending."""
    known = values[np.isfinite(values)]
    if not len(known):
        return np.array([0.0, 1.0])
    knots = np.unique(np.quantile(known, np.linspace(0.005, 0.995, KNOTS)).round(6))
    return knots if len(knots) > 1 else np.array([knots[0], knots[0] + 1e-6])


def hats(values: Floats, knots: Floats) -> Floats:
    """[n, knots + 1]: hat functions of the value, and whether it is null."""
    null = np.isnan(values)
    inside = np.clip(np.where(null, knots[0], values), knots[0], knots[-1])
    found = [np.where(null, 0.0, np.interp(inside, knots, row)) for row in np.eye(len(knots))]
    return np.stack([*found, null.astype(np.float64)], axis=1)


@dataclass(frozen=True, kw_only=True)
class Head:
    """Weights over columns, and a bias: log-odds, once calibrated."""

    weights: Floats
    bias: float

    def score(self, columns: Floats) -> Floats:
        """[n]."""
        return columns @ self.weights + self.bias

    def scaled(self, slope: float, offset: float) -> Head:
        """slope * score + offset."""
        return Head(weights=self.weights * slope, bias=self.bias * slope + offset)


def logistic(
    columns: Floats, wanted: Floats, weight: Floats, strength: float, saves: Floats, steady: float
) -> Head:
    """Of 0 and 1.

    Args:
        saves: [m, c], what saving a picture again changed in its columns.
        steady: see STEADY.
    """
    from scipy.linalg import solve_triangular
    from sklearn.linear_model import LogisticRegression

    root: Any = None
    if steady and len(saves):
        # In columns multiplied by the inverse of a root, this penalty and the plain one together are a plain one.
        scale = steady * strength * float(weight.sum()) / len(saves)
        root = np.linalg.cholesky(np.eye(columns.shape[1]) + scale * saves.T @ saves)
        columns = solve_triangular(root, columns.T, lower=True).T
    model: Any = LogisticRegression(C=strength, max_iter=3000)
    model.fit(columns, wanted == 1, sample_weight=weight)
    weights: Floats = model.coef_[0]
    if root is not None:
        weights = solve_triangular(root.T, weights, lower=False)
    return Head(weights=weights, bias=float(model.intercept_[0]))


@dataclass(frozen=True, kw_only=True)
class Standard:
    """Early features less their mean, in standard deviations, cut off."""

    mean: Floats
    deviation: Floats

    def apply(self, features: Floats) -> Floats:
        """[n, features]."""
        scaled = (features - self.mean) / self.deviation
        return np.clip(scaled, -EARLY_MOST, EARLY_MOST)


def standard_of(features: Floats) -> Standard:
    """From what is learnt from."""
    return Standard(mean=features.mean(axis=0), deviation=features.std(axis=0) + 1e-6)


def fit_head(
    pictures: Pictures, columns: Floats, head: str, rows: Flags, strength: float
) -> Head | None:
    """A head on those rows whose truth is known; None where there are not both kinds.

    Args:
        columns: [n, c] of all pictures.
    """
    first, again = saves_of(pictures)
    both = rows[first] & rows[again]
    saves = columns[again[both]] - columns[first[both]]
    wanted = pictures.truth[:, HEADS.index(head)]
    chosen = np.flatnonzero(rows & np.isfinite(wanted))
    if len(np.unique(wanted[chosen])) < 2:
        return None
    weight = weights_of(pictures, chosen, wanted[chosen])
    steady = STEADY.get(head, 0.0)
    return logistic(columns[chosen], wanted[chosen], weight, strength, saves, steady)


def saves_of(pictures: Pictures) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of pictures that were saved again, and of what came of it, one below the other."""
    at = {str(name): i for i, name in enumerate(pictures.names)}
    again = np.flatnonzero(pictures.stored)
    first = [at[str(name).rsplit("#", 1)[0]] for name in pictures.names[again]]
    return np.array(first, dtype=np.int64), again


def standing_of(scores: Floats, groups: NDArray[Any]) -> tuple[float, float]:
    """Mean and deviation of scores of pictures that were not learnt from; a group counts by the root of its size."""
    _, which, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    weight = 1.0 / np.sqrt(sizes[which])
    mean = float(np.average(scores, weights=weight))
    spread = float(np.sqrt(np.average((scores - mean) ** 2, weights=weight)))
    return mean, spread or 1.0


def calibration_of(
    scores: Floats, wanted: Floats, groups: NDArray[Any], prevalence: float
) -> tuple[float, float]:
    """Slope and offset that make log-odds of scores of real pictures that were not learnt from.

    Ones weigh `prevalence` of the whole, whatever their share among the pictures: which groups are left out changes
    that share, and with it would change what is said of every picture. The slope is drawn to SLOPE. A group counts by
    the root of its size.

    Args:
        scores: [n] about standardized (standing_of).
        wanted: [n], 1 or 0.

    Returns:
        SLOPE and the prevalence's own log-odds if there are not both kinds.
    """
    slope, offset = SLOPE, float(np.log(prevalence / (1.0 - prevalence)))
    _, which, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    weight = 1.0 / np.sqrt(sizes[which])
    for value, share in ((1.0, prevalence), (0.0, 1.0 - prevalence)):
        chosen = wanted == value
        if not chosen.any():
            return slope, offset
        weight[chosen] *= share / weight[chosen].sum()
    columns = np.stack([scores, np.ones(len(scores))], axis=1)
    at = np.array([slope, offset])
    for _ in range(NEWTON_STEPS):
        said = 1.0 / (1.0 + np.exp(-np.clip(columns @ at, -60.0, 60.0)))
        downhill = columns.T @ (weight * (said - wanted))
        downhill[0] += 2.0 * PULL * (at[0] - SLOPE)
        bend = (columns * (weight * said * (1.0 - said))[:, None]).T @ columns
        bend[0, 0] += 2.0 * PULL
        step = np.linalg.solve(bend + 1e-9 * np.eye(2), downhill)
        at = at - step / max(1.0, float(np.abs(step).max()))
    return max(float(at[0]), LEAST_SLOPE), float(at[1])
