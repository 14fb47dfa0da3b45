"""All pairs of 64-bit hashes within a Hamming radius, exactly, and the clusters they form.

Multi-index hashing with refined pigeonhole probes: cut the 64 bits into m bands. With radius r = a*m + b, two hashes
within r agree up to a bits in one of the first b+1 bands, or up to a-1 bits in one of the others. So each band is
sorted, buckets that differ by few enough bits are joined once, and a pair is taken from the first band that finds it.

A million hashes of which many are nearly equal (blank images) have more pairs than memory: `pairs_within` refuses to
list them, `clusters_within` joins without listing, and does not look twice at what lies in one tight ball.

The loops are compiled by numba. Without it NumPy does the same, slower (docs/adr/0011), and for few hashes with it: to
load numba takes half a second and 115 MB. For new hashes against many old ones see index.py.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from math import comb

import numpy as np
from numpy.typing import NDArray

from filters.neighbors import compiled, numpy_loops

Hashes = NDArray[np.uint64]
Labels = NDArray[np.int64]

BITS = 64
MOST_PAIRS = 50_000_000
"""Default bound of `pairs_within`: 1.2 GB of result."""


VISIT = 8
"""Cost of a visit to a pair of buckets, in comparisons; measured at 2,000, 100,000 and 1,000,000 hashes."""


FEW, NEAR = 25_000, 12
"""Up to so many distinct hashes and such a radius NumPy lists the pairs: in half a second, and in no memory to speak
of."""


class TooManyPairs(RuntimeError):
    """There are more pairs than asked for; clusters_within answers without listing them."""


def pairs_within(hashes: Hashes, radius: int, *, limit: int = MOST_PAIRS) -> Labels:
    """[P, 3] int64, sorted: i < j and their distance in bits, for all pairs with distance <= radius. Exact.

    Raises:
        ValueError: not uint64, or a radius outside of 0..64.
        TooManyPairs: more than `limit` pairs.
    """
    _check(hashes, radius)
    unique, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    # Members of each distinct hash, in order: those of hash u stand at members[starts[u]:starts[u + 1]].
    members = np.argsort(inverse, kind="stable").astype(np.int64)
    starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    few = len(unique) <= FEW and radius <= NEAR and not compiled.loaded()
    loops = None if few else compiled.kernels()
    if loops is None:
        slow = numpy_loops.pairs(unique, counts, members, starts, radius, limit)
        if slow is None or len(slow) > limit:
            raise TooManyPairs(_too_many(limit, radius))
        return slow[np.lexsort((slow[:, 1], slow[:, 0]))]
    bands = _bands(len(unique), radius)
    total = int((counts * (counts - 1) // 2).sum())
    found = np.empty((0, 3), dtype=np.int64)
    if total <= limit:
        with ThreadPoolExecutor(min(len(bands), os.cpu_count() or 1)) as pool:
            by_band = [
                pool.submit(loops.pairs_of_band, unique, counts, bands, k, radius, limit - total)
                for k in range(len(bands))
            ]
            joined = [band.result() for band in by_band]
        total += sum(int(weight) for weight, _ in joined)
        found = np.concatenate([near for _, near in joined])
    if total > limit:
        raise TooManyPairs(_too_many(limit, radius))
    pairs = loops.expand(found, members, starts, total)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def clusters_within(hashes: Hashes, radius: int) -> Labels:
    """[N] int64: the lowest index of each hash's connected component under distance <= radius. Exact.

    Raises:
        ValueError: not uint64, or a radius outside of 0..64.
    """
    _check(hashes, radius)
    unique, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    if not len(unique):
        return np.empty(0, dtype=np.int64)
    loops = compiled.kernels()
    if loops is None:
        root = numpy_loops.clusters(unique, radius)
    else:
        root = loops.clusters(unique, _bands(len(unique), radius), radius)
    # A component's label is the lowest index of any of its members.
    lowest = np.full(len(unique), len(hashes), dtype=np.int64)
    np.minimum.at(lowest, root, first)
    return lowest[root][inverse]


def _too_many(limit: int, radius: int) -> str:
    return (
        f"There are more than {limit} pairs within {radius} bits: many hashes are nearly equal. "
        "Use clusters_within, or raise limit."
    )


def _check(hashes: Hashes, radius: int) -> None:
    if hashes.dtype != np.uint64 or hashes.ndim != 1:
        raise ValueError(
            f"hashes are a vector of uint64, not {hashes.dtype} of {hashes.ndim} dimensions."
        )
    if not 0 <= radius <= BITS:
        raise ValueError(f"radius is 0 to {BITS} bits, not {radius}.")


def _bands(count: int, radius: int) -> NDArray[np.int64]:
    """[m, 3]: shift, width, probe radius of each band that is searched; the cheapest cut for so many uniform hashes.

    Fewer, wider bands make smaller buckets and more probes. Where probes would cost more than they save, one band of
    width 0 makes it a plain comparison of all with all.
    """
    all_with_all = [(0, 0, 0)]
    cuts = [all_with_all, *(_cut(m, radius) for m in (4, 5))]
    return np.array(min(cuts, key=lambda cut: _cost(cut, count)), dtype=np.int64)


def _cut(m: int, radius: int) -> list[tuple[int, int, int]]:
    """m bands with the probe radii of the refined pigeonhole; those that need no search are left out."""
    a, b = divmod(radius, m)
    rows: list[tuple[int, int, int]] = []
    shift = 0
    for k in range(m):
        width = BITS // m + (k < BITS % m)
        probe = a if k <= b else a - 1
        if probe >= 0:
            rows.append((shift, width, probe))
        shift += width
    return rows


def _cost(cut: list[tuple[int, int, int]], count: int) -> float:
    """Comparisons expected for uniform hashes, and the visits of pairs of buckets in the same coin."""
    total = 0.0
    for _, width, probe in cut:
        probes = sum(comb(width, k) for k in range(min(probe, width) + 1))
        total += probes * (count**2 / 2 / 2**width + VISIT * 2**width / 2)
    return total
