"""Points of a picture that are found again in a crop, a collage or a scaled copy of it, 23 bytes each.

SIFT (Lowe 2004; OpenCV's, its patent has expired), at a working size, spread over the frame: place, scale, direction,
and 128 bits that say which values of the descriptor are above its median. Where they lie in another picture is decided
in filters/duplicates/partial.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from filters.measures import opencv

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

VERSION = "1"
"""Raised when a stored point would change."""
WORKING_PX = 640
"""Longest side at which points are looked for."""
MOST_POINTS = 300
GRID = 4
"""Points are chosen in GRID x GRID cells, so that one busy corner does not take them all."""
_HEAD = np.dtype([("width", "<u2"), ("height", "<u2")])
_POINT = np.dtype(
    [("x", "<u2"), ("y", "<u2"), ("size", "<f2"), ("angle", "u1"), ("bits", "u1", (16,))]
)
PLACES = 16
"""Places are stored in sixteenths of a pixel."""
_TURNS = 256
"""Directions are stored in so many steps of a circle."""


def points_of(grey: NDArray[np.uint8]) -> bytes:
    """The points of luma [H, W], packed; a head alone where there is nothing to hold on to."""
    cv2 = opencv()
    height, width = grey.shape
    share = min(1.0, WORKING_PX / max(height, width))
    size = (max(1, round(width * share)), max(1, round(height * share)))
    small = grey if share == 1.0 else cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    head = np.array([size], dtype=_HEAD).tobytes()
    if min(size) < 16:
        return head
    found, descriptors = cv2.SIFT_create(contrastThreshold=0.015).detectAndCompute(small, None)
    if descriptors is None or not len(found):
        return head
    places = np.array([key.pt for key in found], dtype=np.float64)
    strength = np.array([key.response for key in found])
    chosen = _spread(places, strength, size)
    packed = np.zeros(len(chosen), dtype=_POINT)
    for name, axis in (("x", 0), ("y", 1)):
        packed[name] = np.clip(np.rint(places[chosen, axis] * PLACES), 0, 65_535)
    packed["size"] = np.array([key.size for key in found])[chosen]
    turns = np.array([key.angle for key in found])[chosen] * (_TURNS / 360)
    packed["angle"] = np.rint(turns).astype(np.int64) % _TURNS
    packed["bits"] = _bits(np.asarray(descriptors)[chosen])
    return head + packed.tobytes()


def _spread(places: Floats, strength: Floats, size: tuple[int, int]) -> Ints:
    """The strongest points of each cell, then the strongest of the rest; one for each place and direction."""
    column, row = (
        np.minimum((places[:, axis] * GRID / side).astype(np.int64), GRID - 1)
        for axis, side in enumerate(size)
    )
    cell = row * GRID + column
    order = np.lexsort((places[:, 1], places[:, 0], -strength, cell))
    rank = np.arange(len(order)) - np.searchsorted(cell[order], cell[order], side="left")
    by_rank = np.lexsort((places[order, 1], places[order, 0], -strength[order], rank))
    first = MOST_POINTS // (GRID * GRID)
    early = order[rank < first]
    late = order[by_rank][rank[by_rank] >= first]
    return np.concatenate([early, late])[:MOST_POINTS]


def _bits(descriptors: NDArray[np.float32]) -> NDArray[np.uint8]:
    """[n, 16]: of each descriptor [128] which values are above its median."""
    return np.packbits(descriptors > np.median(descriptors, axis=1, keepdims=True), axis=1)


@dataclass(frozen=True, kw_only=True)
class Points:
    """Points of one picture, unpacked."""

    width: int
    """Of the picture at its working size, px."""
    height: int
    places: Floats
    """[n, 2] x, y in px."""
    scales: Floats
    """[n] diameter in px, log2."""
    turns: Floats
    """[n] radians."""
    bits: NDArray[np.uint64]
    """[n, 2]"""

    def mirrored(self) -> Points:
        """The points of the mirror image."""
        places = self.places.copy()
        places[:, 0] = self.width - 1 - places[:, 0]
        octets = self.bits.view(np.uint8).reshape(-1, 16)
        unpacked = np.unpackbits(octets, axis=1)[:, _MIRROR]
        bits = np.ascontiguousarray(np.packbits(unpacked, axis=1)).view(np.uint64)
        return Points(
            width=self.width,
            height=self.height,
            places=places,
            scales=self.scales,
            turns=np.pi - self.turns,
            bits=bits,
        )


# SIFT's values stand by row and column of a grid of 4 x 4 along the point's direction, 8 directions each: a mirror
# turns the order of the rows and the sense of the directions.
_MIRROR = np.array(
    [((3 - r) * 4 + c) * 8 + -o % 8 for r in range(4) for c in range(4) for o in range(8)]
)


def unpacked(stored: bytes) -> Points:
    """What `points_of` packed."""
    head = np.frombuffer(stored[: _HEAD.itemsize], _HEAD)[0]
    points = np.frombuffer(stored, _POINT, offset=_HEAD.itemsize)
    return Points(
        width=int(head["width"]),
        height=int(head["height"]),
        places=np.stack([points["x"], points["y"]], axis=1).astype(np.float64) / PLACES,
        scales=np.log2(np.maximum(points["size"].astype(np.float64), 0.1)),
        turns=points["angle"].astype(np.float64) * (2 * np.pi / _TURNS),
        bits=np.ascontiguousarray(points["bits"]).view(np.uint64).reshape(-1, 2),
    )
