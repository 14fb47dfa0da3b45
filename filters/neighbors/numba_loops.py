"""The inner loops of filters/neighbors/__init__.py, compiled by numba. Imported at first use only.

All functions take *distinct* hashes. A band is (shift, width, probe radius); width 0 puts all hashes into one bucket.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

HEAVY = 64
"""A bucket with more members is looked at for a ball: a set within radius/2 of one hash, hence mutually within it."""

# What numba compiles is checked by numba; its decorator hides the types from other checkers.


@njit(cache=True)
def _popcount(x: Any) -> Any:
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))


@njit(cache=True)
def _band_value(x: Any, shift: Any, width: Any) -> Any:
    return np.int64((x >> np.uint64(shift)) & ((np.uint64(1) << np.uint64(width)) - np.uint64(1)))


@njit(cache=True)
def _masks(width: Any, probe: Any) -> Any:
    """All band values with at most `probe` bits set."""
    count = 0
    for value in range(1 << width):
        if _popcount(np.uint64(value)) <= probe:
            count += 1
    masks = np.empty(count, np.int64)
    at = 0
    for value in range(1 << width):
        if _popcount(np.uint64(value)) <= probe:
            masks[at] = value
            at += 1
    return masks


@njit(cache=True)
def _sorted_by_band(hashes: Any, ball: Any, shift: Any, width: Any) -> Any:
    """Order of the hashes by band value, within a bucket by ball; and the start of each bucket."""
    size = 1 << width
    starts = np.zeros(size + 1, np.int64)
    for x in hashes:
        starts[_band_value(x, shift, width) + 1] += 1
    for v in range(size):
        starts[v + 1] += starts[v]
    order = np.empty(len(hashes), np.int64)
    at = starts[:-1].copy()
    for i in np.argsort(ball, kind="mergesort"):
        v = _band_value(hashes[i], shift, width)
        order[at[v]] = i
        at[v] += 1
    return order, starts


@njit(cache=True)
def _first_band(x: Any, y: Any, bands: Any, k: Any) -> Any:
    """Whether no earlier band than k joins the two."""
    for e in range(k):
        shift, width, probe = bands[e, 0], bands[e, 1], bands[e, 2]
        different = _band_value(x, shift, width) ^ _band_value(y, shift, width)
        if _popcount(np.uint64(different)) <= probe:
            return False
    return True


@njit(cache=True, nogil=True)
def pairs_of_band(hashes: Any, counts: Any, bands: Any, k: Any, radius: Any, limit: Any) -> Any:
    """Pairs (i, j, distance) of distinct hashes that band k is the first to join, and how many pairs of members they
    stand for (stops above limit). Bands are independent of each other, so each may have a thread."""
    capacity = 1024
    found = np.empty((capacity, 3), np.int64)
    n = 0
    weight = 0
    shift, width, probe = bands[k, 0], bands[k, 1], bands[k, 2]
    order, starts = _sorted_by_band(hashes, np.zeros(len(hashes), np.int64), shift, width)
    # Buckets side by side in memory: the innermost loop then reads it in order.
    sorted_ = hashes[order]
    masks = _masks(width, probe)
    for v in range(1 << width):
        if starts[v] == starts[v + 1]:
            continue
        for mask in masks:
            w = v ^ mask
            if w < v or starts[w] == starts[w + 1]:
                continue
            for p in range(starts[v], starts[v + 1]):
                x = sorted_[p]
                for q in range(p + 1 if w == v else starts[w], starts[w + 1]):
                    y = sorted_[q]
                    distance = _popcount(x ^ y)
                    if distance > radius or not _first_band(x, y, bands, k):
                        continue
                    i, j = order[p], order[q]
                    weight += counts[i] * counts[j]
                    if weight > limit:
                        return weight, found[:0]
                    if n == capacity:
                        capacity *= 2
                        larger = np.empty((capacity, 3), np.int64)
                        larger[:n] = found
                        found = larger
                    found[n, 0], found[n, 1], found[n, 2] = i, j, distance
                    n += 1
    return weight, found[:n]


@njit(cache=True, nogil=True)
def near_of_band(
    new: Any, hashes: Any, order: Any, starts: Any, masks: Any, bands: Any, k: Any, radius: Any
) -> Any:
    """Pairs (row of new, row of the index, distance) that band k of an index is the first to join. The index has the
    order of its hashes by the band's value, and where each value begins."""
    capacity = 1024
    found = np.empty((capacity, 3), np.int64)
    n = 0
    shift, width = bands[k, 0], bands[k, 1]
    for i in range(len(new)):
        x = new[i]
        value = _band_value(x, shift, width)
        for mask in masks:
            w = value ^ mask
            for q in range(starts[w], starts[w + 1]):
                j = order[q]
                distance = _popcount(x ^ hashes[j])
                if distance > radius or not _first_band(x, hashes[j], bands, k):
                    continue
                if n == capacity:
                    capacity *= 2
                    larger = np.empty((capacity, 3), np.int64)
                    larger[:n] = found
                    found = larger
                found[n, 0], found[n, 1], found[n, 2] = i, j, distance
                n += 1
    return found[:n]


@njit(cache=True)
def expand(near: Any, members: Any, starts: Any, total: Any) -> Any:
    """From pairs of distinct hashes to pairs of the original indices, equal hashes included."""
    out = np.empty((total, 3), np.int64)
    n = 0
    for u in range(len(starts) - 1):
        for p in range(starts[u], starts[u + 1]):
            for q in range(p + 1, starts[u + 1]):
                out[n, 0], out[n, 1], out[n, 2] = members[p], members[q], 0
                n += 1
    for row in near:
        for p in range(starts[row[0]], starts[row[0] + 1]):
            for q in range(starts[row[1]], starts[row[1] + 1]):
                out[n, 0] = min(members[p], members[q])
                out[n, 1] = max(members[p], members[q])
                out[n, 2] = row[2]
                n += 1
    return out


@njit(cache=True)
def _find(parent: Any, i: Any) -> Any:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(cache=True)
def _balls(hashes: Any, parent: Any, bands: Any, radius: Any) -> Any:
    """Ball of each hash (0: none). Members of a ball are within radius/2 of its pivot, so they are linked as a star."""
    ball = np.zeros(len(hashes), np.int64)
    last = 0
    for k in range(len(bands)):
        shift, width = bands[k, 0], bands[k, 1]
        order, starts = _sorted_by_band(hashes, ball, shift, width)
        for v in range(1 << width):
            size = starts[v + 1] - starts[v]
            if size <= HEAVY:
                continue
            pivot = np.uint64(0)
            for bit in range(64):
                ones = 0
                for p in range(starts[v], starts[v + 1]):
                    ones += np.int64((hashes[order[p]] >> np.uint64(bit)) & np.uint64(1))
                if 2 * ones > size:
                    pivot |= np.uint64(1) << np.uint64(bit)
            last += 1
            center = np.int64(-1)
            for p in range(starts[v], starts[v + 1]):
                i = order[p]
                if ball[i] == 0 and _popcount(hashes[i] ^ pivot) <= radius // 2:
                    ball[i] = last
                    if center < 0:
                        center = i
                    else:
                        parent[_find(parent, i)] = _find(parent, center)
    return ball


@njit(cache=True)
def clusters(hashes: Any, bands: Any, radius: Any) -> Any:
    """Root of each distinct hash's component."""
    parent = np.arange(len(hashes))
    ball = _balls(hashes, parent, bands, radius)
    for k in range(len(bands)):
        shift, width, probe = bands[k, 0], bands[k, 1], bands[k, 2]
        order, starts = _sorted_by_band(hashes, ball, shift, width)
        # Behind the last of a run of one ball within a bucket: where to go on when the whole run can be skipped.
        behind = np.empty(len(order), np.int64)
        for v in range(1 << width):
            end = starts[v + 1]
            for p in range(starts[v + 1] - 1, starts[v] - 1, -1):
                if p + 1 < starts[v + 1] and ball[order[p]] != ball[order[p + 1]]:
                    end = p + 1
                behind[p] = end
        masks = _masks(width, probe)
        for v in range(1 << width):
            if starts[v] == starts[v + 1]:
                continue
            for mask in masks:
                w = v ^ mask
                if w < v or starts[w] == starts[w + 1]:
                    continue
                for p in range(starts[v], starts[v + 1]):
                    i = order[p]
                    x = hashes[i]
                    q = p + 1 if w == v else starts[w]
                    while q < starts[w + 1]:
                        j = order[q]
                        if ball[i] != 0 and ball[i] == ball[j]:
                            q = behind[q]
                            continue
                        if _popcount(x ^ hashes[j]) <= radius:
                            a, b = _find(parent, i), _find(parent, j)
                            if a != b:
                                parent[max(a, b)] = min(a, b)
                        q += 1
    for i in range(len(parent)):
        parent[i] = _find(parent, i)
    return parent
