"""Scores, kept by what was scored and what scored it, so that another method or metric computes only what is new.

The key of a score is a hash over metric, scorer version, weights, preprocessing, and the SHA-256 of the scored file and
of what it was compared with. Names of benchmarks and methods are not in it: the same file is never scored twice.
Scores are Parquet parts, written under a temporary name and renamed; a run that was killed goes on after its last part.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from catalog import files
from training.evaluation.outputs import slug

PART = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("error", pa.string()),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("metric_version", pa.string(), nullable=False),
        pa.field("weights_sha256", pa.string()),
        pa.field("preprocessing", pa.string(), nullable=False),
        pa.field("image_sha256", pa.string(), nullable=False),
        pa.field("reference_sha256", pa.string()),
    ]
)
"""Columns of a part: a score with all that it depends on."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What scored: two scorers with the same identity give the same scores."""

    metric: str
    version: str
    weights_sha256: str | None
    preprocessing: str
    lower_better: bool

    def key(self, image_sha256: str, reference_sha256: str | None) -> str:
        """Of one score, 32 hex digits."""
        parts = (
            self.metric,
            self.version,
            self.weights_sha256,
            self.preprocessing,
            image_sha256,
            reference_sha256,
        )
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A score, or why there is none."""

    value: float | None
    error: str | None


class ScoreCache:
    """The scores of one metric."""

    def __init__(self, folder: Path, metric: str) -> None:
        """Reads what is there; `folder` holds a folder per metric."""
        self.folder = folder / slug(metric)
        self.kept: dict[str, Kept] = {}
        for part in sorted(self.folder.glob("*.parquet"), key=lambda p: p.stat().st_mtime_ns):
            table = pq.read_table(part, columns=["key", "value", "error"])
            columns = (table.column(name).to_pylist() for name in ("key", "value", "error"))
            for key, value, error in zip(*columns, strict=True):
                self.kept[key] = Kept(value=value, error=error)

    def add(self, identity: Identity, scores: Mapping[tuple[str, str | None], Kept]) -> None:
        """Keeps scores by (SHA-256 of the image, SHA-256 of its reference) as one part."""
        if not scores:
            return
        kept = {identity.key(*about): score for about, score in scores.items()}
        rows = [
            {
                "key": key,
                "value": score.value,
                "error": score.error,
                "metric": identity.metric,
                "metric_version": identity.version,
                "weights_sha256": identity.weights_sha256,
                "preprocessing": identity.preprocessing,
                "image_sha256": image,
                "reference_sha256": reference,
            }
            for (key, score), (image, reference) in zip(kept.items(), scores, strict=True)
        ]
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pylist(rows, schema=PART), sink)
        name = hashlib.sha256("".join(sorted(kept)).encode()).hexdigest()[:16]
        files.put(self.folder / f"{name}.parquet", sink.getvalue().to_pybytes())
        self.kept |= kept

    def remember(self, identity: Identity) -> None:
        """Notes what scored last, so that tables can be made where the metric itself cannot be loaded."""
        content = json.dumps(asdict(identity), indent=1).encode()
        path = self.folder / "identity.json"
        if not path.is_file() or path.read_bytes() != content:
            files.put(path, content)

    def remembered(self) -> Identity | None:
        """What scored last; None where nothing did."""
        path = self.folder / "identity.json"
        if not path.is_file():
            return None
        return Identity(**json.loads(path.read_text(encoding="utf-8")))
