"""How well the rule for twins works on given photographs: copies of known kinds are injected and looked for.

Recall is counted per kind of copy: the pair (photograph, its copy) must be a confirmed edge. Every edge between two
different photographs, copies included, is a false match, unless the photographs were alike to begin with; these are
listed, for eyes to judge.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filters.duplicates.dedupe import DedupePolicy, Seen, confirmed_edges, once, seen_edges
from filters.duplicates.embedding import Embed, fit, look
from filters.duplicates.embedding import Seen as Look
from filters.duplicates.hashing import THUMB_PX, SeenHashes, hash_seen
from filters.duplicates.kinds import TRANSFORMS
from filters.duplicates.partial import PartialPolicy, partial_pairs
from filters.duplicates.points import points_of

Photo = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Recall:
    """One kind of copy."""

    transform: str
    injected: int
    found: int

    @property
    def recall(self) -> float:
        """Share that was found."""
        return self.found / self.injected if self.injected else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the recall."""
        n, z = self.injected, 1.96
        if not n:
            return float("nan"), float("nan")
        p = self.recall
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True, kw_only=True)
class DedupQuality:
    """What became of the injected copies."""

    photographs: int
    recalls: tuple[Recall, ...]
    compared: int
    """Pairs of different photographs, originals and copies."""
    false: int
    """Of these, confirmed edges."""
    alike: tuple[tuple[str, str, int, int], ...]
    """Pairs of photographs that matched as originals: names, pHash distance, dHash distance."""

    @property
    def precision(self) -> float:
        """Share of true ones among the edges, pairs of photographs that are alike left out."""
        true = sum(r.found for r in self.recalls)
        return true / (true + self.false) if true + self.false else float("nan")


@dataclass(frozen=True, kw_only=True)
class Copy:
    """What is kept of a photograph, or of a copy of it."""

    kind: str
    """One of TRANSFORMS; empty: the photograph itself."""
    hashes: SeenHashes
    points: bytes
    """Empty where the policy does not look for parts."""
    seen: Look | None
    """By the policy's encoder; None without one."""


def copies_of(photo: Photo, policy: DedupePolicy, embed: Embed | None = None) -> list[Copy]:
    """A photograph, uint8 [H, W, 3], and one copy of every kind, hashed."""
    from filters.picture import open_picture

    found = []
    # Without loss: it stands for the file that the photograph came from.
    for kind, make in {"": _png, **TRANSFORMS}.items():
        with open_picture(make(photo)) as picture:
            found.append(
                Copy(
                    kind=kind,
                    hashes=hash_seen(picture),
                    points=b"" if policy.partial is None else points_of(picture.grey),
                    seen=None if embed is None else look(picture.rgb, embed),
                )
            )
    return found


def dedup_quality(
    photos: Iterable[tuple[str, Photo]],
    policy: DedupePolicy,
    *,
    embed: Embed | None = None,
    advance: Callable[[int], None] = lambda count: None,
) -> DedupQuality:
    """Injects every kind of copy of every photograph and looks for them.

    Args:
        photos: (name, uint8 [H, W, 3]); each is asked for once and let go.
        embed: the policy's encoder, where it has one.
        advance: called with 1 after each photograph.
    """
    looked = []
    for name, photo in photos:
        looked.append((name, copies_of(photo, policy, embed)))
        advance(1)
    return quality_of(looked, policy)


def quality_of(looked: Sequence[tuple[str, Sequence[Copy]]], policy: DedupePolicy) -> DedupQuality:
    """What the rule finds among (name, copies) of photographs.

    Of one photograph alone there is nothing to match falsely; its recalls are those that it has among others.
    """
    title = [name for name, _ in looked]
    rows = [copy for _, copies in looked for copy in copies]
    owner = [number for number, (_, copies) in enumerate(looked) for _ in copies]
    hashes = [row.hashes for row in rows]
    seen = None
    if policy.embedding is not None and all(row.seen for row in rows):
        seen = (
            [row.seen.vector if row.seen else None for row in rows],
            [row.seen.thumbnail if row.seen else None for row in rows],
        )
    edges = _edges(hashes, policy, seen)
    if policy.partial is not None:
        edges = _with_parts(edges, hashes, [row.points for row in rows], policy.partial)
    photo_of, names = np.array(owner), np.array([row.kind for row in rows])
    alike = _alike(edges, photo_of, names, hashes)
    known = _together(alike, len(title))
    found = dict.fromkeys(TRANSFORMS, 0)
    false = 0
    for i, j in edges[:, :2].tolist():
        if photo_of[i] == photo_of[j]:
            # Of two copies of one photograph neither is the original: no recall is counted for them.
            one, other = names[i], names[j]
            if not one or not other:
                found[str(one or other)] += 1
        elif known[int(photo_of[i])] != known[int(photo_of[j])]:
            false += 1
    each = len(TRANSFORMS) + 1
    count = len(title)
    return DedupQuality(
        photographs=count,
        recalls=tuple(
            Recall(transform=name, injected=count, found=found[name]) for name in TRANSFORMS
        ),
        compared=count * (count - 1) // 2 * each * each,
        false=false,
        alike=tuple((title[a], title[b], p, d) for a, b, p, d in alike),
    )


def _png(photo: Photo) -> bytes:
    from PIL import Image

    sink = io.BytesIO()
    Image.fromarray(photo).save(sink, "PNG", compress_level=1)
    return sink.getvalue()


def _edges(
    hashes: Sequence[SeenHashes], policy: DedupePolicy, seen: Seen | None
) -> NDArray[np.int64]:
    phash = np.array([h.phash for h in hashes], dtype=np.uint64)
    dhash = np.array([h.dhash for h in hashes], dtype=np.uint64)
    looks = (phash[:, 0], dhash[:, 0], phash[:, 1:], dhash[:, 1:])
    spread = np.array([h.spread for h in hashes], dtype=np.float64)
    edges = confirmed_edges(
        *looks, spread, policy, lambda rows: [hashes[row].thumbnail for row in rows.tolist()]
    )
    if seen is not None and policy.embedding is not None:
        more = seen_edges(seen, *looks, spread, policy, edges)
        edges = once(np.concatenate([edges, more]))
    return edges


def _with_parts(
    edges: NDArray[np.int64],
    hashes: Sequence[SeenHashes],
    points: Sequence[bytes],
    policy: PartialPolicy,
) -> NDArray[np.int64]:
    """The edges and the pairs that share a part, each pair once."""
    # Every photograph has all its copies among the candidates here.
    wide = replace(policy, most_candidates=max(policy.most_candidates, 2 * len(TRANSFORMS)))
    pairs = partial_pairs(points, [one.thumbnail for one in hashes], wide)
    phash, dhash = (
        np.array([getattr(one, name)[0] for one in hashes], dtype=np.uint64)
        for name in ("phash", "dhash")
    )
    bits = [np.bitwise_count(x[pairs[:, 0]] ^ x[pairs[:, 1]]) for x in (phash, dhash)]
    more = np.column_stack([pairs, *bits, np.zeros(len(pairs))]).astype(np.int64)
    known = {tuple(pair) for pair in edges[:, :2].tolist()}
    fresh = [tuple(pair) not in known for pair in pairs.tolist()]
    return np.concatenate([edges, more[np.array(fresh, dtype=bool)]])


def _alike(
    edges: NDArray[np.int64],
    photo_of: NDArray[Any],
    names: NDArray[Any],
    hashes: Sequence[SeenHashes],
) -> list[tuple[int, int, int, int]]:
    """(photograph, photograph, pHash distance, dHash distance) of those that are alike to begin with: their originals
    match, or one is a part of the other and copies of them match. These are copies that the folder had already."""
    found: dict[tuple[int, int], tuple[int, int]] = {}
    original = {int(photo): row for row, photo in enumerate(photo_of) if not names[row]}
    for i, j, p, d, _ in edges.tolist():
        a, b = sorted((int(photo_of[i]), int(photo_of[j])))
        if a == b or (a, b) in found:
            continue
        thumbnails = (hashes[original[one]].thumbnail for one in (a, b))
        lumas = [
            np.frombuffer(one, np.uint8, THUMB_PX * THUMB_PX).reshape(THUMB_PX, THUMB_PX)
            for one in thumbnails
        ]
        if (not names[i] and not names[j]) or fit(lumas[0], lumas[1]) >= A_PART:
            found[a, b] = (p, d)
    return [(a, b, p, d) for (a, b), (p, d) in sorted(found.items())]


A_PART = 0.9
"""Correlation of aligned thumbnails from which one photograph is a part of another (docs/adr/0012)."""


def _together(alike: Sequence[tuple[int, int, int, int]], count: int) -> list[int]:
    """The group of each photograph: those that are alike, over any chain, have one."""
    group = list(range(count))
    for a, b, _, _ in alike:
        old, new = group[b], group[a]
        group = [new if one == old else one for one in group]
    return group
