"""How well labels and severities do on photographs that nothing was trained on.

Areas under the ROC curve come with 95 % intervals of a bootstrap over photographs: images of one photograph are drawn
together, because they succeed and fail together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filters.degradation import LABELS
from filters.degradation.arrays import Examples, truth
from filters.degradation.examples import VIEWS
from filters.degradation.kinds import KINDS, LEVELS

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

RESAMPLES = 1000


@dataclass(frozen=True, kw_only=True)
class Area:
    """An area under the ROC curve with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, kw_only=True)
class Separation:
    """One label on one kind of damage, or on all of its kinds together."""

    label: str
    kind: str
    """Or `all`."""
    way: str
    level: str
    images: int
    photographs: int
    clean: Area
    """Against clean photographs."""
    others: Area
    """Against photographs with other damage of moderate strength."""
    found: float
    """Share that bears the label at the shipped threshold."""


@dataclass(frozen=True, kw_only=True)
class FalseRate:
    """Clean photographs that bear a label all the same."""

    group: str
    """A view, or a type of content."""
    way: str
    images: int
    photographs: int
    any_label: float
    undecided: float
    by_label: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Monotony:
    """Severity against the known amount."""

    label: str
    kind: str
    rank: float
    """Median over the photographs of Spearman's rank correlation over the five levels."""
    rising: float
    """Share of photographs in which no level reads more than 0.05 below the one before it."""


def area(positive: Floats, negative: Floats, p_photo: Any, n_photo: Any, *, seed: int = 0) -> Area:
    """AUC of two sets of scores, ties counted half, with an interval over photographs."""
    scores = np.concatenate([positive, negative])
    flags = np.concatenate([np.ones(len(positive), bool), np.zeros(len(negative), bool)])
    names, photo = np.unique(np.concatenate([p_photo, n_photo]), return_inverse=True)
    _, rank = np.unique(scores, return_inverse=True)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)
    found = np.array([_auc(rank, flags, draw[photo]) for draw in draws])
    found = found[~np.isnan(found)]
    low, high = np.quantile(found, [0.025, 0.975]) if len(found) else (np.nan, np.nan)
    whole = _auc(rank, flags, np.ones(len(scores), dtype=np.int64))
    return Area(value=whole, low=float(low), high=float(high))


def _auc(rank: NDArray[np.int64], positive: Flags, weight: NDArray[np.int64]) -> float:
    """Of ranked scores where each row counts `weight` times."""
    size = int(rank.max()) + 1
    ups = np.bincount(rank, weight * positive, minlength=size)
    downs = np.bincount(rank, weight * ~positive, minlength=size)
    if not ups.sum() or not downs.sum():
        return float("nan")
    below = np.cumsum(downs) - downs / 2
    return float((ups * below).sum() / (ups.sum() * downs.sum()))


def separations(
    examples: Examples, scores: Mapping[str, Floats], borne: Mapping[str, Flags]
) -> list[Separation]:
    """Every label against clean and against other damage, by kind, way and level, on whole and sharp views."""
    usable = np.isin(examples.view, ["whole", "sharp"])
    found: list[Separation] = []
    for label in LABELS:
        wanted = truth(examples, label)
        kinds = [kind.name for kind in KINDS if label in kind.labels] or ["graphics"]
        groups = [*kinds, "all"] if len(kinds) > 1 else kinds
        for way in ("lab", "camera"):
            here = usable & (examples.way == way)
            clean = here & (examples.kind == "clean")
            other = here & (wanted == 0) & (examples.level == 2) & (examples.kind != "clean")
            for level, name in enumerate(LEVELS, start=1):
                if label == "graphics" and (level > 3 or way != "lab"):
                    continue
                for group in groups:
                    rows = usable & np.isin(examples.kind, kinds if group == "all" else [group])
                    rows &= (examples.level == level) & (examples.way == way)
                    if not rows.any():
                        continue
                    if label == "graphics":
                        name = ("as it is", "JPEG 75", "reduced by 1.5, JPEG 85")[level - 1]
                    found.append(
                        Separation(
                            label=label,
                            kind=group,
                            way=way,
                            level=name,
                            images=int(rows.sum()),
                            photographs=len(np.unique(examples.photo[rows])),
                            clean=_between(examples, scores[label], rows, clean),
                            others=_between(examples, scores[label], rows, other),
                            found=float(borne[label][rows].mean()),
                        )
                    )
    return found


def _between(examples: Examples, scores: Floats, rows: Flags, against: Flags) -> Area:
    return area(scores[rows], scores[against], examples.photo[rows], examples.photo[against])


def false_rates(
    examples: Examples,
    borne: Mapping[str, Flags],
    undecided: Flags,
    content: Mapping[str, str] | None = None,
) -> list[FalseRate]:
    """What becomes of clean photographs, by view; or, on whole and sharp views, by what they show.

    Args:
        content: type of content by photograph, `other` where there is none; None: by view.
    """
    found: list[FalseRate] = []
    anything = np.any([borne[label] for label in LABELS], axis=0)
    clean = examples.kind == "clean"
    if content is None:
        groups = [(view, examples.view == view) for view in VIEWS]
    else:
        usable = np.isin(examples.view, ["whole", "sharp"])
        shown = np.array([content.get(str(photo), "other") for photo in examples.photo])
        groups = [(name, usable & (shown == name)) for name in np.unique(shown[clean]).tolist()]
    for name, here in groups:
        for way in ("lab", "camera"):
            rows = clean & here & (examples.way == way)
            if not rows.any():
                continue
            found.append(
                FalseRate(
                    group=name,
                    way=way,
                    images=int(rows.sum()),
                    photographs=len(np.unique(examples.photo[rows])),
                    any_label=float(anything[rows].mean()),
                    undecided=float(undecided[rows].mean()),
                    by_label={label: float(borne[label][rows].mean()) for label in LABELS},
                )
            )
    return found


def monotony(examples: Examples, severity: Mapping[str, Floats]) -> list[Monotony]:
    """Severity of a label over the levels of each of its kinds, photograph by photograph (whole view)."""
    from scipy import stats

    spearman: Any = stats.spearmanr
    found: list[Monotony] = []
    for kind in KINDS:
        for label in kind.labels:
            ranks: list[float] = []
            rising: list[bool] = []
            for photo in np.unique(examples.photo[examples.kind == kind.name]):
                for way in ("lab", "camera"):
                    mine = (examples.photo == photo) & (examples.way == way)
                    mine &= examples.view == "whole"
                    clean = severity[label][mine & (examples.kind == "clean")].mean()
                    rows = mine & (examples.kind == kind.name)
                    by_level = severity[label][rows][np.argsort(examples.level[rows])]
                    values = np.array([clean, *by_level])
                    if np.ptp(values) > 0:
                        ranks.append(float(spearman(np.arange(len(values)), values).statistic))
                    rising.append(bool((np.diff(values) > -0.05).all()))
            found.append(
                Monotony(
                    label=label,
                    kind=kind.name,
                    rank=float(np.median(ranks)),
                    rising=float(np.mean(rising)),
                )
            )
    return found
