"""All pairs within a Hamming radius: ours beside brute force and, where they are installed, faiss and imagededup.

Uniform random hashes with 2 % planted neighbours; the skewed set has 5 % nearly blank images. Compilation is not
counted. Wall seconds, the best of three.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from filters.neighbors import clusters_within, pairs_within

RADIUS = 8


def planted(count: int, *, skew: float = 0.0, seed: int = 0) -> Any:
    """[count] uint64: random, 2 % copies with 0 to 9 bits flipped, `skew` of them blank with 0 to 3 bits flipped."""
    chance = np.random.default_rng(seed)
    hashes = chance.integers(0, 2**64, count, dtype=np.uint64)
    copies = count // 50
    for k in range(copies):
        flips = chance.choice(64, size=k % 10, replace=False).astype(np.uint64)
        mask = np.bitwise_or.reduce(np.uint64(1) << flips, initial=np.uint64(0))
        hashes[count - 1 - k] = hashes[k] ^ mask
    blank = chance.permutation(count)[: int(skew * count)]
    hashes[blank] = 0
    for _ in range(3):
        flips = np.uint64(1) << chance.integers(0, 64, len(blank) // 2).astype(np.uint64)
        hashes[blank[: len(blank) // 2]] ^= np.where(chance.random(len(flips)) < 0.7, flips, 0)
    return hashes


def best(work: Callable[[], Any], times: int = 3) -> tuple[float, Any]:
    """Shortest wall time of some runs, and the last result."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - began)
    return min(seconds), result


def brute_force(hashes: Any) -> int:
    """Number of pairs, numpy, one row against all the later ones."""
    return sum(
        int(np.count_nonzero(np.bitwise_count(hashes[i + 1 :] ^ hashes[i]) <= RADIUS))
        for i in range(len(hashes))
    )


def faiss_range(hashes: Any) -> int:
    """Number of pairs by faiss.IndexBinaryFlat.range_search (each found from both sides, and each with itself)."""
    import faiss

    faiss.omp_set_num_threads(1)
    codes = hashes.view(np.uint8).reshape(-1, 8)
    index = faiss.IndexBinaryFlat(64)
    index.add(codes)
    # faiss counts distances below the radius.
    limits, _, _ = index.range_search(codes, RADIUS + 1)
    return (int(limits[-1]) - len(hashes)) // 2


def main() -> None:
    """Prints the table."""
    pairs_within(planted(1000), RADIUS)
    clusters_within(planted(1000), RADIUS)
    print(f"{'what':<44}{'seconds':>10}{'pairs':>10}{'ratio':>9}")
    for count in (20_000, 100_000):
        hashes = planted(count)
        ours, pairs = best(lambda h=hashes: pairs_within(h, RADIUS))
        print(f"{f'pairs_within, {count:,}':<44}{ours:>10.3f}{len(pairs):>10}{1:>9.0f}")
        peers: list[tuple[str, Callable[[Any], int]]] = []
        if count <= 20_000:
            peers.append(("numpy brute force", brute_force))
        if find_spec("faiss"):
            peers.append(("faiss.IndexBinaryFlat, 1 thread", faiss_range))
        for name, peer in peers:
            seconds, found = best(lambda p=peer, h=hashes: p(h), times=1)
            print(f"  {name:<42}{seconds:>10.3f}{found:>10}{seconds / ours:>9.0f}")
    if not find_spec("faiss"):
        print("  faiss: not installed (pip install faiss-cpu)")
    plain, skewed = planted(1_000_000), planted(1_000_000, skew=0.05)
    ours, pairs = best(lambda: pairs_within(plain, RADIUS))
    print(f"{'pairs_within, 1,000,000':<44}{ours:>10.3f}{len(pairs):>10}")
    first, _ = best(lambda: clusters_within(plain, RADIUS))
    print(f"{'clusters_within, 1,000,000':<44}{first:>10.3f}")
    second, _ = best(lambda: clusters_within(skewed, RADIUS))
    print(
        f"{'clusters_within, 1,000,000, 5 % nearly blank':<44}{second:>10.3f}{'':>10}{second / first:>9.2f}"
    )
