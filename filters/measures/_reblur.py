"""How much of an edge's steepness a small blur takes away, and how far the edge runs: two ways to see how sharp it is.

Blurring what is blurred already changes little (Crete et al., The blur effect, 2007). So at the ridges of the gradient
of the luma smoothed by 0.7 px, the ratio of the gradient as stored to it is near 1 where the picture is soft and well
above where it is sharp, sharpened or noisy. The run of an edge is how many pixels its luma goes on rising or falling
(Marziliano et al., A no-reference perceptual blur metric, 2002), at most 15 to each side. Both look at every third row,
and at no more points than percentiles need.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filters.measures import Floats, Photo, opencv
from filters.measures._edges import gradient_of
from filters.measures._inside import inside
from filters.measures._smooth import smoothed

FEWEST = 20
MOST_POINTS = 20_000
MOST_RUNS = 4000
SHARE_OF_EDGES = 0.1
SAMPLE = 4
EVERY_ROW = 3
"""Rows that are looked at: enough for percentiles of all."""
SMOOTHED_PX = 0.7
FURTHEST_PX = 15
LEAST_STEP = 0.5
"""Grey levels by which the luma has to go on."""


def ratios(photo: Photo) -> NDArray[np.float64]:
    """[n]: gradient as stored over the smoothed one at the ridges of the smoothed one, in logs."""
    photo = inside(photo)
    squares = [_squared(photo, i) for i in range(len(photo.lumas))]
    floor = _floor(squares)
    found: list[NDArray[np.float64]] = []
    for i, square in enumerate(squares):
        place = _steep(square, floor)
        # Every so many are enough for percentiles.
        place = place[:: 1 + len(place) * len(squares) // MOST_POINTS]
        dx, dy = (d.ravel()[place] for d in gradient_of(photo, SMOOTHED_PX, i))
        step = np.where(np.abs(dx) >= np.abs(dy), 1, square.shape[1])
        level = square.ravel()
        ridge = (level[place] >= level[place - step]) & (level[place] > level[place + step])
        place = place[ridge]
        light_dx, light_dy = (d.ravel()[place] for d in gradient_of(photo, 0.0, i))
        light = light_dx * light_dx + light_dy * light_dy
        # In float64, whose last digit is all that a processor's logarithm can change.
        quotient = (light + np.float32(1e-3)) / (level[place] + np.float32(1e-3))
        ratio: Any = 0.5 * np.log(quotient.astype(np.float64))
        found.append(ratio)
    return np.concatenate(found)


def _squared(photo: Photo, patch: int) -> Floats:
    """Squared length of the smoothed gradient, float32 [h, w]."""
    dx, dy = gradient_of(photo, SMOOTHED_PX, patch)
    squared: Any = dx * dx + dy * dy
    return squared


def _floor(squares: list[Floats]) -> float:
    """What a tenth of the pixels exceed, and at least one grey level per px."""
    sampled = np.concatenate([square[::SAMPLE, ::SAMPLE].ravel() for square in squares])
    return max(1.0, float(np.percentile(sampled, 100 * (1 - SHARE_OF_EDGES))))


def _steep(square: Floats, floor: float) -> NDArray[np.int64]:
    """Places in the flattened patch that exceed the floor, of every third row, one px from the rim at least."""
    row, column = np.nonzero(square[1:-1:EVERY_ROW, 1:-1] > floor)
    return (1 + EVERY_ROW * row) * square.shape[1] + 1 + column


def runs(photo: Photo) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """[n], [m]: px over which the luma goes on rising or falling at edges across x, and across y."""
    return photo.cached("edge runs", lambda: _runs(inside(photo)))


def run_statistic(
    photo: Photo, of: Callable[[NDArray[np.float32], NDArray[np.float32]], float]
) -> float | None:
    """A number made of both sets of runs; None where one has fewer than 20."""
    across, down = runs(photo)
    return None if min(len(across), len(down)) < FEWEST else of(across, down)


def _runs(photo: Photo) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    if min(photo.lumas[0].shape) < 16:
        return np.empty(0, np.float32), np.empty(0, np.float32)
    # All patches have one shape: as one array they need one pass.
    smooth = np.stack([smoothed(luma, SMOOTHED_PX) for luma in photo.lumas])
    found = [_run_lengths(smooth, _edge_tops(photo, axis), axis) for axis in (0, 1)]
    return found[0], found[1]


def _edge_tops(photo: Photo, axis: int) -> NDArray[np.int64]:
    """Places, in all patches flattened one behind the other, where the step along an axis is at its steepest."""
    cv2 = opencv()
    steps = [
        cv2.absdiff(gradient_of(photo, SMOOTHED_PX, i)[axis], 0.0) for i in range(len(photo.lumas))
    ]
    sampled = np.concatenate([s[::SAMPLE, ::SAMPLE].ravel() for s in steps])
    floor = max(1.0, float(np.percentile(sampled, 93)))
    found: list[NDArray[np.int64]] = []
    for i, step in enumerate(steps):
        stride = 1 if axis == 0 else step.shape[1]
        place, flat = _steep(step, floor), step.ravel()
        at = flat[place]
        place = place[(at > flat[place - stride]) & (at >= flat[place + stride])]
        most = MOST_RUNS // len(steps)
        if len(place) > most:
            place = place[np.linspace(0, len(place) - 1, most).astype(np.int64)]
        found.append(place + i * flat.size)
    return np.concatenate(found)


def _run_lengths(
    planes: NDArray[np.float32], place: NDArray[np.int64], axis: int
) -> NDArray[np.float32]:
    """Px, for each place: [n]."""
    _, height, width = planes.shape
    stride = 1 if axis == 0 else width
    luma = planes.ravel()
    sign = np.sign(luma[place + stride] - luma[place - stride])
    along = place % width if axis == 0 else place // width % height
    last = (width if axis == 0 else height) - 1
    length = np.zeros(len(place), np.float32)
    for way in (1, -1):
        # Only those that still go on are looked at.
        going = np.arange(len(place))
        at = luma[place]
        for far in range(1, FURTHEST_PX + 1):
            where = along[going] + way * far
            inner = (where >= 0) & (where <= last)
            going, at = going[inner], at[inner]
            ahead = luma[place[going] + way * far * stride]
            onward = (ahead - at) * sign[going] * way > LEAST_STEP
            going, at = going[onward], ahead[onward]
            if not len(going):
                break
            length[going] += 1
    return length
