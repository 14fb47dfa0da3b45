"""All pairs within a Hamming radius: ours beside brute force (numba, numpy) and, where installed, faiss and imagededup.

Every peer's number of pairs stands beside its time and must be ours.

Uniform random hashes with 2 % planted neighbours; the skewed set has 5 % nearly blank images. Compilation is not
counted. Wall and CPU seconds of all threads, ours the best of three, the peers' of one run; ratios of both, because
CPU seconds hold on a machine that does other things as well. faiss and imagededup may live in an environment of their
own that sees ours through a .pth file: `pip install --no-deps faiss-cpu imagededup pywavelets`.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from filters.duplicates.dedupe import DedupePolicy, confirmed_edges, edges_of_new
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


def cpu_seconds() -> float:
    """Of this process, and of those that it started and waited for."""
    return time.process_time() + sum(os.times()[2:4])


def best(work: Callable[[], Any], times: int = 3) -> tuple[float, float, Any]:
    """Shortest wall time and shortest CPU time of some runs, and the last result."""
    walls, cpus = [], []
    for _ in range(times):
        wall, cpu = time.perf_counter(), cpu_seconds()
        result = work()
        walls.append(time.perf_counter() - wall)
        cpus.append(cpu_seconds() - cpu)
    return min(walls), min(cpus), result


def numpy_brute_force(hashes: Any) -> int:
    """Number of pairs, one row against all the later ones."""
    return sum(
        int(np.count_nonzero(np.bitwise_count(hashes[i + 1 :] ^ hashes[i]) <= RADIUS))
        for i in range(len(hashes))
    )


@cache
def _numba_kernel() -> Any:
    from numba import njit

    @njit
    def count(hashes: Any, radius: Any) -> Any:
        found = 0
        for i in range(len(hashes)):
            for j in range(i + 1, len(hashes)):
                x = hashes[i] ^ hashes[j]
                x -= (x >> np.uint64(1)) & np.uint64(0x5555555555555555)
                x = (x & np.uint64(0x3333333333333333)) + (
                    (x >> np.uint64(2)) & np.uint64(0x3333333333333333)
                )
                x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
                found += ((x * np.uint64(0x0101010101010101)) >> np.uint64(56)) <= radius
        return found

    return count


def numba_brute_force(hashes: Any) -> int:
    """Number of pairs, all against all in one compiled loop on one thread."""
    return int(_numba_kernel()(hashes, np.uint64(RADIUS)))


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


def imagededup_phash(hashes: Any) -> int:
    """Number of pairs by imagededup's default search over ready hashes (each found from both sides)."""
    from imagededup.methods import PHash

    encodings = {str(i): f"{int(value):016x}" for i, value in enumerate(hashes)}
    found = PHash(verbose=False).find_duplicates(
        encoding_map=encodings, max_distance_threshold=RADIUS
    )
    return sum(len(near) for near in found.values()) // 2


class Peer(NamedTuple):
    """Another way to the same pairs."""

    name: str
    module: str
    """What must be installed."""
    most: int
    """Hashes beyond which it would take minutes."""
    count: Callable[[Any], int]


PEERS = (
    Peer("numba brute force, 1 thread", "numba", 100_000, numba_brute_force),
    Peer("numpy brute force", "numpy", 20_000, numpy_brute_force),
    Peer("faiss.IndexBinaryFlat, 1 thread", "faiss", 100_000, faiss_range),
    Peer("imagededup PHash.find_duplicates", "imagededup", 5_000, imagededup_phash),
)


def main() -> None:
    """Prints the table."""
    for call in (pairs_within, clusters_within):
        call(planted(1000), RADIUS)
    numba_brute_force(planted(100))
    print(f"{'what':<46}{'wall s':>10}{'CPU s':>10}{'pairs':>9}{'x wall':>9}{'x CPU':>9}")
    for count in (2_000, 5_000, 20_000, 100_000):
        hashes = planted(count)
        wall, cpu, pairs = best(lambda h=hashes: pairs_within(h, RADIUS))
        print(f"{f'pairs_within, {count:,}':<46}{wall:>10.4f}{cpu:>10.4f}{len(pairs):>9}")
        for peer in PEERS:
            if count > peer.most:
                continue
            if not find_spec(peer.module):
                print(f"  {peer.name:<44}{'not installed':>20}")
                continue
            theirs, spent, found = best(lambda p=peer, h=hashes: p.count(h), times=1)
            note = "" if found == len(pairs) else "  DIFFERENT PAIRS"
            print(
                f"  {peer.name:<44}{theirs:>10.4f}{spent:>10.4f}{found:>9}"
                f"{theirs / wall:>9.0f}{spent / cpu:>9.0f}{note}"
            )
    _million()


def _million() -> None:
    plain, skewed = planted(1_000_000), planted(1_000_000, skew=0.05)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, cpu, pairs = best(lambda: pairs_within(plain, RADIUS))
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{'pairs_within, 1,000,000':<46}{wall:>10.3f}{cpu:>10.3f}{len(pairs):>9}")
    print(f"{'  peak memory beyond the hashes, MB':<46}{more:>10.0f}")
    first, cpu_first, _ = best(lambda: clusters_within(plain, RADIUS))
    print(f"{'clusters_within, 1,000,000':<46}{first:>10.3f}{cpu_first:>10.3f}")
    second, cpu_second, _ = best(lambda: clusters_within(skewed, RADIUS))
    name = "clusters_within, 1,000,000, 5 % nearly blank"
    ratios = f"{second / first:>9.2f}{cpu_second / cpu_first:>9.2f}"
    print(f"{name:<46}{second:>10.3f}{cpu_second:>10.3f}{'':>9}{ratios}")
    _new_against_old()


def _new_against_old() -> None:
    """10,000 new files against what is known of a million (both hashes, plain and mirrored), beside a search of all."""
    chance = np.random.default_rng(11)
    count, fresh = 1_000_000, 10_000
    hashes = [chance.integers(0, 2**64, count, dtype=np.uint64) for _ in range(4)]
    columns = (*hashes, np.full(count, 50.0))
    policy = DedupePolicy()
    edges_of_new(20_000, *(column[:30_000] for column in columns), policy=policy)
    wall, cpu, _ = best(lambda: edges_of_new(count - fresh, *columns, policy=policy), times=1)
    print(f"{'edges_of_new, 10,000 new against 990,000':<46}{wall:>10.3f}{cpu:>10.3f}")
    whole, spent, _ = best(lambda: confirmed_edges(*columns, policy=policy), times=1)
    print(
        f"{'  confirmed_edges of all of them':<46}{whole:>10.3f}{spent:>10.3f}{'':>9}"
        f"{whole / wall:>9.1f}{spent / cpu:>9.1f}"
    )
