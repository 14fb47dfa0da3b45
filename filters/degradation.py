"""Measures -> degradation labels with a severity: pure, column by column.

A curve turns one measure into a severity from 0 to 1: 0.25 at `mild`, 0.5 at `moderate`, 1 at `severe`, linear between
and beyond (down to 0). A label's severity is the largest of its curves'; an image bears the labels whose severity
reaches `label_at`. The defaults were chosen on tiles and photographs degraded by known amounts (docs/LOG.md).

Known confusions, which single measures cannot resolve: an enlarged image is also blurred, so `upscaled` mostly comes
with `blur`; strong texture (grass, gravel) reads as noise; dark images hide blur and noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

LABELS = ("blur", "noise", "jpeg", "low_light", "overexposed", "upscaled")
"""blur: defocus or motion; noise: of the sensor; jpeg: coarse quantisation; low_light and overexposed: exposure;
upscaled: fewer real pixels than stored ones."""


@dataclass(frozen=True, kw_only=True)
class LabelCurve:
    """How a measure speaks for a label. Where less is worse, `mild` > `moderate` > `severe`."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    label: str
    """One of LABELS."""
    measure: str
    """Name of a measure."""
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


DEFAULT_CURVES = (
    LabelCurve(
        label="blur",
        measure="edge_sigma",
        mild=1.0,
        moderate=1.2,
        severe=2.6,
        why="Sharp photographs have a median of 0.6 px, Gaussian blur of 1, 2 and 4 px reads 1.0, 1.7 and 3.4.",
    ),
    LabelCurve(
        label="blur",
        measure="directional_detail",
        mild=-1.7,
        moderate=-1.9,
        severe=-2.6,
        why="Motion keeps edges across it sharp. 98 % of the clean tiles of seeds 1-4 read above -1.85, "
        "95 % of the moved ones below -1.91.",
    ),
    LabelCurve(
        label="noise",
        measure="noise_immerkaer",
        mild=1.4,
        moderate=2.3,
        severe=8.0,
        why="95 % of the clean tiles of seeds 1-4 read below 1.8; white noise of 12 reads 6 and more.",
    ),
    LabelCurve(
        label="jpeg",
        measure="jpeg_qscale",
        mild=0.65,
        moderate=0.9,
        severe=3.0,
        why="Quality 75 reads 0.5, 50 about 1, 35 about 1.5, 15 about 3.6, also after a second save at high quality.",
    ),
    LabelCurve(
        label="low_light",
        measure="luma_p95",
        mild=135.0,
        moderate=115.0,
        severe=50.0,
        why="95 % of the clean tiles of seeds 1-4 read above 157, 95 % of those darkened by 2.5 to 4 EV below 90.",
    ),
    LabelCurve(
        label="overexposed",
        measure="clipped_share",
        mild=0.08,
        moderate=0.15,
        severe=0.5,
        why="At a share of 0.15 about 6 % of clean photographs are flagged, mostly saturated flowers and white skies.",
    ),
    LabelCurve(
        label="upscaled",
        measure="upscale_residual",
        mild=-0.72,
        moderate=-0.85,
        severe=-1.3,
        why="95 % of the clean tiles of seeds 1-4 read above -0.75, 95 % of those enlarged by 2 to 4 below -0.79.",
    ),
)


@dataclass(frozen=True, kw_only=True)
class DegradationPolicy:
    """All curves of a recipe."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    curves: tuple[LabelCurve, ...] = DEFAULT_CURVES
    """In any order."""
    label_at: float = 0.5
    """Severity from which an image bears the label."""
    flat_contrast: float = 4.0
    """Below this standard deviation of the luma, or where no edge was found, sharpness cannot be told: undecided."""


def label(measures: pa.Table, policy: DegradationPolicy) -> pa.Table:
    """Labels of every row.

    Args:
        measures: one float column per measure, null where it does not apply or was not taken.

    Returns:
        `labels` (list of names in LABELS' order), `severity_<label>` for each of LABELS (null: none of its measures
        was there), `severity` (the largest), `undecided` (no label, and too flat to tell; null: nothing measured).

    Raises:
        KeyError: a curve's measure is not a column.
    """
    rows = measures.num_rows
    severities = np.full((len(LABELS), rows), np.nan)
    for curve in policy.curves:
        at = LABELS.index(curve.label)
        severities[at] = np.fmax(severities[at], curve.severity(_values(measures, curve.measure)))
    largest = np.fmax.reduce(severities, axis=0)
    measured = ~np.isnan(largest)
    borne = severities >= policy.label_at
    names = [[LABELS[i] for i in np.flatnonzero(column)] for column in borne.T]
    columns: dict[str, Any] = {
        "labels": pa.array(
            [found if ok else None for found, ok in zip(names, measured, strict=True)],
            pa.list_(pa.string()),
        )
    }
    for name, values in zip(LABELS, severities, strict=True):
        columns[f"severity_{name}"] = _column(values)
    columns["severity"] = _column(largest)
    undecided = ~borne.any(axis=0) & _too_flat(measures, policy)
    columns["undecided"] = pa.array(undecided, pa.bool_(), mask=~measured)
    return pa.table(columns)


def _too_flat(measures: pa.Table, policy: DegradationPolicy) -> NDArray[np.bool_]:
    flat = np.zeros(measures.num_rows, dtype=bool)
    if "contrast" in measures.column_names:
        flat |= _values(measures, "contrast") < policy.flat_contrast
    if "edge_sigma" in measures.column_names:
        flat |= np.isnan(_values(measures, "edge_sigma"))
    return flat


def _values(measures: pa.Table, name: str) -> NDArray[np.float64]:
    column: Sequence[float | None] = measures.column(name).cast(pa.float64()).to_pylist()
    return np.array([np.nan if value is None else value for value in column], dtype=np.float64)


def _column(values: NDArray[np.float64]) -> pa.Array:
    return pa.array(values, pa.float64(), mask=np.isnan(values))
