"""What ails each LR of a benchmark: the labels and severities that the dataset's own images get, by the same measures.

Kept beside the scores by the SHA-256 of the LR, so that an image is measured once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from catalog import files
from filters.degradation import DegradationPolicy, label
from filters.measures import load_measure, open_photo
from training.evaluation.inputs import Case


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """One LR."""

    labels: tuple[str, ...]
    severity: float | None
    """The largest over all degradations, 0 to 1; None: could not be told."""
    width: int
    height: int


def labels_of(
    cases: Sequence[Case], out: Path, *, policy: DegradationPolicy | None = None
) -> dict[str, Labelled]:
    """Labels by the case's name."""
    policy = policy or DegradationPolicy()
    names = sorted(policy.measures)
    stamp = [f"{name}@{load_measure(name).version}" for name in names]
    version = hashlib.sha256(json.dumps([stamp, repr(policy)]).encode()).hexdigest()[:12]
    file = out / "scores" / f"lr-labels-{version}.json"
    kept: dict[str, dict[str, float | None]] = {}
    if file.is_file():
        kept = json.loads(file.read_text(encoding="utf-8"))
    missing = {case.lr_sha256: case for case in cases if case.lr_sha256 not in kept}
    for digest, case in missing.items():
        kept[digest] = _measured(case, names)
    if missing:
        files.put(file, json.dumps(kept, sort_keys=True).encode())
    if not cases:
        return {}
    columns = {
        name: pa.array([kept[case.lr_sha256][name] for case in cases], pa.float64())
        for name in names
    }
    found = label(pa.table(columns), policy)
    return {
        case.name: Labelled(
            labels=tuple(labels or ()),
            severity=severity,
            width=int(kept[case.lr_sha256]["width"] or 0),
            height=int(kept[case.lr_sha256]["height"] or 0),
        )
        for case, labels, severity in zip(
            cases,
            found.column("labels").to_pylist(),
            found.column("severity").to_pylist(),
            strict=True,
        )
    }


def _measured(case: Case, names: Sequence[str]) -> dict[str, float | None]:
    photo = open_photo(case.lr.read_bytes())
    values: dict[str, float | None] = {name: load_measure(name).measure(photo) for name in names}
    height, width = photo.rgb.shape[:2]
    return values | {"width": float(width), "height": float(height)}


def mix(labelled: Mapping[str, Labelled]) -> dict[str, float]:
    """Label -> share of the images that bear it, the most frequent first."""
    counts: dict[str, int] = {}
    for one in labelled.values():
        for name in one.labels:
            counts[name] = counts.get(name, 0) + 1
    return {
        name: count / len(labelled) for name, count in sorted(counts.items(), key=lambda x: -x[1])
    }
