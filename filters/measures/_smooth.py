"""Smoothing and gradients whose every step is one IEEE operation per pixel: the same bits on any processor.

OpenCV fuses multiplication and addition where the processor can, so its last digits depend on it. Both agree with
OpenCV's GaussianBlur and Scharr to some 6e-5 grey levels. Rows are worked on in strips that fit into a cache.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from filters.measures import Floats, opencv

STRIP_ROWS = 64


def smoothed(plane: Floats, sigma_px: float) -> Floats:
    """A plane float32 [h, w] by a Gaussian of that deviation, mirrored about its outermost pixels, in float32."""
    weights = _weights(sigma_px)
    radius = len(weights) - 1
    height, width = plane.shape
    padded = np.pad(plane, radius, mode="reflect" if min(plane.shape) > 1 else "edge")
    found = np.empty_like(plane)
    for top in range(0, height, STRIP_ROWS):
        rows = min(STRIP_ROWS, height - top)
        strip = padded[top : top + rows + 2 * radius]
        across = _folded([strip[:, i : i + width] for i in range(2 * radius + 1)], weights)
        down = [across[i : i + rows] for i in range(2 * radius + 1)]
        found[top : top + rows] = _folded(down, weights)
    return found


def scharr(plane: Floats) -> tuple[Floats, Floats]:
    """Components of the gradient across and down, float32 [h, w], per px."""
    padded = np.pad(plane, 1, mode="reflect" if min(plane.shape) > 1 else "edge")
    three, ten, scale = np.float32(3), np.float32(10), np.float32(1 / 32)
    right = padded[:, 2:] - padded[:, :-2]
    below = padded[2:] - padded[:-2]
    dx = (three * (right[:-2] + right[2:]) + ten * right[1:-1]) * scale
    dy = (three * (below[:, :-2] + below[:, 2:]) + ten * below[:, 1:-1]) * scale
    return np.asarray(dx, np.float32), np.asarray(dy, np.float32)


def _folded(shifted: list[Floats], weights: Floats) -> Floats:
    """Weighted sum from the middle outwards; both sides share a weight."""
    middle = len(weights) - 1
    total = shifted[middle] * weights[0]
    pair = np.empty_like(total)
    for far in range(1, middle + 1):
        np.add(shifted[middle - far], shifted[middle + far], out=pair)
        pair *= weights[far]
        total += pair
    return total


@cache
def _weights(sigma_px: float) -> Floats:
    """[radius + 1] from the middle outwards, of OpenCV's size: 8 deviations. OpenCV makes them in software floats."""
    size = round(sigma_px * 8 + 1) | 1
    cv2 = opencv()
    return cv2.getGaussianKernel(size, sigma_px, cv2.CV_64F).ravel()[size // 2 :].astype(np.float32)
