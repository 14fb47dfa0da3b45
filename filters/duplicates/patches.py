"""Where two pictures that lie on each other differ: in one rectangle, or everywhere.

A copy with text written on it differs in a small one and agrees nearly to the last around it. Portraits before one
backdrop agree around a large one, in which somebody else sits. Sums over cells, added up from a corner, give the
correlation inside and outside of every rectangle at once.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CELLS = 16
"""Rectangles end on this grid."""
SMALL, LARGE = 0.2, 0.5
"""Shares of the area: a line of text, a stamp or a watermark covers no more than the first, a sitter no more than the
second."""
LEAST_ELSEWHERE = 0.99
"""Correlation around a small rectangle from which a picture is one that was written on. Of 74 photographs with text on
them all but those found anyway have .993, of different portraits before one backdrop the highest is .89."""
LEAST_ELSEWHERE_FLAT = 0.995
"""Of pages and drawings, which have .996 as JPEG 30; different pages, tables and forms reach .94, forms of which a
third of the answers are the same .98."""
LEAST_LEFT, LEAST_LEFT_FLAT = 0.1, 0.5
"""Share of either picture's fine part that lies around the rectangle."""
BACKDROP = 0.9
"""Correlation around a large rectangle from which it is one backdrop."""
OTHER = 0.65
"""Correlation inside of it up to which another one sits there."""

Plane = NDArray[np.float32]


class _Around(NamedTuple):
    """Of each rectangle [R]."""

    inside: NDArray[np.float64]
    outside: NDArray[np.float64]
    left: NDArray[np.float64]
    """Share of the energy outside, of the picture that has less there."""


def written_on(a: Plane, b: Plane, *, flat: bool) -> bool:
    """Whether fine parts [P, P] that lie on each other agree nearly to the last around one small rectangle."""
    found = _around(a, b, 0.0, SMALL)
    good = found.left >= (LEAST_LEFT_FLAT if flat else LEAST_LEFT)
    best = round(float(found.outside[good].max(initial=-1.0)), 3)
    return best >= (LEAST_ELSEWHERE_FLAT if flat else LEAST_ELSEWHERE)


def one_backdrop(a: Plane, b: Plane) -> bool:
    """Whether they agree around one large rectangle and show something else in it."""
    found = _around(a, b, SMALL, LARGE)
    around = (found.left >= LEAST_LEFT) & (found.outside.round(3) >= BACKDROP)
    return bool(round(float(found.inside[around].min(initial=1.0)), 3) <= OTHER)


def _around(a: Plane, b: Plane, above: float, most: float) -> _Around:
    """Of the rectangles that cover more than one share and another at most."""
    side = a.shape[0] // CELLS
    top, bottom, left, right = _rectangles(above, most)
    inside, whole = [], []
    for product in (a * a, b * b, a * b):
        cells = product.reshape(CELLS, side, CELLS, side).sum(axis=(1, 3), dtype=np.float64)
        sums = np.pad(cells.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
        inside.append(sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left])
        whole.append(float(sums[-1, -1]))
    outside = [all_of - part for all_of, part in zip(whole, inside, strict=True)]
    return _Around(
        inside=_correlation(*inside),
        outside=_correlation(*outside),
        left=np.minimum(outside[0] / max(whole[0], 1e-9), outside[1] / max(whole[1], 1e-9)),
    )


def _correlation(
    ours: NDArray[np.float64], theirs: NDArray[np.float64], both: NDArray[np.float64]
) -> NDArray[np.float64]:
    return both / np.sqrt(np.maximum(ours * theirs, 1e-9))


@cache
def _rectangles(above: float, most: float) -> NDArray[np.int64]:
    """[4, R] top, bottom, left and right, in cells."""
    ends = [(low, high) for low in range(CELLS) for high in range(low + 1, CELLS + 1)]
    every = np.array([(*down, *over) for down in ends for over in ends], dtype=np.int64).T
    share = (every[1] - every[0]) * (every[3] - every[2]) / CELLS**2
    return every[:, (share > above) & (share <= most)]
