"""Charts of what the candidates are: their resolution, clusters, sources and uploaders."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute

from catalog.page import charts

pc: Any = compute


def resolution(candidates: pa.Table, kept: charts.Flags) -> charts.Figure | None:
    """Shorter sides in pixels; None where they are not known."""
    if not {"width", "height"} <= set(candidates.column_names):
        return None
    sides = (candidates.column(name).cast(pa.float64()) for name in ("width", "height"))
    shorter = pc.min_element_wise(*sides, skip_nulls=False)
    return charts.histogram(np.asarray(shorter.to_numpy(), dtype=np.float64), kept)


def cluster_sizes(candidates: pa.Table) -> charts.Figure | None:
    """How many clusters of near-duplicates have how many copies; None without one."""
    sizes = _sizes(candidates, "cluster_id")
    sizes.pop(1, None)
    return charts.bars([(f"{n} copies", sizes[n]) for n in sorted(sizes)][:16]) if sizes else None


def scene_sizes(candidates: pa.Table) -> charts.Figure | None:
    """How many scenes have how many of the kept photographs; None where no encoder tells scenes."""
    sizes = _sizes(candidates, "scene")
    bars = [(f"{n} photographs" if n > 1 else "1 photograph", sizes[n]) for n in sorted(sizes)]
    return charts.bars(bars[:16]) if sizes else None


def _sizes(candidates: pa.Table, column: str) -> Counter[int]:
    """Size of a group -> number of groups."""
    if column not in candidates.column_names:
        return Counter()
    # By sorting: of a million files nearly all are a cluster of their own, and a table of them is large.
    ids = np.asarray(candidates.column(column).drop_null().to_numpy())
    sizes, groups = np.unique(np.unique(ids, return_counts=True)[1], return_counts=True)
    return Counter(dict(zip(sizes.tolist(), groups.tolist(), strict=True)))


def counted(candidates: pa.Table, column: str, kept: charts.Flags) -> charts.Figure | None:
    """The most frequent values, with how many of their files were kept; None where there is no such column."""
    if column not in candidates.column_names:
        return None
    values = candidates.column(column)
    of_all, good = (
        Counter({row["values"]: row["counts"] for row in pc.value_counts(some).to_pylist()})
        for some in (values.drop_null(), values.filter(pa.array(kept)).drop_null())
    )
    first = sorted(of_all.items(), key=lambda item: (-item[1], str(item[0])))[:12]
    notes = [f"{count:,} · {good[value]:,} kept" for value, count in first]
    return charts.bars([(str(v), n) for v, n in first], notes=notes) if first else None
