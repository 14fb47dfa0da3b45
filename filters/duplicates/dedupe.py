"""Near-duplicates: candidate pairs by pHash, confirmed by dHash, one copy kept of each group.

pHash alone proposes (plain against plain, and plain against mirrored), because dHash alone matches 4 unrelated pairs
in 1,000; dHash of the same orientation confirms. A copy is dropped only on a confirmed edge to the copy that is kept,
never along a chain: of A ~ B ~ C with A unlike C, B goes and both A and C stay. Where a recipe names an encoder, what
it saw proposes pairs as well, and aligned thumbnails confirm them (filters/duplicates/embedding.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from filters.duplicates.embedding import EmbeddingPolicy, aligned_edges, thumbnails_of, vectors_of
from filters.neighbors import pairs_within
from filters.neighbors.index import index_of

Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Seen = tuple[Sequence[bytes | None], Sequence[bytes | None]]
"""[N] vectors and [N] thumbnails as embedding.py keeps them; None where the encoder has not seen a row."""


@dataclass(frozen=True, kw_only=True)
class DedupePolicy:
    """When two images are the same photograph."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    phash_radius: int = 12
    """Bits of pHash within which a pair is a candidate: recall .95 to 1 for re-encoding, resizing, small crops."""
    dhash_radius: int = 12
    """Bits of dHash within which a candidate is confirmed. Together with pHash <= 14 this had no false positive among
    63,000 pairs of unrelated photographs, and found 97 % at JPEG 10 and all at half size."""
    blank_spread: float = 2.0
    """Below this standard deviation of the 32x32 thumbnail (0 to 255) an image is blank: its hashes match anything, so
    they are not compared."""
    embedding: EmbeddingPolicy | None = None
    """Set: also crops, borders and overlays that hashes miss, by an encoder; costs a pass of it over every image."""

    def __post_init__(self) -> None:
        for radius in (self.phash_radius, self.dhash_radius):
            if not 0 <= radius <= 24:
                raise ValueError(
                    "hash radii are 0 to 24 bits; unrelated photographs are about 32 apart."
                )


@dataclass(frozen=True, kw_only=True)
class DedupeResult:
    """Rows as given to `dedupe`."""

    cluster_id: Ints
    """[N] lowest page id of the group of images that confirmed edges connect; the own page id when alone."""
    duplicate_of: Ints
    """[N] page id of the kept copy that this one is dropped for; -1: not dropped."""
    edges: Ints
    """[E, 5] confirmed, by hashes or by an embedding: row i < row j, pHash distance, dHash distance, 1 when one is the
    mirror image."""


def dedupe(
    *,
    page_ids: Ints,
    phash: Hashes,
    dhash: Hashes,
    phash_mirror: Hashes,
    dhash_mirror: Hashes,
    spread: NDArray[np.float64],
    pixels: Ints,
    size_bytes: Ints,
    uploaded_at: Ints,
    policy: DedupePolicy,
    seen: Seen | None = None,
    edges: Ints | None = None,
) -> DedupeResult:
    """Groups near-duplicates and says which copy of each stays. All arguments are [N]; the order does not matter.

    Which copy stays: more pixels, then more bytes, then earlier upload (`uploaded_at`, seconds), then lower page id.

    Args:
        seen: what the policy's encoder saw, where it has one.
        edges: what `confirmed_edges` says of these hashes, where that is known.

    Raises:
        filters.neighbors.TooManyPairs: tens of millions of pairs; raise blank_spread or lower phash_radius.
    """
    count = len(page_ids)
    if edges is None:
        edges = confirmed_edges(phash, dhash, phash_mirror, dhash_mirror, spread, policy)
    if policy.embedding is not None and seen is not None:
        more = seen_edges(seen, phash, dhash, phash_mirror, dhash_mirror, spread, policy, edges)
        edges = once(np.concatenate([edges, more]))
    preference = np.lexsort((page_ids, uploaded_at, -size_bytes, -pixels))
    rank = np.empty(count, dtype=np.int64)
    rank[preference] = np.arange(count)
    neighbors: dict[int, list[int]] = {}
    for i, j in edges[:, :2].tolist():
        neighbors.setdefault(i, []).append(j)
        neighbors.setdefault(j, []).append(i)
    kept_copy = np.full(count, -1, dtype=np.int64)
    # Best first: each keeps its place unless a better one that is kept is its confirmed twin.
    for row in preference.tolist():
        better = [n for n in neighbors.get(row, ()) if rank[n] < rank[row] and kept_copy[n] < 0]
        if better:
            kept_copy[row] = min(better, key=lambda n: rank[n])
    duplicate_of = np.where(kept_copy < 0, -1, page_ids[np.maximum(kept_copy, 0)] if count else -1)
    return DedupeResult(
        cluster_id=_clusters(page_ids, neighbors), duplicate_of=duplicate_of, edges=edges
    )


def confirmed_edges(
    phash: Hashes,
    dhash: Hashes,
    phash_mirror: Hashes,
    dhash_mirror: Hashes,
    spread: NDArray[np.float64],
    policy: DedupePolicy,
) -> Ints:
    """[E, 5] edges as DedupeResult has them, of hashes [N]; where a pair is close both ways, the plain one."""
    rows = np.flatnonzero(spread >= policy.blank_spread)
    n = len(rows)
    # Plain and mirrored hashes in one search: entry e < n is row e, entry n + e is the mirror image of row e.
    both = np.concatenate([phash[rows], phash_mirror[rows]])
    found = pairs_within(both, policy.phash_radius)
    i, j = found[:, 0], found[:, 1]
    plain = j < n
    mirrored = (i < n) & (j >= n) & (i != j - n)
    chosen = plain | mirrored
    i, j, distance = i[chosen], j[chosen], found[chosen, 2]
    flipped = (j >= n).astype(np.int64)
    other = np.where(flipped == 1, j - n, j)
    return once(_confirmed(rows[i], rows[other], distance, flipped, dhash, dhash_mirror, policy))


def edges_of_new(
    known: int,
    phash: Hashes,
    dhash: Hashes,
    phash_mirror: Hashes,
    dhash_mirror: Hashes,
    spread: NDArray[np.float64],
    policy: DedupePolicy,
) -> Ints:
    """[E, 5] edges with an end at row `known` or behind it: those that hashes [N] have when the first ones were
    looked through before. A few new ones are looked up in an index of the old; many are searched with them.
    """
    fresh = len(phash) - known
    if fresh * FRESH_SHARE > len(phash):
        edges = confirmed_edges(phash, dhash, phash_mirror, dhash_mirror, spread, policy)
        return edges[edges[:, 1] >= known]
    worth = spread >= policy.blank_spread
    old = np.flatnonzero(worth[:known])
    new = known + np.flatnonzero(worth[known:])
    among = confirmed_edges(
        phash[new], dhash[new], phash_mirror[new], dhash_mirror[new], spread[new], policy
    )
    among[:, :2] = new[among[:, :2]]
    found = [among]
    plain = index_of(phash[old])
    # Mirror images both ways, because the hash of one is no function of the hash of the other.
    for index, hashes, flip in (
        (plain, phash, None),
        (plain, phash_mirror, "new"),
        (index_of(phash_mirror[old]), phash, "old"),
    ):
        near = index.near(hashes[new], policy.phash_radius)
        first, second = new[near[:, 0]], old[near[:, 1]]
        if flip == "new":
            first, second = second, first
        flipped = np.full(len(near), int(flip is not None), dtype=np.int64)
        found.append(_confirmed(first, second, near[:, 2], flipped, dhash, dhash_mirror, policy))
    return once(np.concatenate(found))


FRESH_SHARE = 50
"""Up to one new hash in so many, an index of the old ones is quicker than a search of all."""


def _confirmed(
    first: Ints,
    second: Ints,
    distance: Ints,
    flipped: Ints,
    dhash: Hashes,
    dhash_mirror: Hashes,
    policy: DedupePolicy,
) -> Ints:
    """[E, 5] of the pairs that dHash confirms; where `flipped`, `second` is the one that is mirrored."""
    second_dhash = np.where(flipped == 1, dhash_mirror[second], dhash[second])
    confirmed = np.bitwise_count(dhash[first] ^ second_dhash).astype(np.int64)
    good = confirmed <= policy.dhash_radius
    return np.column_stack(
        [np.minimum(first, second), np.maximum(first, second), distance, confirmed, flipped]
    )[good].astype(np.int64)


def seen_edges(
    seen: Seen,
    phash: Hashes,
    dhash: Hashes,
    phash_mirror: Hashes,
    dhash_mirror: Hashes,
    spread: NDArray[np.float64],
    policy: DedupePolicy,
    known: Ints,
) -> Ints:
    """[E, 5] edges as DedupeResult has them, of rows that an encoder saw and that are not blank; without those that are
    `known` already."""
    assert policy.embedding is not None
    vectors, thumbnails = seen
    rows = np.flatnonzero(
        np.array([vector is not None for vector in vectors], dtype=bool)
        & (spread >= policy.blank_spread)
    )
    place = np.full(len(spread), -1)
    place[rows] = np.arange(len(rows))
    pairs = {(i, j) for i, j in place[known[:, :2]].tolist()}
    found = aligned_edges(
        vectors_of([vectors[row] or b"" for row in rows.tolist()]),
        thumbnails_of([thumbnails[row] or b"" for row in rows.tolist()]),
        policy.embedding,
        pairs,
    )
    i, j, flipped = rows[found[:, 0]], rows[found[:, 1]], found[:, 2]
    second_phash = np.where(flipped == 1, phash_mirror[j], phash[j])
    second_dhash = np.where(flipped == 1, dhash_mirror[j], dhash[j])
    bits = [np.bitwise_count(phash[i] ^ second_phash), np.bitwise_count(dhash[i] ^ second_dhash)]
    return np.column_stack([i, j, *(b.astype(np.int64) for b in bits), flipped])


def once(edges: Ints) -> Ints:
    """Each pair once, in order; where it is close both ways, the plain one."""
    order = np.lexsort((edges[:, 2], edges[:, 4], edges[:, 1], edges[:, 0]))
    edges = edges[order]
    if len(edges):
        fresh = np.ones(len(edges), dtype=bool)
        fresh[1:] = (edges[1:, :2] != edges[:-1, :2]).any(axis=1)
        edges = edges[fresh]
    return edges


def _clusters(page_ids: Ints, neighbors: dict[int, list[int]]) -> Ints:
    """Lowest page id of each row's connected component."""
    cluster: Any = page_ids.copy()
    done: set[int] = set()
    for start in neighbors:
        if start in done:
            continue
        component, waiting = [start], [start]
        done.add(start)
        while waiting:
            for n in neighbors[waiting.pop()]:
                if n not in done:
                    done.add(n)
                    component.append(n)
                    waiting.append(n)
        cluster[component] = page_ids[component].min()
    return cluster
