"""Which copy of a photograph stays, and which copies were degraded by somebody: roles in clusters of twins.

Of twins the least processed stays. What speaks for processing are stored facts: a label that a clean twin lacks, no
camera in EXIF, an enlarged picture. Size and bytes decide only after that, because an enlarged thumbnail has more of
both than its original. In a cluster with a clean member no degraded member stays at all: somebody made its degradation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute

from pipelines.build.reviewed import in_test
from pipelines.build.twins import looks_of, same_bytes
from pipelines.recipe import Recipe

pc: Any = compute
Ints = NDArray[np.int64]
Twins = tuple[pa.Array, pa.Array, pa.Array]
"""Role in its near-duplicate cluster (unique, kept, copy, copy_of_clean; null without hashes), cluster id, kept copy's
page id."""
_LOOKED_AT = (
    *("page_id", "sha1", "size_bytes", "uploaded_at", "spread", "decoded_width", "decoded_height"),
    *("phash", "dhash", "phash_mirror", "dhash_mirror", "seen_phash", "seen_dhash"),
    *("camera", "embedding", "thumbnail", "held_out"),
)
ROLES = ("unique", "kept", "copy", "copy_of_clean")
ENLARGED = ("upscaled",)
"""Labels that only processing gives."""


def find_twins(
    candidates: pa.Table,
    recipe: Recipe,
    passing: NDArray[np.bool_],
    edges: Ints | None,
    labels: dict[str, Any],
) -> Twins:
    """The near-duplicates among the candidates that pass the gate and have hashes.

    Args:
        passing: [N].
        edges: as pipelines.build.decide.decide takes them.
        labels: columns `labels` and `severity.<label>`, [N] each.
    """
    from filters.duplicates.dedupe import confirmed_edges, dedupe, once

    hashed = candidates.column("phash").is_valid().to_numpy() & passing
    rows = np.flatnonzero(hashed)
    # Only what is looked at: all facts of a million files a second time are a gigabyte.
    some = candidates.select([n for n in _LOOKED_AT if n in candidates.column_names])
    some = some.take(pa.array(rows))
    if edges is None or recipe.dedupe.embedding is not None:
        phash, dhash, other_phash, other_dhash = looks_of(some)
    else:
        # What hashes say is known; nothing reads them.
        phash = dhash = np.zeros(0, dtype=np.uint64)
        other_phash = other_dhash = np.zeros((0, 1), dtype=np.uint64)

    def numbers(name: str, kind: Any) -> np.ndarray[Any, Any]:
        return pc.fill_null(some.column(name), 0).to_numpy().astype(kind)

    spread = numbers("spread", np.float64)
    if edges is not None:
        place = np.full(candidates.num_rows, -1)
        place[rows] = np.arange(len(rows))
        ends = place[edges[:, :2]]
        edges = np.column_stack([ends, edges[:, 2:]])[(ends >= 0).all(axis=1)]
    else:
        looks = (phash, dhash, other_phash, other_dhash)
        found = confirmed_edges(*looks, spread, recipe.dedupe)
        edges = once(np.concatenate([found, same_bytes(some.column("sha1"))]))
    seen = None
    if recipe.dedupe.embedding is not None:
        seen = (some.column("embedding").to_pylist(), some.column("thumbnail").to_pylist())
    uploaded = pc.fill_null(
        some.column("uploaded_at").cast(pa.timestamp("s")).cast(pa.int64()), 0
    ).to_numpy()
    labelled = pc.fill_null(pc.list_value_length(labels["labels"]), -1)
    count = labelled.combine_chunks() if isinstance(labelled, pa.ChunkedArray) else labelled
    borne = count.to_numpy()[rows]
    enlarging = np.asarray(_bears(labels["labels"].take(pa.array(rows)), ENLARGED))
    pixels = numbers("decoded_width", np.int64) * numbers("decoded_height", np.int64)
    result = dedupe(
        page_ids=numbers("page_id", np.int64),
        phash=phash,
        dhash=dhash,
        phash_mirror=other_phash,
        dhash_mirror=other_dhash,
        spread=spread,
        pixels=pixels,
        size_bytes=numbers("size_bytes", np.int64),
        uploaded_at=uploaded.astype(np.int64),
        policy=recipe.dedupe,
        seen=seen,
        edges=edges,
        processed=_processed(some, borne, _enlarged(enlarging, edges, pixels)),
    )
    _, member_of, sizes = np.unique(result.cluster_id, return_inverse=True, return_counts=True)
    copy = result.duplicate_of >= 0
    roles = np.where(copy, ROLES.index("copy"), np.where(sizes[member_of] > 1, 1, 0))
    # Whether anybody in the cluster is known to be clean.
    clean = np.zeros(len(sizes), dtype=bool)
    np.logical_or.at(clean, member_of, borne == 0)
    roles = np.where(clean[member_of] & (borne > 0), ROLES.index("copy_of_clean"), roles)

    def spread_out(values: Any, kind: pa.DataType, known: Any = True) -> pa.Array:
        """[N] from the values of `rows`; null elsewhere and where not `known`."""
        place = np.full(candidates.num_rows, -1)
        place[rows] = np.where(known, np.arange(len(rows)), -1)
        return pa.array(values, kind).take(pa.array(place, mask=place < 0))

    return (
        pa.array(ROLES, pa.string()).take(spread_out(roles, pa.int64())),
        spread_out(result.cluster_id, pa.int64()),
        spread_out(result.duplicate_of, pa.int64(), copy),
    )


def _bears(labels: Any, wanted: Sequence[str]) -> NDArray[np.bool_]:
    """[n] whether any of the labels of a row is one of these."""
    column = labels.combine_chunks() if isinstance(labels, pa.ChunkedArray) else labels
    found = np.zeros(len(column), dtype=bool)
    hits = pc.is_in(pc.list_flatten(column), value_set=pa.array(wanted, pa.string()))
    rows = pc.list_parent_indices(column).filter(hits)
    found[np.asarray(rows)] = True
    return found


def _enlarged(labelled: NDArray[np.bool_], edges: Ints, pixels: Ints) -> NDArray[np.bool_]:
    """[n] whether it is `labelled` as an enlarged picture and has more pixels than a twin without that label."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    n = len(pixels)
    pairs = (np.ones(len(edges), dtype=np.int8), (edges[:, 0], edges[:, 1]))
    count, member_of = connected_components(coo_matrix(pairs, shape=(n, n)), directed=False)
    smallest = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(smallest, member_of[~labelled], pixels[~labelled])
    return labelled & (pixels > smallest[member_of])


def _processed(some: pa.Table, borne: Ints, enlarged: NDArray[np.bool_]) -> Ints:
    """[n] how much speaks for a copy having been worked on: 4 where it bears a label (before all else, a clean twin is
    the better one), 2 where it was enlarged, 1 where EXIF names no camera. Of the frozen test split none goes for
    another copy: 8 less."""
    points = 4 * (borne > 0).astype(np.int64) + 2 * enlarged.astype(np.int64)
    if "camera" in some.column_names:
        points += some.column("camera").is_null().to_numpy().astype(np.int64)
    points -= 8 * in_test(some)
    return points
