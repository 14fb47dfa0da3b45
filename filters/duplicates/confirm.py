"""Are two pictures whose hashes agree one picture? Their thumbnails are laid over each other where hashes say little.

Text pages, tables, forms and flat drawings share their hashes with their like: the layout is most of what 64 bits hold.
Fog and night leave few levels to hash. Of such pairs (and of every pair, more leniently) the fine part of the
thumbnails, without what a blur of 4 px leaves, has to correlate at some small shift and scale. Colors have to agree
where both have any: flags of one pattern are different pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filters.duplicates.hashing import CHROMA_PX, LOW_CONTRAST, THUMB_PX, TURNS
from filters.duplicates.patches import one_backdrop, written_on

Ints = NDArray[np.int64]
Thumbnails = Callable[[Ints], Sequence[bytes | None]]
"""Rows -> the thumbnail of each, as filters.duplicates.hashing.SeenHashes keeps it; None: none was kept, and hashes
alone confirm its pairs."""

VERSION = "confirm-2"
"""Raised when another pair is confirmed."""
FLAT_SPREAD = 15.0
"""Pictures of a smaller spread (0 to 255) are pages, drawings, fog: their pairs need a strict confirmation. Of 37
photographs of `make photos` the spread is 26 and more in nine of ten; text pages have 11 to 14, forms 10, tables 12."""
FLAT_SHARE = 0.5
"""So do pictures of which this share lies in two levels of grey."""
LEAST = 0.6
"""Correlation that every pair needs, unless one of the two was written on (filters/duplicates/patches.py). Copies of
photographs have .8 and more, turned by two degrees .63, different portraits before one backdrop up to .67."""
SURE = 0.8
"""Correlation from which nobody asks whether it is the backdrop alone that agrees."""
LEAST_STRICT = 0.93
"""Of flat pictures: pairs of different forms, pages and tables reach .89, copies of pages .97."""
LEAST_DARK = 0.7
"""Of low contrast: night shots saved as JPEG 30 have .82."""
SMOOTH = 1.0
"""Standard deviation of the fine part below which there is none: then the thumbnails themselves have to agree."""
LEAST_SMOOTH = 0.995
_SCALES = (1.0, 0.985, 0.97, 0.955, 0.94, 0.92)
_FINER = 2
"""Thumbnails are enlarged so many times before they are laid over each other: a crop seldom falls on whole pixels."""
_SHIFT_PX = 2
_BLUR_PX = 4.0
COLORFUL = 12.0
"""Root mean square of Cb and Cr from which a picture has a color to compare."""
LEAST_HUE = 0.25
"""Cosine of the colors of two pictures that both have some."""


@dataclass(frozen=True)
class _Planes:
    """A thumbnail made finer, and its fine part."""

    luma: NDArray[np.float32]
    fine: NDArray[np.float32]

    def turned(self, turn: Callable[[NDArray[Any]], NDArray[Any]]) -> _Planes:
        return _Planes(*(np.ascontiguousarray(turn(plane)) for plane in (self.luma, self.fine)))


def _planes(luma: NDArray[np.float32]) -> _Planes:
    finer = _finer(luma)
    return _Planes(finer, _fine(finer))


def confirmed(
    first: Ints,
    second: Ints,
    look: Ints,
    spread: NDArray[np.float64],
    thumbnails: Thumbnails,
) -> NDArray[np.bool_]:
    """[P]: whether thumbnails confirm the pairs, `second` seen in `look`.

    Args:
        spread: [N], of all rows.
    """
    rows, places = np.unique(np.concatenate([first, second]), return_inverse=True)
    stored = thumbnails(rows)
    known = np.array([bool(one) for one in stored], dtype=bool)
    whole = [one or bytes(THUMB_PX * THUMB_PX + 2 * CHROMA_PX * CHROMA_PX) for one in stored]
    lumas = [_luma(one) for one in whole]
    chromas = [_chroma(one) for one in whole]
    planes = [_planes(luma) for luma in lumas]
    paper = np.array([is_flat(luma) for luma in lumas], dtype=bool)
    flat = paper | (spread[rows] < FLAT_SPREAD)
    dark = spread[rows] < LOW_CONTRAST
    good = np.zeros(len(first), dtype=bool)
    for pair, (a, b, way) in enumerate(
        zip(places[: len(first)], places[len(first) :], look.tolist(), strict=True)
    ):
        if not (known[a] and known[b]):
            good[pair] = True
            continue
        turn = TURNS[way]
        if not _same_colors(chromas[a], turn(chromas[b])):
            continue
        least = LEAST_DARK if dark[a] or dark[b] else LEAST
        # A page that noise or JPEG has worked on is none by its levels; the other one tells.
        if ((flat[a] and flat[b]) or paper[a] or paper[b]) and not (dark[a] and dark[b]):
            least = LEAST_STRICT
        good[pair] = _agree(planes[a], planes[b].turned(turn), least)
    return good


def _luma(stored: bytes) -> NDArray[np.float32]:
    plane = np.frombuffer(stored, np.uint8, THUMB_PX * THUMB_PX)
    return plane.reshape(THUMB_PX, THUMB_PX).astype(np.float32)


def _chroma(stored: bytes) -> NDArray[np.float32]:
    planes = np.frombuffer(stored, np.uint8, offset=THUMB_PX * THUMB_PX)
    return planes.reshape(CHROMA_PX, CHROMA_PX, 2).astype(np.float32) - 128.0


def is_flat(luma: NDArray[np.float32]) -> bool:
    """Whether half of it lies in two levels of grey, four wide: paper and ink, or the fields of a drawing."""
    counts = np.bincount(luma.astype(np.uint8).ravel() // 4, minlength=64)
    return bool(np.sort(counts)[-2:].sum() >= FLAT_SHARE * luma.size)


def _same_colors(a: NDArray[np.float32], b: NDArray[np.float32]) -> bool:
    """Whether the hues agree, where both pictures have some; a grey copy has none."""
    sizes = [float(np.sqrt((x * x).sum(axis=2).mean())) for x in (a, b)]
    if min(sizes) < COLORFUL:
        return True
    cosine = float((a * b).sum()) / float(np.sqrt((a * a).sum() * (b * b).sum()))
    return cosine >= LEAST_HUE


def _agree(a: _Planes, b: _Planes, least: float) -> bool:
    """Whether two pictures correlate by `least` in their fine part, at some small shift and scale."""
    if min(float(a.fine.std()), float(b.fine.std())) < SMOOTH:
        return _correlation(a.luma, b.luma) >= LEAST_SMOOTH
    best, sure = _best(a.fine, b.fine), max(least, SURE)
    if best >= sure:
        return True
    laid = (a.fine, b.fine)
    if written_on(*_aligned(*laid), flat=least == LEAST_STRICT):
        return True
    for scale in _SCALES[1:]:
        for large, small in ((a, b), (b, a)):
            other = (large.fine, _fine(_reduced(small.luma, scale)))
            agreed = _best(*other)
            if agreed >= sure:
                return True
            if agreed > best:
                best, laid = agreed, other
    return best >= least and not one_backdrop(*_aligned(*laid))


def _aligned(
    large: NDArray[np.float32], small: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The window of a fine part, which may reach over its edge, in which the other lies best, and that; [128, 128]."""
    import cv2

    around, found = _match(large, small)
    top, left = np.unravel_index(int(np.argmax(found)), found.shape)
    window = around[top : top + small.shape[0], left : left + small.shape[1]]
    whole = (THUMB_PX * _FINER, THUMB_PX * _FINER)
    first, second = (
        cv2.resize(np.ascontiguousarray(one), whole, interpolation=cv2.INTER_LINEAR)
        for one in (window, small)
    )
    return np.asarray(first, dtype=np.float32), np.asarray(second, dtype=np.float32)


def _fine(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    import cv2

    blurred = cv2.GaussianBlur(luma, (0, 0), _BLUR_PX * _FINER)
    return np.asarray(luma - blurred, dtype=np.float32)


def _finer(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    import cv2

    size = (THUMB_PX * _FINER, THUMB_PX * _FINER)
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    x, y = a.ravel() - a.mean(), b.ravel() - b.mean()
    size = float(np.sqrt((x @ x) * (y @ y)))
    # Two blanks: what they have in common is their level.
    return float(x @ y) / size if size > 0 else float(abs(a.mean() - b.mean()) < 1.0)


def _reduced(luma: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    import cv2

    px = round(THUMB_PX * _FINER * scale)
    return np.asarray(cv2.resize(luma, (px, px), interpolation=cv2.INTER_AREA), dtype=np.float32)


def _best(large: NDArray[np.float32], small: NDArray[np.float32]) -> float:
    """Highest correlation, three digits, of one fine part with a window of the other, which may reach over its edge."""
    found = _match(large, small)[1]
    found = found[np.isfinite(found) & (np.abs(found) <= 1.001)]
    return round(float(found.max(initial=-1.0)), 3)


def _match(
    large: NDArray[np.float32], small: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The larger part with its edges mirrored, and how the smaller correlates with it at each place."""
    import cv2

    around = cv2.copyMakeBorder(large, *(_SHIFT_PX * _FINER,) * 4, borderType=cv2.BORDER_REFLECT)
    found = cv2.matchTemplate(around, small, cv2.TM_CCOEFF_NORMED)
    return np.asarray(around, dtype=np.float32), np.asarray(found, dtype=np.float32)
