"""Percentile intervals of a mean by the bootstrap (Efron 1979), over units or over clusters of units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean with its 95 % interval; NaN where there is nothing to draw from."""

    mean: float
    low: float
    high: float

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
