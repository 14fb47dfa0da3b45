"""Partial copies in decisions: a picture and its crop stand in one split, and benchmark images are found in crops.

Points (filters/duplicates/points.py) are facts of the stage `embed`, named `points`; which pictures share a part
follows from them when a recipe is decided. Nothing is dropped for it: a crop may be a picture of its own, but not of
another split.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from pipelines.recipe import Recipe

pc: Any = compute


def tied_groups(facts: pa.Table, groups: pa.Array, keep: pa.Array, recipe: Recipe) -> pa.Array:
    """[N] groups, those of kept pictures that share a part as one; each named by its lowest page id."""
    from filters.duplicates.partial import partial_pairs

    policy = recipe.dedupe.partial
    if policy is None:
        return groups
    rows = np.flatnonzero(keep.to_numpy(zero_copy_only=False))
    some = facts.select(["points", "points_thumbnail"]).take(pa.array(rows))
    pairs = partial_pairs(
        some.column("points").to_pylist(), some.column("points_thumbnail").to_pylist(), policy
    )
    if not len(pairs):
        return groups
    names, member = np.unique(groups.to_numpy(zero_copy_only=False), return_inverse=True)
    ends = member[rows[pairs]]
    links = (np.ones(len(ends), dtype=np.int8), (ends[:, 0], ends[:, 1]))
    count, tied = connected_components(
        coo_matrix(links, shape=(len(names), len(names))), directed=False
    )
    lowest = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(lowest, tied, names)
    return pa.array(lowest[tied[member]], pa.int64())


def leak_points(candidates: pa.Table, recipe: Recipe) -> tuple[pa.Array, pa.Array]:
    """[N] points that a picture shares with the benchmark image that it shares most with (null: not compared), and that
    image's row in the recipe's index."""
    from filters.duplicates.leakage import most_shared, read_index

    rows = candidates.num_rows
    nothing = (pa.nulls(rows, pa.int64()), pa.nulls(rows, pa.int64()))
    if recipe.leakage.index is None or recipe.dedupe.partial is None:
        return nothing
    index = read_index(Path(recipe.leakage.index))
    if index.column("points").null_count == index.num_rows:
        return nothing
    looked_at = candidates.column("points").is_valid().to_numpy()
    shared, which = most_shared(
        index, candidates.column("points").to_pylist(), recipe.dedupe.partial.most_candidates
    )
    return pa.array(shared, mask=~looked_at), pa.array(which, mask=which < 0)
