"""Measures -> degradation labels with a severity: pure, column by column.

A classifier (classifier.py) turns the measures into one score per label, because one measure alone cannot tell
an enlarged image from a blurred one. A curve turns a score, or one measure, into a severity from 0 to 1: 0.25 at
`mild`, 0.5 at `moderate`, 1 at `severe`, linear between and beyond (down to 0). A label's severity is the largest of
its curves'; an image bears the labels whose severity reaches `label_at`. The classifier has a second score for whether
a label is borne at all, which holds the severity above or below 0.5. Weights and points come from photographs degraded
by known amounts; docs/calibration.md has the figures and the known failures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute

from filters.degradation.classifier import Classifier, Points, amount_of, load_classifier

LABELS = (
    "blur",
    "motion_blur",
    "noise",
    "jpeg",
    "low_light",
    "overexposed",
    "upscaled",
    "graphics",
)
"""blur: defocus or motion; motion_blur: the second of these; noise: of the sensor; jpeg: coarse quantisation; low_light
and overexposed: exposure; upscaled: fewer real pixels than stored ones; graphics: a screenshot or drawing."""

SHARPNESS = ("blur", "motion_blur", "upscaled")
"""Labels that only detail can tell."""

NOT_DEGRADED = ("graphics",)
"""Labels that say what an image is, not what ails it: they do not count for `severity`."""


@dataclass(frozen=True, kw_only=True)
class LabelCurve:
    """How a measure speaks for a label. Where less is worse, `mild` > `moderate` > `severe`."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    label: str
    """One of LABELS."""
    measure: str
    """Name of a measure, or of a classifier's score."""
    mild: float
    """Value with severity 0.25: visible to who looks for it."""
    moderate: float
    """Value with severity 0.5: visible at a glance."""
    severe: float
    """Value with severity 1."""
    why: str
    """Where the values come from."""

    def __post_init__(self) -> None:
        if self.label not in LABELS:
            raise ValueError(f"no label {self.label!r}; there are {', '.join(LABELS)}.")
        steps = np.sign([self.moderate - self.mild, self.severe - self.moderate])
        if steps[0] == 0 or steps[0] != steps[1]:
            raise ValueError(
                f"curve {self.measure} for {self.label}: mild, moderate, severe must go one way."
            )

    def severity(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Severity of each value, 0 to 1, NaN where the value is NaN. Monotone."""
        sign = 1.0 if self.severe > self.mild else -1.0
        # Below `mild` the first slope goes on, down to 0.
        onset = 2 * self.mild - self.moderate
        at = sign * np.array([onset, self.mild, self.moderate, self.severe])
        return np.interp(sign * values, at, [0.0, 0.25, 0.5, 1.0])


DEFAULT_CLASSIFIER = "degradation-2"
TEXTURED = "textured_share"


@dataclass(frozen=True, kw_only=True)
class DegradationPolicy:
    """How a recipe labels."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    classifier: str | None = DEFAULT_CLASSIFIER
    """A file of filters/degradation/weights/, or none: then only `curves` give labels."""
    curves: tuple[LabelCurve, ...] = ()
    """On single measures, in any order. They take the place of the classifier for their labels."""
    label_at: float = 0.5
    """Severity from which an image bears the label."""
    textured_at_least: float = 0.1
    """Share of the image with something to see (measure textured_share) below which sharpness cannot be told: then
    SHARPNESS has no severity, and an image without another label is undecided."""

    @property
    def measures(self) -> set[str]:
        """Names of the measures that it needs."""
        needed = {curve.measure for curve in self.curves} | {TEXTURED}
        if self.classifier is not None:
            needed |= set(load_classifier(self.classifier).measures)
        return needed

    def scored(self, classifier: Classifier) -> tuple[LabelCurve, ...]:
        """The classifier's curves, those of labels with curves of their own left out."""
        own = {curve.label for curve in self.curves}
        points = classifier.points
        return tuple(amount_curve(label, points[label]) for label in LABELS if label not in own)


def amount_curve(label: str, points: Points) -> LabelCurve:
    """The curve over a classifier's amount of a label."""
    return LabelCurve(
        label=label,
        measure=amount_of(label),
        mild=points.mild,
        moderate=points.moderate,
        severe=points.severe,
        why="Medians of photographs degraded by known amounts; docs/calibration.md.",
    )


def gated(severity: NDArray[np.float64], borne: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Severities held at 0.5 and above where a classifier says that the label is borne, and below where not."""
    return np.where(borne, np.maximum(severity, 0.5), np.minimum(severity, np.nextafter(0.5, 0.0)))


def label(measures: pa.Table, policy: DegradationPolicy) -> pa.Table:
    """Labels of every row.

    Args:
        measures: one float column per measure, null where it does not apply or was not taken.

    Returns:
        `labels` (list of names in LABELS' order), `severity_<label>` for each of LABELS (null: none of its measures
        was there, or it cannot be told), `severity` (the largest, NOT_DEGRADED left out), `undecided` (no label, and
        too flat to tell; null: nothing measured).

    Raises:
        KeyError: a measure that the policy needs is not a column.
    """
    values = {name: _values(measures, name) for name in sorted(policy.measures)}
    severities = severities_of(values, policy, measures.num_rows)
    flat = too_flat(values, policy)
    counted = [i for i, name in enumerate(LABELS) if name not in NOT_DEGRADED]
    largest = np.fmax.reduce(severities[counted], axis=0)
    measured: Any = np.isfinite(severities).any(axis=0)
    borne: NDArray[np.bool_] = severities >= policy.label_at
    columns: dict[str, Any] = {"labels": _names(borne, measured)}
    for name, found in zip(LABELS, severities, strict=True):
        columns[f"severity_{name}"] = _column(found)
    columns["severity"] = _column(largest)
    columns["undecided"] = pa.array(~borne.any(axis=0) & flat, pa.bool_(), mask=~measured)
    return pa.table(columns)


def severities_of(
    values: Mapping[str, NDArray[np.float64]],
    policy: DegradationPolicy,
    rows: int,
    classifier: Classifier | None = None,
) -> NDArray[np.float64]:
    """[labels, n] in LABELS' order, NaN where nothing is known.

    Args:
        values: [n] of each measure that the policy needs, NaN where it is null.
        classifier: default: the one that the policy names.
    """
    severities = np.full((len(LABELS), rows), np.nan)
    if classifier is None and policy.classifier is not None:
        classifier = load_classifier(policy.classifier)
    if classifier is not None and rows:
        scores = classifier.scores({name: values[name] for name in classifier.measures})
        for curve in policy.scored(classifier):
            at = LABELS.index(curve.label)
            begins = classifier.points[curve.label].begins
            severities[at] = gated(
                curve.severity(scores[curve.measure]), scores[curve.label] >= begins
            )
    for curve in policy.curves:
        at = LABELS.index(curve.label)
        severities[at] = np.fmax(severities[at], curve.severity(values[curve.measure]))
    for name in SHARPNESS:
        severities[LABELS.index(name), too_flat(values, policy)] = np.nan
    return severities


def too_flat(
    values: Mapping[str, NDArray[np.float64]], policy: DegradationPolicy
) -> NDArray[np.bool_]:
    """[n]: where there is too little to see to judge how sharp it is."""
    return values[TEXTURED] < policy.textured_at_least


def _values(measures: pa.Table, name: str) -> NDArray[np.float64]:
    column: Any = measures.column(name).cast(pa.float64())
    return np.asarray(column.to_numpy(), dtype=np.float64)


def _names(borne: NDArray[np.bool_], measured: NDArray[np.bool_]) -> pa.Array:
    """Lists of label names of each image, null where nothing was measured."""
    count: Any = borne.sum(axis=0)
    where = np.flatnonzero(borne.T.ravel()) % len(LABELS)
    names = pa.array(LABELS, pa.string()).take(pa.array(where))
    offsets = pa.array(np.concatenate([[0], np.cumsum(count)]).astype(np.int32))
    lists = pa.ListArray.from_arrays(offsets, names)
    if measured.all():
        return lists
    choose: Any = compute
    return choose.if_else(pa.array(measured), lists, pa.scalar(None, lists.type))


def _column(values: NDArray[np.float64]) -> pa.Array:
    return pa.array(values, pa.float64(), mask=np.isnan(values))
