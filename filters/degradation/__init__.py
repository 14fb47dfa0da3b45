"""Measures -> degradation labels with a severity: pure, column by column.

A classifier (classifier.py) turns the measures into one score per label, because one measure alone cannot tell an
enlarged image from a blurred one. Since degradation-3 a severity is a probability: of a label, that a person would see
it in the picture; `severity` itself, that a person would see any damage. Where a label begins was set on clean
photographs that the classifier had not seen. docs/calibration.md has the figures on real photographs and the known
failures.

A recipe may put a curve over a single measure in the place of a label: 0.25 at `mild`, 0.5 at `moderate`, 1 at
`severe`, linear between and beyond (down to 0). degradation-1 and -2 work by such curves over their own scores, with a
second score that holds the severity above or below 0.5.
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


DEFAULT_CLASSIFIER = "degradation-4"
"""Looks at all measures, those of five layers of an image network (`layers_*`) among them."""
PLAIN_CLASSIFIER = "degradation-4-plain"
"""Learnt with it from the same pictures, for recipes that leave the network out: cheaper, and less sure."""
TEXTURED = "textured_share"


@dataclass(frozen=True, kw_only=True)
class DegradationPolicy:
    """How a recipe labels."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    classifier: str | None = DEFAULT_CLASSIFIER
    """A file of filters/degradation/weights/, or none: then only `curves` give labels."""
    curves: tuple[LabelCurve, ...] = ()
    """On single measures, in any order. They take the place of the classifier for their labels."""
    label_at: float | None = None
    """Severity from which an image bears a label. None: where the classifier says that each begins, so that few clean
    photographs bear it; 0.5 on curves and for degradation-1 and -2."""
    unsure_from: float = 0.35
    """Severity from which an image without a label is undecided, up to where the classifier says that damage begins."""
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

    def begins(self, label: str, classifier: Classifier | None = None) -> float:
        """Severity from which an image bears a label, or any damage (a classifier's `overall`)."""
        if self.label_at is not None:
            return self.label_at
        if classifier is None and self.classifier is not None:
            classifier = load_classifier(self.classifier)
        if classifier is None or label in {curve.label for curve in self.curves}:
            return 0.5
        return classifier.begins.get(label, 0.5)


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
        was there, or it cannot be told), `severity` (of any visible damage; NOT_DEGRADED left out), `undecided` (no
        label, and too flat or too near to the threshold to tell; null: nothing measured).

    Raises:
        KeyError: a measure that the policy needs is not a column.
    """
    values = {name: _values(measures, name) for name in sorted(policy.measures)}
    said = judged(values, policy, measures.num_rows)
    columns: dict[str, Any] = {"labels": _names(said.borne, said.measured)}
    for name, found in zip(LABELS, said.severities, strict=True):
        columns[f"severity_{name}"] = _column(found)
    columns["severity"] = _column(said.severity)
    columns["undecided"] = pa.array(said.undecided, pa.bool_(), mask=~said.measured)
    return pa.table(columns)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a policy says of n images."""

    severities: NDArray[np.float64]
    """[labels, n] in LABELS' order, 0 to 1, NaN where nothing is known."""
    severity: NDArray[np.float64]
    """[n]: of any visible damage."""
    borne: NDArray[np.bool_]
    """[labels, n]."""
    measured: NDArray[np.bool_]
    """[n]: anything is known."""
    undecided: NDArray[np.bool_]
    """[n]."""


def judged(
    values: Mapping[str, NDArray[np.float64]],
    policy: DegradationPolicy,
    rows: int,
    classifier: Classifier | None = None,
) -> Judged:
    """All that follows from measures.

    Args:
        values: [n] of each measure that the policy needs, NaN where it is null.
        classifier: default: the one that the policy names.
    """
    if classifier is None and policy.classifier is not None:
        classifier = load_classifier(policy.classifier)
    scores: Mapping[str, NDArray[np.float64]] = {}
    if classifier is not None and rows:
        scores = classifier.scores({name: values[name] for name in classifier.measures})
    severities = _severities(values, policy, rows, classifier, scores)
    own = {curve.label for curve in policy.curves}
    overall = None if classifier is None else classifier.overall
    counted = [i for i, name in enumerate(LABELS) if name not in NOT_DEGRADED]
    if overall is not None and classifier is not None and not classifier.covering:
        # degradation-3: only a recipe's curves add to the head for any damage.
        counted = [i for i in counted if LABELS[i] in own]
    severity = np.fmax.reduce(severities[counted], axis=0, initial=np.nan)
    if overall in scores:
        severity = np.fmax(severity, probability(scores[overall]))
    measured: Any = np.isfinite(severities).any(axis=0) | np.isfinite(severity)
    begins = np.array([policy.begins(name, classifier) for name in LABELS])
    borne: NDArray[np.bool_] = severities >= begins[:, None]
    if overall in scores:
        # Nobody sees a damage in a picture without any.
        any_damage = severity >= policy.begins(overall, classifier)
        for at, name in enumerate(LABELS):
            if name not in NOT_DEGRADED and name not in own:
                borne[at] &= any_damage
        # What is likelier to be dark is no drawing: night has flat areas and few colors, too.
        drawn, dark = LABELS.index("graphics"), LABELS.index("low_light")
        borne[drawn] &= ~(severities[dark] > severities[drawn])
    unsure = too_flat(values, policy)
    if overall is not None:
        damaged = policy.begins(overall, classifier)
        unsure = unsure | ((severity >= policy.unsure_from) & (severity < damaged))
    return Judged(
        severities=severities,
        severity=severity,
        borne=borne,
        measured=measured,
        undecided=~borne.any(axis=0) & unsure,
    )


def probability(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-log_odds)), to six decimals: exponentials differ in their last digit between processors."""
    return np.round(1.0 / (1.0 + np.exp(-np.clip(log_odds, -500.0, 500.0))), 6)


def _severities(
    values: Mapping[str, NDArray[np.float64]],
    policy: DegradationPolicy,
    rows: int,
    classifier: Classifier | None,
    scores: Mapping[str, NDArray[np.float64]],
) -> NDArray[np.float64]:
    severities = np.full((len(LABELS), rows), np.nan)
    own = {curve.label for curve in policy.curves}
    for at, name in enumerate(LABELS):
        if name not in scores or name in own or classifier is None:
            continue
        if classifier.calibrated:
            severities[at] = probability(scores[name])
        else:
            points = classifier.points[name]
            amount = amount_curve(name, points).severity(scores[amount_of(name)])
            severities[at] = gated(amount, scores[name] >= points.begins)
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
