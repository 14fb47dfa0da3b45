"""From verdicts on a sample to figures about all: how right the labels and the filter are, with 95 % intervals.

A sample is drawn by strata, a few of each, so that rare labels are seen; each verdict then stands for as many pictures
as its stratum has for each one looked at. Shares are ratio estimates over strata with linearised variances (Cochran,
Sampling Techniques, 6.11), their intervals those of Korn and Graubard (1998): Clopper and Pearson on the effective
number of verdicts, which hold where a share is near 0 or 1 and a stratum has a handful.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

Flags = NDArray[np.bool_]
Reals = NDArray[np.float64]
Ints = NDArray[np.int64]

LEVEL = 0.95
LEAST = 2
"""Of each stratum at least so many are drawn, so that it has a spread."""
BANDS = (0.35, 0.65)
"""Severities between which bands of strata lie."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """An estimated share of a population."""

    name: str
    estimate: float | None
    """0 to 1; None: nothing was looked at that could tell."""
    low: float
    high: float
    verdicts: int
    """That speak of it."""

    def told(self) -> str:
        """`0.91 (0.85 to 0.96)`."""
        if self.estimate is None:
            return "not known"
        return f"{self.estimate:.2f} ({self.low:.2f} to {self.high:.2f})"


def strata(
    labels: Sequence[Sequence[str] | None], severity: Reals, keep: Flags, order: Sequence[str]
) -> list[str]:
    """Stratum of each picture: its first label by `order`, the band of its severity, and the filter's verdict."""
    names: list[str] = []
    for borne, level, kept in zip(labels, severity.tolist(), keep.tolist(), strict=True):
        label = next((name for name in order if name in (borne or ())), "none")
        band = "unknown" if not np.isfinite(level) else str(int(np.searchsorted(BANDS, level)))
        names.append(f"{label}/{band}/{'kept' if kept else 'dropped'}")
    return names


def draw(groups: Sequence[str], count: int, *, seed: int) -> Ints:
    """Positions of `count` pictures, some of every stratum, in an order that tells nothing; the same for one seed."""
    rng = np.random.default_rng(seed)
    names, which = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    sizes = np.bincount(which, minlength=len(names))
    wanted = _allocated(sizes, min(count, len(groups)))
    chosen = [
        rng.choice(np.flatnonzero(which == i), size=n, replace=False)
        for i, n in enumerate(wanted.tolist())
    ]
    return rng.permutation(np.concatenate([*chosen, np.empty(0, np.int64)]).astype(np.int64))


def _allocated(sizes: Ints, count: int) -> Ints:
    """LEAST of each stratum, the rest by the square root of its size: between fair to all labels and fair to all
    pictures."""
    wanted = np.minimum(sizes, LEAST)
    while wanted.sum() > count:
        wanted[int(np.argmax(wanted * (sizes.max() + 1) - sizes))] -= 1
    while wanted.sum() < count:
        # The next goes where one more makes the most difference.
        wanted[int(np.argmax(np.where(wanted < sizes, np.sqrt(sizes) / (wanted + 1), -1.0)))] += 1
    return wanted


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Verdicts on n pictures of a sample; [n] each."""

    group: NDArray[Any]
    """Stratum, as text."""
    sizes: Mapping[str, int]
    """Stratum -> pictures in it."""
    kept: Flags
    """By the filter."""
    keep: Flags
    """By people."""
    labels: Mapping[str, Flags]
    """Label -> whether it was measured."""
    seen: Mapping[str, Flags]
    """Label -> whether people saw it."""

    @property
    def weights(self) -> Reals:
        """[n]: pictures that each verdict stands for."""
        drawn = {name: int((self.group == name).sum()) for name in set(self.group.tolist())}
        return np.array([self.sizes[name] / drawn[name] for name in self.group.tolist()])


def shares(answers: Answers) -> list[Share]:
    """precision and recall of the filter, its false-keep rate, and precision and recall of each label."""
    kept, keep = answers.kept, answers.keep
    found = [
        share("filter precision", kept & keep, kept, answers),
        share("filter recall", kept & keep, keep, answers),
        share("false keeps", kept & ~keep, kept, answers),
    ]
    for name, measured in answers.labels.items():
        seen = answers.seen[name]
        found.append(share(f"{name} precision", measured & seen, measured, answers))
        found.append(share(f"{name} recall", measured & seen, seen, answers))
    return found


def share(name: str, part: Flags, whole: Flags, answers: Answers) -> Share:
    """Share of the pictures in `whole` that are in `part` ([n] each, part within whole), over the population."""
    weights = answers.weights
    total = float((weights * whole).sum())
    verdicts = int(whole.sum())
    if not verdicts:
        return Share(name=name, estimate=None, low=0.0, high=1.0, verdicts=0)
    estimate = float((weights * part).sum() / total)
    effective = _effective(estimate, part, whole, answers, total)
    low, high = korn_graubard(estimate, effective)
    return Share(name=name, estimate=estimate, low=low, high=high, verdicts=verdicts)


def _effective(estimate: float, part: Flags, whole: Flags, answers: Answers, total: float) -> float:
    """How many independent verdicts would tell as much."""
    verdicts = float(whole.sum())
    weights = answers.weights[whole]
    by_weights = float(weights.sum() ** 2 / (weights**2).sum())
    variance = 0.0
    residual = part.astype(float) - estimate * whole
    for name in set(answers.group.tolist()):
        here = answers.group == name
        n, size = int(here.sum()), answers.sizes[name]
        if n >= 2:
            spread = float(residual[here].var(ddof=1))
            variance += size**2 * (1.0 - n / size) * spread / n
        elif n < size:
            # One verdict has no spread: that of all stands for it.
            variance += size**2 * float(residual.var())
    variance /= total**2
    if variance <= 0.0:
        return by_weights
    # A spread out of a handful is a guess itself: never more verdicts than were given.
    return min(verdicts, estimate * (1.0 - estimate) / variance if 0 < estimate < 1 else by_weights)


def korn_graubard(estimate: float, effective: float) -> tuple[float, float]:
    """The interval of Clopper and Pearson for a share seen in `effective` verdicts, not a whole number."""
    n = max(effective, 1.0)
    hits, tail = n * estimate, (1.0 - LEVEL) / 2.0
    low = 0.0 if hits <= 0 else float(betaincinv(hits, n - hits + 1.0, tail))
    high = 1.0 if hits >= n else float(betaincinv(hits + 1.0, n - hits, 1.0 - tail))
    return low, high


def agreement(first: Sequence[str], second: Sequence[str]) -> float | None:
    """Cohen's kappa of two reviewers on the same things, by scikit-learn; None where they have one answer only."""
    from sklearn.metrics import cohen_kappa_score

    if not first or len({*first, *second}) < 2:
        return None
    return float(cohen_kappa_score(list(first), list(second)))


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """A bound of a rule, found on verdicts."""

    value: float
    agreement: float
    """With the verdicts it was found on, weighted."""
    held_out: float
    """Of thresholds found on the other folds, on verdicts that they had not seen."""
    before: float
    """Of the bound that the rule has now."""


def refit(
    values: Reals, keep: Flags, weights: Reals, now: float, *, lower: bool, folds: int = 5, seed: int = 0
) -> Threshold:  # fmt: skip
    """The bound on `values` [n] that agrees best with the verdicts.

    Args:
        lower: it is the lowest value that passes, else the highest.
    """
    rng = np.random.default_rng(seed)
    fold = rng.permutation(len(values)) % folds
    scored = np.zeros(len(values), dtype=bool)
    for one in range(folds):
        here = fold == one
        if here.all() or not here.any():
            continue
        bound = best_bound(values[~here], keep[~here], weights[~here], lower=lower)
        scored[here] = _passes(values[here], bound, lower=lower) == keep[here]
    value = best_bound(values, keep, weights, lower=lower)
    total = float(weights.sum())
    return Threshold(
        value=value,
        agreement=_agrees(values, keep, weights, value, lower=lower),
        held_out=float((weights * scored).sum() / total),
        before=_agrees(values, keep, weights, now, lower=lower),
    )


def best_bound(values: Reals, keep: Flags, weights: Reals, *, lower: bool) -> float:
    """Between which two values the bound agrees best, smoothed: of bounds that agree nearly as well, the middle one.

    A sharp maximum on 200 verdicts is luck; what is within half a standard error of it is as good.
    """
    order = np.argsort(values if lower else -values, kind="stable")
    seen, kept, weight = values[order], keep[order], weights[order]
    # Bound i drops the first i of the order.
    dropped_right = np.concatenate([[0.0], np.cumsum(weight * ~kept)])
    kept_right = np.concatenate([np.cumsum((weight * kept)[::-1])[::-1], [0.0]])
    agree = dropped_right + kept_right
    possible = np.concatenate([[True], seen[1:] != seen[:-1], [True]])
    agree = np.where(possible, agree, -np.inf)
    total = float(weight.sum())
    top = float(agree.max() / total)
    slack = 0.5 * np.sqrt(max(top * (1 - top), 0.0) / max(len(values), 1))
    good = np.flatnonzero(agree / total >= top - slack)
    best = int(np.argmax(agree))
    middle = min(good.tolist(), key=lambda i: (abs(i - float(np.median(good))), abs(i - best)))
    edge = 1e-9
    if middle == 0:
        return float(seen[0] - edge if lower else seen[0] + edge)
    if middle == len(seen):
        return float(seen[-1] + edge if lower else seen[-1] - edge)
    return float((seen[middle - 1] + seen[middle]) / 2)


def _passes(values: Reals, bound: float, *, lower: bool) -> Flags:
    return np.asarray(values >= bound if lower else values <= bound, dtype=bool)


def _agrees(values: Reals, keep: Flags, weights: Reals, bound: float, *, lower: bool) -> float:
    right = _passes(values, bound, lower=lower) == keep
    return float((weights * right).sum() / weights.sum())
