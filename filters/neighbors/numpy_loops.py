"""What neighbors does for few hashes, or where numba cannot be had: the same answers from NumPy and SciPy.

A pair of distinct hashes is found by the band of `index` that is the first to join it; clusters come from the list
of pairs, so that a set with very many near-equal hashes runs out of `MOST` instead of being collapsed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from filters.neighbors.index import Hashes, Ints, index_of

MOST = 50_000_000
"""Pairs of distinct hashes that clusters may be made of."""
STEP = 2_000
"""Hashes looked up at a time; how many pairs there are is asked in between."""


class TooMany(RuntimeError):
    """More pairs than MOST."""


def distinct_pairs(
    hashes: Hashes, radius: int, counts: NDArray[Any] | None, limit: int
) -> Ints | None:
    """[P, 3] of distinct hashes, i < j; None when they stand for more than `limit` pairs of members."""
    index = index_of(hashes)
    found: list[Ints] = []
    weight = 0
    for begin in range(0, len(hashes), STEP):
        pairs = index.near(hashes[begin : begin + STEP], radius)
        pairs[:, 0] += begin
        pairs = pairs[pairs[:, 0] < pairs[:, 1]]
        found.append(pairs)
        weight += (
            len(pairs) if counts is None else int((counts[pairs[:, 0]] * counts[pairs[:, 1]]).sum())
        )
        if weight > limit:
            return None
    return np.concatenate(found) if found else np.empty((0, 3), dtype=np.int64)


def pairs(
    hashes: Hashes, counts: Ints, members: Ints, starts: Ints, radius: int, limit: int
) -> Ints | None:
    """[P, 3] of members, equal hashes included, in any order; None when there are more than `limit`."""
    near = distinct_pairs(hashes, radius, counts, limit)
    if near is None:
        return None
    blocks: list[Ints] = []
    for u in np.flatnonzero(counts > 1).tolist():
        own = members[starts[u] : starts[u + 1]]
        i, j = np.triu_indices(len(own), k=1)
        blocks.append(np.column_stack([own[i], own[j], np.zeros(len(i), dtype=np.int64)]))
    size = counts[near[:, 0]] * counts[near[:, 1]]
    pair = np.repeat(np.arange(len(near)), size)
    offset = np.arange(len(pair)) - np.repeat(np.cumsum(size) - size, size)
    wide = counts[near[pair, 1]]
    one = members[starts[near[pair, 0]] + offset // np.maximum(wide, 1)]
    other = members[starts[near[pair, 1]] + offset % np.maximum(wide, 1)]
    blocks.append(np.column_stack([np.minimum(one, other), np.maximum(one, other), near[pair, 2]]))
    return np.concatenate(blocks).astype(np.int64)


def clusters(hashes: Hashes, radius: int) -> Ints:
    """Root of each distinct hash's component.

    Raises:
        TooMany: more than MOST pairs.
    """
    from scipy import sparse
    from scipy.sparse import csgraph

    near = distinct_pairs(hashes, radius, None, MOST)
    if near is None:
        raise TooMany(f"There are more than {MOST} pairs within {radius} bits; install numba.")
    size = len(hashes)
    edges: Any = sparse.coo_matrix((np.ones(len(near)), (near[:, 0], near[:, 1])), (size, size))
    graph: Any = csgraph
    _, component = graph.connected_components(edges, directed=False)
    lowest = np.full(component.max() + 1, size, dtype=np.int64)
    np.minimum.at(lowest, component, np.arange(size))
    return lowest[component]
