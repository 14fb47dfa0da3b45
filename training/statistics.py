"""What may be said of a mean or a difference: intervals, Holm's correction, Pareto front, correlation, gate.

Everything is paired over images: the same image under two methods. The paper gives means only; a mean over 93 images
moves by more than some of its deltas when other images are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.errors import Expected

Reals = NDArray[np.float64]
DRAWS = 10_000
FEWEST = 10
"""Below so many images a bootstrap interval is too narrow to be believed, and nothing is called resolved."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean with its bootstrap percentile interval; NaN where there is nothing to draw from."""

    mean: float
    low: float
    high: float
    p: float = np.nan
    """Two-sided: twice the share of bootstrap means on the other side of zero, at least 2 / (draws + 1); NaN where
    nothing was tested."""
    count: int = 0
    """Units drawn from: images, or clusters of them where some belong together."""

    def __str__(self) -> str:
        return f"{self.mean:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


def interval(
    values: NDArray[np.float64] | NDArray[np.float32],
    *,
    clusters: NDArray[np.int64] | None = None,
    draws: int = 2_000,
    seed: int = 0,
) -> Interval:
    """Of the mean of `values` [N]; NaN are left out.

    With `clusters` [N] whole clusters are drawn, so that patches of one photograph do not pass for independent ones.
    """
    kept = np.isfinite(values)
    values = np.asarray(values, np.float64)[kept]
    if len(values) == 0:
        return Interval(mean=np.nan, low=np.nan, high=np.nan)
    clusters = None if clusters is None else clusters[kept]
    means = resampled_means(values, clusters=clusters, draws=draws, seed=seed)
    low, high = np.percentile(means, (2.5, 97.5))
    return Interval(mean=float(values.mean()), low=float(low), high=float(high))


def resampled_means(
    values: NDArray[np.float64],
    *,
    clusters: NDArray[np.int64] | None = None,
    draws: int = 2_000,
    seed: int = 0,
) -> NDArray[np.float64]:
    """[draws] means of `values` [N], all finite, under as many draws of units, or of whole clusters."""
    labels = np.arange(len(values)) if clusters is None else clusters
    _, place = np.unique(labels, return_inverse=True)
    sums, sizes = np.bincount(place, weights=values), np.bincount(place).astype(np.float64)
    chosen = np.random.default_rng(seed).integers(0, len(sums), (draws, len(sums)))
    return sums[chosen].sum(1) / sizes[chosen].sum(1)


def paired_bootstrap(
    differences: Reals,
    *,
    clusters: Sequence[str] | None = None,
    seed: int = 0,
    draws: int = DRAWS,
    level: float = 0.95,
) -> Interval:
    """Interval of the mean of per-image differences [N] (Efron and Tibshirani 1993, percentile method).

    With `clusters` [N] whole clusters are drawn: crops of one photograph are no independent images.

    Raises:
        ValueError: no differences, or one that is not finite.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError(f"Expected finite differences [N], N > 0, got shape {values.shape}.")
    places = None if clusters is None else np.unique(list(clusters), return_inverse=True)[1]
    means = resampled_means(values, clusters=places, draws=draws, seed=seed)
    edge = (1 - level) / 2
    low, high = np.quantile(means, [edge, 1 - edge])
    tail = min(int((means <= 0).sum()), int((means >= 0).sum()))
    p = min(1.0, 2 * (tail + 1) / (draws + 1))
    return Interval(
        mean=float(values.mean()),
        low=float(low),
        high=float(high),
        p=p if values.any() else 1.0,
        count=len(values) if clusters is None else len(set(clusters)),
    )


def holm(p_values: Sequence[float], *, level: float = 0.05) -> list[bool]:
    """Which hypotheses are rejected together at `level` (Holm 1979): ten metrics are ten chances to be lucky."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    rejected = [False] * len(p_values)
    for place, index in enumerate(order):
        if p_values[index] > level / (len(p_values) - place):
            break
        rejected[index] = True
    return rejected


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points that no other beats: higher is better on both axes, equal points stay together."""
    return [
        i
        for i, (x, y) in enumerate(points)
        if not any(
            (a >= x and b >= y) and (a > x or b > y) for j, (a, b) in enumerate(points) if j != i
        )
    ]


def rank_correlation(scores: Mapping[str, Reals]) -> tuple[list[str], Reals, NDArray[np.int64]]:
    """Spearman's rho between metrics: names, [M,M] rho, [M,M] number of images that both have.

    `scores` holds a value per image (the same order for all, NaN where there is none), oriented so that higher is
    better. NaN where fewer than three images are shared or one metric is constant on them.
    """
    stats: Any = _scipy_stats()
    names = list(scores)
    size = len(names)
    rho, shared = np.full((size, size), np.nan), np.zeros((size, size), dtype=np.int64)
    for i in range(size):
        for j in range(i, size):
            a, b = scores[names[i]], scores[names[j]]
            both = np.isfinite(a) & np.isfinite(b)
            shared[i, j] = shared[j, i] = int(both.sum())
            if shared[i, j] < 3 or np.ptp(a[both]) == 0 or np.ptp(b[both]) == 0:
                continue
            rho[i, j] = rho[j, i] = float(stats.spearmanr(a[both], b[both]).statistic)
    return names, rho, shared


def _scipy_stats() -> Any:
    from scipy import stats

    return stats


class Regressed(Expected, RuntimeError):
    """The gate: a tracked metric fell by more than its interval since an earlier run; the message names each."""


@dataclass(frozen=True, kw_only=True)
class Regression:
    """A tracked metric that fell by more than chance explains."""

    benchmark: str
    method: str
    metric: str
    drop: Interval
    """Of new minus old, oriented so that higher is better; its upper end is below zero."""

    def __str__(self) -> str:
        return (
            f"{self.benchmark}, {self.method}: {self.metric} is worse by {-self.drop.mean:.4f} "
            f"(95 % interval {-self.drop.high:.4f} to {-self.drop.low:.4f}, {self.drop.count} images)"
        )


Key = tuple[str, str, str]
"""Benchmark, method, metric."""


def regressions(
    old: Mapping[Key, Mapping[str, float]],
    new: Mapping[Key, Mapping[str, float]],
    *,
    lower_better: Mapping[str, bool],
) -> list[Regression]:
    """What fell from `old` to `new` by more than its interval; values by image, compared on the images of both."""
    found: list[Regression] = []
    for key in sorted(set(old) & set(new)):
        images = sorted(set(old[key]) & set(new[key]))
        if not images:
            continue
        sign = -1.0 if lower_better[key[2]] else 1.0
        change = np.array([sign * (new[key][name] - old[key][name]) for name in images])
        interval = paired_bootstrap(change)
        if interval.high < 0:
            benchmark, method, metric = key
            found.append(
                Regression(benchmark=benchmark, method=method, metric=metric, drop=interval)
            )
    return found
