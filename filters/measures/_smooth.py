"""Smoothing and gradients whose every step is one IEEE operation per pixel: the same bits on any processor.

OpenCV fuses multiplication and addition where the processor can, so its last digits depend on it. Both agree with
OpenCV's GaussianBlur and Scharr to some 6e-5 grey levels. Rows are worked on in strips that fit into a cache, and are
long enough that the calls themselves cost little.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from filters.measures import Floats, opencv

STRIP_PX = 32768


def smoothed(plane: Floats, sigma_px: float) -> Floats:
    """A plane float32 [h, w] by a Gaussian of that deviation, mirrored about its outermost pixels, in float32."""
    weights = _weights(sigma_px)
    radius = len(weights) - 1
    height, width = plane.shape
    padded = np.pad(plane, radius, mode="reflect" if min(plane.shape) > 1 else "edge")
    across = np.empty((height + 2 * radius, width), np.float32)
    for rows in _strips(*across.shape):
        strip = padded[rows]
        _fold([strip[:, i : i + width] for i in range(2 * radius + 1)], weights, across[rows])
    found = np.empty_like(plane)
    for rows in _strips(height, width):
        near = across[rows.start : rows.stop + 2 * radius]
        down = [near[i : i + rows.stop - rows.start] for i in range(2 * radius + 1)]
        _fold(down, weights, found[rows])
    return found


def scharr(plane: Floats) -> tuple[Floats, Floats]:
    """Components of the gradient across and down, float32 [h, w], per px."""
    padded = np.pad(plane, 1, mode="reflect" if min(plane.shape) > 1 else "edge")
    dx, dy = np.empty_like(plane), np.empty_like(plane)
    for rows in _strips(*plane.shape):
        near = padded[rows.start : rows.stop + 2]
        right = near[:, 2:] - near[:, :-2]
        _three_ten_three(right[:-2], right[1:-1], right[2:], out=dx[rows])
        below = near[2:] - near[:-2]
        _three_ten_three(below[:, :-2], below[:, 1:-1], below[:, 2:], out=dy[rows])
    return dx, dy


def scharr_at(plane: Floats, place: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """The same at places of the flattened plane, none of them on its rim: float32 [n] each, bit for bit."""
    width, flat = plane.shape[1], plane.ravel()
    near = {(y, x): flat[place + y * width + x] for y in (-1, 0, 1) for x in (-1, 0, 1) if x or y}
    dx, dy = np.empty(len(place), np.float32), np.empty(len(place), np.float32)
    _three_ten_three(*(near[y, 1] - near[y, -1] for y in (-1, 0, 1)), out=dx)
    _three_ten_three(*(near[1, x] - near[-1, x] for x in (-1, 0, 1)), out=dy)
    return dx, dy


def _three_ten_three(before: Floats, here: Floats, behind: Floats, *, out: Floats) -> None:
    """(3 (before + behind) + 10 here) / 32, each step rounded."""
    np.add(before, behind, out=out)
    out *= np.float32(3)
    out += np.float32(10) * here
    out *= np.float32(1 / 32)


def _strips(height: int, width: int) -> list[slice]:
    rows = max(16, STRIP_PX // width)
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]


def _fold(shifted: list[Floats], weights: Floats, out: Floats) -> None:
    """Weighted sum from the middle outwards; both sides share a weight."""
    middle = len(weights) - 1
    np.multiply(shifted[middle], weights[0], out=out)
    pair = np.empty_like(out)
    for far in range(1, middle + 1):
        np.add(shifted[middle - far], shifted[middle + far], out=pair)
        pair *= weights[far]
        out += pair


@cache
def _weights(sigma_px: float) -> Floats:
    """[radius + 1] from the middle outwards, of OpenCV's size: 8 deviations. OpenCV makes them in software floats."""
    size = round(sigma_px * 8 + 1) | 1
    cv2 = opencv()
    return cv2.getGaussianKernel(size, sigma_px, cv2.CV_64F).ravel()[size // 2 :].astype(np.float32)
