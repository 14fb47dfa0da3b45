"""An index of 64-bit hashes to which new ones are compared without going through the old ones again.

`neighbors.pairs_within` looks at all pairs of one set. Here the old set is sorted once, by four bands of 16 bits; new
hashes look up the few buckets that can hold a neighbour (the same refined pigeonhole probes). By NumPy, so that it is
also what `neighbors` falls back to where numba cannot be had; where many comparisons are ahead, compiled.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filters.neighbors import compiled

Hashes = NDArray[np.uint64]
Ints = NDArray[np.int64]

BANDS, WIDTH = 4, 16
MOST_PROBES = 3
"""Bits to flip in a band at most; beyond, comparing with everything costs less."""
MANY = 30_000_000
"""Comparisons from which compiled loops pay for being loaded: NumPy needs a second for so many."""
CHUNK = 250_000
"""Comparisons at a time: what they take stays in the cache."""


@dataclass(frozen=True, kw_only=True)
class HashIndex:
    """Hashes and, for each band, their order by that band's value. Make it with `index_of`."""

    hashes: Hashes
    orders: tuple[Ints, ...]
    starts: tuple[Ints, ...]
    """Per band [65537]: where the bucket of each value begins in the order."""

    def near(self, new: Hashes, radius: int) -> Ints:
        """[P, 3] int64, sorted: row of `new`, row of the index, their distance, for all pairs within `radius`. Exact.

        Raises:
            ValueError: not a vector of uint64, or a radius outside of 0..64.
        """
        _check(new)
        if not 0 <= radius <= BANDS * WIDTH:
            raise ValueError(f"radius is 0 to {BANDS * WIDTH} bits, not {radius}.")
        probes = _probes(radius)
        everything = max(probes) > MOST_PROBES
        bands = [0] if everything else [band for band in range(BANDS) if probes[band] >= 0]
        many = compiled.loaded() or self._comparisons(len(new), probes) > MANY
        if many and not everything:
            loops = compiled.kernels()
            if loops is not None:
                return self._near_compiled(loops, new, radius, probes)
        found = [
            part
            for band in bands
            for part in self._join(new, radius, band, probes, everything=everything)
        ]
        if not found:
            return np.empty((0, 3), dtype=np.int64)
        return _in_order(np.concatenate(found))

    def _comparisons(self, count: int, probes: tuple[int, ...]) -> float:
        """Of so many new hashes, were the old ones spread evenly over the buckets."""
        looked_up = sum(len(_masks(bits)) for bits in probes if bits >= 0)
        return count * looked_up * len(self.hashes) / 2**WIDTH

    def _near_compiled(self, loops: Any, new: Hashes, radius: int, probes: tuple[int, ...]) -> Ints:
        """As `near`; a thread for each band, since bands are independent of each other."""
        used = [band for band in range(BANDS) if probes[band] >= 0]
        bands = np.array([(band * WIDTH, WIDTH, probes[band]) for band in used], dtype=np.int64)
        with ThreadPoolExecutor(min(len(used), os.cpu_count() or 1)) as pool:
            by_band = [
                pool.submit(
                    loops.near_of_band,
                    new,
                    self.hashes,
                    self.orders[band],
                    self.starts[band],
                    _masks(probes[band]),
                    bands,
                    k,
                    radius,
                )
                for k, band in enumerate(used)
            ]
            return _in_order(np.concatenate([band.result() for band in by_band]))

    def extended(self, new: Hashes) -> HashIndex:
        """An index of these hashes and `new` behind them; the old ones are merged in, not sorted again."""
        added = index_of(new)
        orders: list[Ints] = []
        starts: list[Ints] = []
        for band in range(BANDS):
            old_values = _band(self.hashes, band)[self.orders[band]]
            new_order = added.orders[band]
            places = np.searchsorted(old_values, _band(new, band)[new_order], side="right")
            orders.append(np.insert(self.orders[band], places, new_order + len(self.hashes)))
            starts.append(self.starts[band] + added.starts[band])
        return HashIndex(
            hashes=np.concatenate([self.hashes, new]), orders=tuple(orders), starts=tuple(starts)
        )

    def _join(
        self, new: Hashes, radius: int, band: int, probes: tuple[int, ...], *, everything: bool
    ) -> Iterator[Ints]:
        """Pairs that this band is the first to find."""
        starts, order = self.starts[band], self.orders[band]
        masks = np.zeros(1, dtype=np.int64) if everything else _masks(probes[band])
        values = _band(new, band)
        mean = 1 + len(self.hashes) / (1 if everything else 2**WIDTH)
        step = max(1, int(CHUNK / (len(masks) * mean)))
        for begin in range(0, len(new), step):
            rows = np.arange(begin, min(begin + step, len(new)))
            if everything:
                i = np.repeat(rows, len(order))
                j = np.tile(order, len(rows))
            else:
                wanted = (values[rows][:, None] ^ masks[None, :]).ravel()
                first, count = starts[wanted], starts[wanted + 1] - starts[wanted]
                i = np.repeat(np.repeat(rows, len(masks)), count)
                offset = np.arange(len(i)) - np.repeat(np.cumsum(count) - count, count)
                j = order[np.repeat(first, count) + offset]
            different = new[i] ^ self.hashes[j]
            distance = np.bitwise_count(different).astype(np.int64)
            good = distance <= radius
            for earlier in range(band):
                if probes[earlier] >= 0:
                    bits = np.bitwise_count(_band(different, earlier))
                    good &= bits > probes[earlier]
            yield np.column_stack([i[good], j[good], distance[good]])


def index_of(hashes: Hashes) -> HashIndex:
    """Sorts hashes by each of their bands.

    Raises:
        ValueError: not a vector of uint64.
    """
    _check(hashes)
    orders: list[Ints] = []
    starts: list[Ints] = []
    for band in range(BANDS):
        values = _band(hashes, band)
        orders.append(np.argsort(values, kind="stable"))
        counts = np.bincount(values, minlength=2**WIDTH)
        starts.append(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
    return HashIndex(hashes=hashes, orders=tuple(orders), starts=tuple(starts))


def _in_order(pairs: Ints) -> Ints:
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _check(hashes: Hashes) -> None:
    if hashes.dtype != np.uint64 or hashes.ndim != 1:
        raise ValueError(
            f"hashes are a vector of uint64, not {hashes.dtype} of {hashes.ndim} dimensions."
        )


def _band(hashes: Hashes, band: int) -> Ints:
    return ((hashes >> np.uint64(band * WIDTH)) & np.uint64(2**WIDTH - 1)).astype(np.int64)


def _probes(radius: int) -> tuple[int, ...]:
    """Bits that may differ in each band: within radius, at least one band differs by no more than that."""
    a, b = divmod(radius, BANDS)
    return tuple(a if band <= b else a - 1 for band in range(BANDS))


@cache
def _masks(bits: int) -> Ints:
    """All values of a band with at most so many bits."""
    values = np.arange(2**WIDTH, dtype=np.uint64)
    return values[np.bitwise_count(values) <= bits].astype(np.int64)
