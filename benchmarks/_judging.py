"""Areas, recalls and reliability with intervals over sources: pictures of one source succeed and fail together."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
RESAMPLES = 400
EDGES = (0.0, 0.1, 0.25, 0.4, 0.6, 0.75, 0.9, 1.0)


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A figure with its 5th and 95th percentile over resampled groups."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.2f}, {self.high:.2f}]"


def auc(positive: Flags, scores: Floats) -> float:
    """Area under the ROC curve, ties counted half; NaN without both kinds."""
    ups, downs = int(positive.sum()), int((~positive).sum())
    if not ups or not downs:
        return float("nan")
    _, rank, counts = np.unique(scores, return_inverse=True, return_counts=True)
    # Mean rank of equals, from 1.
    mean = (np.cumsum(counts) - (counts - 1) / 2)[rank]
    return float((mean[positive].sum() - ups * (ups + 1) / 2) / (ups * downs))


def recall_at(positive: Flags, scores: Floats, false_share: float) -> float:
    """Share of positives above the score that so many of the negatives exceed."""
    if not positive.any() or positive.all():
        return float("nan")
    return float((scores[positive] > np.quantile(scores[~positive], 1 - false_share)).mean())


def within(positive: Flags, scores: Floats, folds: NDArray[np.int64]) -> float:
    """Mean of the areas inside folds, by their positives: scores of one fold come of one model, as in use."""
    found: list[tuple[float, int]] = []
    for fold in np.unique(folds):
        inside = folds == fold
        area = auc(positive[inside], scores[inside])
        if np.isfinite(area):
            found.append((area, int(positive[inside].sum())))
    areas, sizes = zip(*found, strict=True) if found else ((np.nan,), (1,))
    return float(np.average(areas, weights=sizes))


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """How a score ranks visible damage against clean."""

    n: int
    clean: int
    area: Interval
    recall_10: Interval
    recall_18: Interval


def ranking(positive: Flags, scores: Floats, groups: NDArray[np.str_], *, seed: int = 0) -> Ranking:
    """With intervals over resampled groups."""
    rng = np.random.default_rng(seed)
    names = np.unique(groups)
    rows = [np.flatnonzero(groups == name) for name in names]
    found: list[tuple[float, float, float]] = []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([rows[k] for k in rng.integers(0, len(names), len(names))])
        flags = positive[drawn]
        if flags.any() and not flags.all():
            found.append(_figures(flags, scores[drawn]))
    whole = _figures(positive, scores)
    low, high = np.nanquantile(np.array(found), [0.05, 0.95], axis=0)
    area, ten, eighteen = (
        Interval(value=v, low=float(lo), high=float(hi))
        for v, lo, hi in zip(whole, low, high, strict=True)
    )
    return Ranking(
        n=int(positive.sum()),
        clean=int((~positive).sum()),
        area=area,
        recall_10=ten,
        recall_18=eighteen,
    )


def _figures(positive: Flags, scores: Floats) -> tuple[float, float, float]:
    return (
        auc(positive, scores),
        recall_at(positive, scores, 0.1),
        recall_at(positive, scores, 0.18),
    )


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Pictures of which about the same was said."""

    n: int
    said: float
    seen: float
    low: float
    high: float
    """95 % interval of the share (Wilson)."""

    @property
    def off(self) -> float:
        """How far the interval is from what was said."""
        return max(0.0, self.low - self.said, self.said - self.high)


def reliability(positive: Flags, probability: Floats) -> list[Bin]:
    """By bins of the probability; empty ones are left out."""
    found: list[Bin] = []
    for low, high in pairwise(EDGES):
        inside = (probability >= low) & ((probability < high) | (high == 1.0))
        if inside.any():
            n, seen = int(inside.sum()), float(positive[inside].mean())
            bottom, top = wilson(seen, n)
            said = float(probability[inside].mean())
            found.append(Bin(n=n, said=said, seen=seen, low=bottom, high=top))
    return found


def wilson(share: float, n: int, *, z: float = 1.96) -> tuple[float, float]:
    """Interval of a share (Wilson 1927)."""
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return float(middle - half), float(middle + half)
