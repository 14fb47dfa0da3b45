"""Partial copies: crops, borders, letterboxes, pasted text, collages. Local features propose, geometry decides.

What hashes see is the whole frame, so a crop of a third is another picture to them. Points that are found again
(filters/duplicates/points.py) propose pairs (filters/duplicates/voting.py); here one similarity has to lay enough of
them on each other. What decides is their share in the common part, and whether that looks alike in small thumbnails or
is covered by agreeing points: a watermark on two photographs, or the head of two pages, is neither. A turned part is
found, a mirrored one by its mirror image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from filters.duplicates.confirm import is_flat
from filters.duplicates.hashing import THUMB_PX
from filters.duplicates.points import Floats, Ints, Points, unpacked
from filters.duplicates.voting import candidates_of
from filters.measures import opencv

Photo = NDArray[np.uint8]

NEAR_BITS = 26
"""Of 128: points that differ by more are not compared further."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How one picture lies in another."""

    agreeing: int
    """Points of either that lie on each other."""
    share: float
    """Of the points of the common part."""
    covered: float
    """Of its cells (BLOCKS x BLOCKS) with points in either picture: those with agreeing points."""
    to_second: Floats
    """[2, 3]: px of the first, at its working size, to px of the second."""


def fit_of(a: Points, b: Points) -> Fit | None:
    """The best similarity that lays `a` on `b`; None: fewer than four points agree."""
    if min(len(a.bits), len(b.bits)) < 4:
        return None
    first, second = _matches(a, b)
    if len(first) < 4:
        return None
    xy, to = a.places[first], b.places[second]
    grown = b.scales[second] - a.scales[first]
    turned = b.turns[second] - a.turns[first]
    # A hypothesis of each match (row): where do the others (column) come to lie?
    scale = np.exp2(grown)
    cos, sin = scale * np.cos(turned), scale * np.sin(turned)
    away = xy[None] - xy[:, None]
    x = to[:, None, 0] + cos[:, None] * away[..., 0] - sin[:, None] * away[..., 1]
    y = to[:, None, 1] + sin[:, None] * away[..., 0] + cos[:, None] * away[..., 1]
    off = np.hypot(x - to[None, :, 0], y - to[None, :, 1])
    reach = _LOOSE_PX + _LOOSE_SHARE * np.hypot(*np.moveaxis(away, -1, 0)) * scale[:, None]
    agree = (off <= reach) & (np.abs(grown[None] - grown[:, None]) <= _LOOSE_OCTAVES)
    turn_off = np.abs((turned[None] - turned[:, None] + np.pi) % (2 * np.pi) - np.pi)
    agree &= turn_off <= _LOOSE_TURN
    inliers = agree[int(np.argmax(agree.sum(axis=1)))]
    matrix = np.zeros((2, 3))
    for _ in range(3):
        if inliers.sum() < 4:
            return None
        matrix = _similarity(xy[inliers], to[inliers])
        off = np.hypot(*((xy @ matrix[:, :2].T + matrix[:, 2]) - to).T)
        size = np.hypot(matrix[0, 0], matrix[1, 0])
        inliers = off <= _TIGHT_PX * max(1.0, size)
        inliers &= np.abs(grown - np.log2(max(size, 1e-3))) <= _LOOSE_OCTAVES
    if inliers.sum() < 4:
        return None
    return _judged(a, b, matrix, to[inliers])


_LOOSE_PX, _LOOSE_SHARE = 8.0, 0.12
_LOOSE_OCTAVES, _LOOSE_TURN = 0.6, 0.35
_TIGHT_PX = 4.0


def _matches(a: Points, b: Points) -> tuple[Ints, Ints]:
    """Places in `a` and in `b` of points that are each other's nearest, and near."""
    bits = np.bitwise_count(a.bits[:, None] ^ b.bits[None]).sum(axis=2, dtype=np.int64)
    to = bits.argmin(axis=1)
    back = bits.argmin(axis=0)
    rows = np.arange(len(to))
    good = (back[to] == rows) & (bits[rows, to] <= NEAR_BITS)
    return rows[good], to[good]


def _similarity(xy: Floats, to: Floats) -> Floats:
    """[2, 3]: the turn, size and shift that lay points on points best (Umeyama 1991, without reflection)."""
    middle, there = xy.mean(axis=0), to.mean(axis=0)
    p, q = xy - middle, to - there
    size = max(float((p * p).sum()), 1e-9)
    cos = float((p * q).sum()) / size
    sin = float((p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum()) / size
    turn = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([turn, there - turn @ middle])


def _judged(a: Points, b: Points, matrix: Floats, inliers: Floats) -> Fit:
    size = max(float(np.hypot(matrix[0, 0], matrix[1, 0])), 1e-3)
    back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    counts, common = [], []
    for ours, others, way, grown in (
        (a, b, matrix, np.log2(size)),
        (b, a, back, -np.log2(size)),
    ):
        x, y = (ours.places @ way[:, :2].T + way[:, 2]).T
        there = (x >= 0) & (y >= 0) & (x < others.width) & (y < others.height)
        # A point that would be smaller there than any is no point there.
        low, high = others.scales.min() - 0.3, others.scales.max() + 0.3
        there &= (ours.scales + grown >= low) & (ours.scales + grown <= high)
        counts.append(int(there.sum()))
        common.append(np.stack([x, y], axis=1)[there] if ours is a else ours.places[there])
    # Of the cells of the common part, in the second picture, that have points in either.
    all_points = np.concatenate([*common, inliers])
    low, high = all_points.min(axis=0), all_points.max(axis=0)

    def cells(places: Floats) -> set[int]:
        at = np.minimum((places - low) * BLOCKS / np.maximum(high - low, 1e-6), BLOCKS - 1)
        return set((at.astype(np.int64) @ np.array([1, BLOCKS])).tolist())

    return Fit(
        agreeing=len(inliers),
        share=len(inliers) / max(1, min(counts)),
        covered=len(cells(inliers)) / len(cells(all_points)),
        to_second=matrix,
    )


def likeness(a: Points, b: Points, fit: Fit, first: Photo, second: Photo) -> float:
    """Correlation (-1 to 1, three digits) of thumbnails [64, 64] of luma over the common part; -1 where that has less
    than LEAST_COMMON of either's area or shows nothing."""
    cv2: Any = opencv()
    matrix = np.vstack([fit.to_second, [0.0, 0.0, 1.0]])
    size = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    # In the finer of the two: what lies in the other is enlarged there, and both are blurred alike.
    corners = np.array([[0, 0, 1], [a.width, 0, 1], [a.width, a.height, 1], [0, a.height, 1]])
    x, y = (corners @ matrix.T)[:, :2].T
    left, right = max(0.0, x.min()), min(float(b.width), x.max())
    top, bottom = max(0.0, y.min()), min(float(b.height), y.max())
    common = max(0.0, right - left) * max(0.0, bottom - top)
    smaller = min(b.width * b.height, a.width * a.height * size * size)
    if common < LEAST_COMMON * max(1.0, smaller):
        return -1.0
    steps = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    across, down = np.meshgrid(left + steps * (right - left), top + steps * (bottom - top))
    there = np.stack([across, down, np.ones_like(across)], axis=-1)
    here = there @ np.linalg.inv(matrix).T
    inside = (here[..., 0] >= 0) & (here[..., 0] < a.width)
    inside &= (here[..., 1] >= 0) & (here[..., 1] < a.height)
    if inside.sum() < 64:
        return -1.0
    seen = []
    for places, points, thumbnail in (
        (here, a, first),
        (there, b, second),
    ):
        shares = (THUMB_PX / points.width, THUMB_PX / points.height)
        grid = [(places[..., k] * shares[k] - 0.5).astype(np.float32) for k in (0, 1)]
        soft = thumbnail.astype(np.float32)
        plane = cv2.remap(soft, *grid, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        seen.append(plane)
    return _same_blocks(seen[0], seen[1], inside)


def _same_blocks(
    one: NDArray[np.float32], other: NDArray[np.float32], inside: NDArray[np.bool_]
) -> float:
    """Share of the blocks of two planes in which they correlate by BLOCK_CORRELATION, of those that show something."""
    blocks = []
    for plane in (one.astype(np.float64), other.astype(np.float64), inside.astype(np.float64)):
        cut = plane.reshape(BLOCKS, _SAMPLES // BLOCKS, BLOCKS, _SAMPLES // BLOCKS).swapaxes(1, 2)
        blocks.append(cut.reshape(BLOCKS * BLOCKS, -1))
    p, q, held = blocks
    held = held.all(axis=1)
    p, q = (
        p[held] - p[held].mean(axis=1, keepdims=True),
        q[held] - q[held].mean(axis=1, keepdims=True),
    )
    sizes = np.sqrt((p * p).mean(axis=1)), np.sqrt((q * q).mean(axis=1))
    shown = np.maximum(*sizes) >= BLOCK_SPREAD
    if shown.sum() < FEWEST_BLOCKS:
        return -1.0
    both = (p * q).mean(axis=1) / np.maximum(sizes[0] * sizes[1], 1e-9)
    return round(float((both[shown] >= BLOCK_CORRELATION).mean()), 3)


BLOCKS = 6
BLOCK_CORRELATION = 0.6
BLOCK_SPREAD = 4.0
FEWEST_BLOCKS = 8
LEAST_COMMON = 0.5
_SAMPLES = 48


@dataclass(frozen=True, kw_only=True)
class PartialPolicy:
    """When one picture is a part of another, or both share a part."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    least_agreeing: int = 8
    """Points that lie on each other, at least."""
    least_share: float = 0.15
    """Of the points of the common part."""
    least_likeness: float = 0.7
    """Share of blocks of the common part whose thumbnails agree, from which a pair is confirmed."""
    least_covered: float = 0.5
    """Share of the common part's cells that have agreeing points, from which a pair is confirmed without that: text was
    pasted over the rest."""
    most_candidates: int = 20
    """Of each picture, those with the most votes: bounds the work where many pictures are alike."""

    def __post_init__(self) -> None:
        shares = (self.least_share, self.least_likeness, self.least_covered)
        if not all(0.0 < share <= 1.0 for share in shares):
            raise ValueError(
                "least_share, least_likeness and least_covered are above 0 and at most 1."
            )
        if self.least_agreeing < 4 or self.most_candidates < 1:
            raise ValueError("least_agreeing is at least 4, most_candidates at least 1.")


def is_part(
    fit: Fit | None, a: Points, b: Points, thumbnails: tuple[Photo, Photo], policy: PartialPolicy
) -> bool:
    """Whether a fit and the thumbnails [64, 64] of both pictures say that they share a part."""
    if fit is None or fit.agreeing < policy.least_agreeing or fit.share < policy.least_share:
        return False
    alike = likeness(a, b, fit, *thumbnails)
    if all(is_flat(one.astype(np.float32)) for one in thumbnails):
        # Of two filled-in forms most is the same, and they are different papers.
        return alike >= max(LEAST_FLAT, policy.least_likeness)
    return round(fit.covered, 3) >= policy.least_covered or alike >= policy.least_likeness


LEAST_FLAT = 0.95
"""Share of blocks that has to agree in pages, forms and drawings: different forms reach .81, crops of pages 1."""


def partial_pairs(
    points: Sequence[bytes | None], thumbnails: Sequence[bytes | None], policy: PartialPolicy
) -> Ints:
    """[P, 2] rows i < j that share a part, sorted.

    Args:
        points: [N] as `points_of` packs them; None: not looked at.
        thumbnails: [N] as filters.duplicates.hashing.SeenHashes keeps them.
    """
    rows = [
        row
        for row, (one, thumb) in enumerate(zip(points, thumbnails, strict=True))
        if one and thumb
    ]
    plain = [unpacked(points[row] or b"") for row in rows]
    thumbs = [luma_of(thumbnails[row] or b"") for row in rows]
    mirrored: dict[int, Points] = {}
    found: set[tuple[int, int]] = set()
    for i, j, flipped in candidates_of(plain, policy.most_candidates).tolist():
        if (i, j) in found:
            continue
        second, thumb = plain[j], thumbs[j]
        if flipped:
            second, thumb = mirrored.setdefault(j, second.mirrored()), thumb[:, ::-1]
        if is_part(fit_of(plain[i], second), plain[i], second, (thumbs[i], thumb), policy):
            found.add((i, j))
    pairs = np.array(sorted((rows[i], rows[j]) for i, j in found), dtype=np.int64)
    return pairs.reshape(-1, 2)


def luma_of(thumbnail: bytes) -> Photo:
    """[64, 64] of a stored thumbnail."""
    return np.frombuffer(thumbnail, np.uint8, THUMB_PX * THUMB_PX).reshape(THUMB_PX, THUMB_PX)
