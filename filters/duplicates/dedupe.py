"""Near-duplicates: candidate pairs by pHash, confirmed by dHash and thumbnails, one copy kept of each group.

pHash alone proposes (plain against plain, and plain against every other look: mirrored, turned), because dHash alone
matches 4 unrelated pairs in 1,000; dHash of the same look confirms, and thumbnails where they are at hand
(filters/duplicates/confirm.py). A copy is dropped only on a confirmed edge to the copy that is kept,
never along a chain: of A ~ B ~ C with A unlike C, B goes and both A and C stay. Where a recipe names an encoder, what
it saw proposes pairs as well, and aligned thumbnails confirm them (filters/duplicates/embedding.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from filters.duplicates.confirm import Thumbnails, confirmed
from filters.duplicates.embedding import EmbeddingPolicy, aligned_edges, thumbnails_of, vectors_of
from filters.duplicates.partial import PartialPolicy
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
    blank_spread: float = 0.5
    """Below this standard deviation of the 32x32 thumbnail (0 to 255) an image is blank: there is nothing to compare.
    Identical bytes are twins all the same."""
    embedding: EmbeddingPolicy | None = None
    """Set: also crops, borders and overlays that hashes miss, by an encoder; costs a pass of it over every image."""
    partial: PartialPolicy | None = None
    """Set: pictures that share a part (crops, collages) stand in one split, and in the leakage check; costs points of
    every image (docs/duplicates.md)."""

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
    """[E, 5] confirmed, by hashes or by an embedding: row i < row j, pHash distance, dHash distance, look (a position
    in filters.duplicates.hashing.LOOKS: 0 as it is, 1 mirrored)."""


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
    processed: Ints | None = None,
) -> DedupeResult:
    """Groups near-duplicates and says which copy of each stays. All arguments are [N]; the order does not matter.
    `phash_mirror` and `dhash_mirror` may be [N, L]: other looks than the mirrored one, too.

    Which copy stays: the least processed, then more pixels, then more bytes, then earlier upload (`uploaded_at`,
    seconds), then lower page id.

    Args:
        seen: what the policy's encoder saw, where it has one.
        edges: what `confirmed_edges` says of these hashes, where that is known.
        processed: [N] how much speaks for a copy having been worked on; None: nothing is known of any.

    Raises:
        filters.neighbors.TooManyPairs: tens of millions of pairs; raise blank_spread or lower phash_radius.
    """
    count = len(page_ids)
    if edges is None:
        edges = confirmed_edges(phash, dhash, phash_mirror, dhash_mirror, spread, policy)
    if policy.embedding is not None and seen is not None:
        more = seen_edges(seen, phash, dhash, phash_mirror, dhash_mirror, spread, policy, edges)
        edges = once(np.concatenate([edges, more]))
    worked_on = np.zeros(count, dtype=np.int64) if processed is None else processed
    preference = np.lexsort((page_ids, uploaded_at, -size_bytes, -pixels, worked_on))
    rank = np.empty(count, dtype=np.int64)
    rank[preference] = np.arange(count)
    neighbors: dict[int, list[int]] = {}
    for i, j in edges[:, :2].tolist():
        neighbors.setdefault(i, []).append(j)
        neighbors.setdefault(j, []).append(i)
    kept_copy = np.full(count, -1, dtype=np.int64)
    # Best first: each keeps its place unless a better one that is kept is its confirmed twin. Who has none keeps it.
    for row in sorted(neighbors, key=lambda n: int(rank[n])):
        better = [n for n in neighbors[row] if rank[n] < rank[row] and kept_copy[n] < 0]
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
    thumbnails: Thumbnails | None = None,
) -> Ints:
    """[E, 5] edges as DedupeResult has them, of hashes [N]; where a pair is close in several looks, the first of them.

    Args:
        phash_mirror, dhash_mirror: [N], or [N, L] of other looks than the mirrored one, too.
        thumbnails: gives those of some rows, to confirm pairs by; None: hashes alone confirm.
    """
    rows = np.flatnonzero(spread >= policy.blank_spread)
    n = len(rows)
    facts = _Facts(dhash, _looks(dhash_mirror), spread, thumbnails, policy)
    edges = [np.empty((0, 5), dtype=np.int64)]
    for look, others in enumerate(_looks(phash_mirror).T, start=1):
        # Plain hashes and those of the look in one search: entry e < n is row e, entry n + e is row e in that look.
        both = np.concatenate([phash[rows], others[rows]])
        found = pairs_within(both, policy.phash_radius)
        i, j = found[:, 0], found[:, 1]
        # Plain pairs are found with the first look, and not looked at again.
        plain = (j < n) & (look == 1)
        in_look = (i < n) & (j >= n) & (i != j - n)
        chosen = plain | in_look
        i, j, distance = i[chosen], j[chosen], found[chosen, 2]
        other = np.where(j >= n, j - n, j)
        edges.append(_confirmed(rows[i], rows[other], distance, (j >= n) * look, facts))
    return once(np.concatenate(edges))


def edges_of_new(
    known: int,
    phash: Hashes,
    dhash: Hashes,
    phash_mirror: Hashes,
    dhash_mirror: Hashes,
    spread: NDArray[np.float64],
    policy: DedupePolicy,
    thumbnails: Thumbnails | None = None,
) -> Ints:
    """[E, 5] edges with an end at row `known` or behind it: those that hashes [N] have when the first ones were
    looked through before. A few new ones are looked up in an index of the old; many are searched with them.
    """
    fresh = len(phash) - known
    if fresh * FRESH_SHARE > len(phash):
        edges = confirmed_edges(
            phash, dhash, phash_mirror, dhash_mirror, spread, policy, thumbnails
        )
        return edges[edges[:, 1] >= known]
    worth = spread >= policy.blank_spread
    old = np.flatnonzero(worth[:known])
    new = known + np.flatnonzero(worth[known:])
    among = confirmed_edges(
        *(phash[new], dhash[new], phash_mirror[new], dhash_mirror[new], spread[new], policy),
        None if thumbnails is None else lambda rows: thumbnails(new[rows]),
    )
    among[:, :2] = new[among[:, :2]]
    found = [among]
    facts = _Facts(dhash, _looks(dhash_mirror), spread, thumbnails, policy)
    plain = index_of(phash[old])
    searches: list[tuple[Any, Hashes, int, bool]] = [(plain, phash[new], 0, False)]
    for look, others in enumerate(_looks(phash_mirror).T, start=1):
        # Both ways, because the hash of one is no function of the hash of the other.
        searches.append((plain, others[new], look, True))
        searches.append((index_of(others[old]), phash[new], look, False))
    for index, hashes, look, new_is_turned in searches:
        near = index.near(hashes, policy.phash_radius)
        first, second = new[near[:, 0]], old[near[:, 1]]
        if new_is_turned:
            first, second = second, first
        looks = np.full(len(near), look, dtype=np.int64)
        found.append(_confirmed(first, second, near[:, 2], looks, facts))
    return once(np.concatenate(found))


FRESH_SHARE = 50
"""Up to one new hash in so many, an index of the old ones is quicker than a search of all."""


@dataclass(frozen=True)
class _Facts:
    """What confirms a pair."""

    dhash: Hashes
    dhash_looks: Hashes
    spread: NDArray[np.float64]
    thumbnails: Thumbnails | None
    policy: DedupePolicy


def _looks(hashes: Hashes) -> Hashes:
    """[N, L]"""
    return hashes[:, None] if hashes.ndim == 1 else hashes


def _confirmed(first: Ints, second: Ints, distance: Ints, look: Ints, facts: _Facts) -> Ints:
    """[E, 5] of the pairs that dHash and thumbnails confirm; `second` is the one that is seen in `look`."""
    other = facts.dhash_looks[second, np.maximum(look, 1) - 1]
    second_dhash = np.where(look == 0, facts.dhash[second], other)
    bits = np.bitwise_count(facts.dhash[first] ^ second_dhash).astype(np.int64)
    good = np.flatnonzero(bits <= facts.policy.dhash_radius)
    if facts.thumbnails is not None and len(good):
        pairs = (first[good], second[good], look[good])
        good = good[confirmed(*pairs, facts.spread, facts.thumbnails)]
    columns = [np.minimum(first, second), np.maximum(first, second), distance, bits, look]
    return np.column_stack(columns)[good].astype(np.int64)


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
    second_phash = np.where(flipped == 1, _looks(phash_mirror)[j, 0], phash[j])
    second_dhash = np.where(flipped == 1, _looks(dhash_mirror)[j, 0], dhash[j])
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
