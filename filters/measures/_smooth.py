"""Smoothing and gradients whose every step is one IEEE operation per pixel: the same bits on any processor.

OpenCV fuses multiplication and addition where the processor can, so its last digits depend on it. Both agree with
OpenCV's GaussianBlur and Scharr to some 6e-5 grey levels. Rows are worked on in strips that fit into a cache, each as
one long line, so that the calls themselves cost little.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from filters.measures import Floats, opencv

STRIP_PX = 32768
_LAST = np.float32(1 / 32)


def smoothed(plane: Floats, sigma_px: float) -> Floats:
    """A plane float32 [h, w] by a Gaussian of that deviation, mirrored about its outermost pixels, in float32."""
    weights = _weights(sigma_px)
    reach = len(weights) - 1
    height, width = plane.shape
    padded = _padded(plane, reach)
    across = np.empty((height + 2 * reach, width), np.float32)
    for rows in _strips(*padded.shape):
        # One long line, because a call a row costs more: what reaches over the end of a row is left out at the end.
        line = padded[rows].ravel()
        total, pair = _lines(2, len(line))
        count = len(line) - 2 * reach
        _fold([line[i : i + count] for i in range(2 * reach + 1)], weights, total, pair)
        whole = (one.reshape(-1, padded.shape[1])[:, :width] for one in (total, pair))
        np.add(*whole, out=across[rows])
    found = np.empty_like(plane, order="C")
    for rows in _strips(height, width):
        near = across[rows.start : rows.stop + 2 * reach].ravel()
        out = found[rows].ravel()
        total, pair = _lines(2, len(out))
        down = [near[i * width : i * width + len(out)] for i in range(2 * reach + 1)]
        _fold(down, weights, total, pair)
        np.add(total, pair, out=out)
    return found


def scharr(plane: Floats) -> tuple[Floats, Floats]:
    """Components of the gradient across and down, float32 [h, w], per px."""
    height, width = plane.shape
    padded = _padded(plane, 1)
    step = width + 2
    dx, dy = (np.empty((height, width), np.float32) for _ in range(2))
    for rows in _strips(height, step):
        near = padded[rows.start : rows.stop + 2].ravel()
        total, ten, apart = _lines(3, len(near))
        count = len(near) - 2 * step - 2
        longer = count + 2 * step
        right = np.subtract(near[2:], near[:-2], out=apart[:longer])
        lines = [right[:count], right[step:][:count], right[2 * step :]]
        _three_ten_three(lines, total[:count], ten[:count])
        _rows_of(total, step, dx[rows])
        below = np.subtract(near[2 * step :], near[: -2 * step], out=apart[: count + 2])
        lines = [below[:-2], below[1:-1], below[2:]]
        _three_ten_three(lines, total[:count], ten[:count])
        _rows_of(total, step, dy[rows])
    return dx, dy


def scharr_at(plane: Floats, place: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """The same at places of the flattened plane, none of them on its rim: float32 [n] each, bit for bit."""
    width, flat = plane.shape[1], plane.ravel()
    near = {(y, x): flat[place + y * width + x] for y in (-1, 0, 1) for x in (-1, 0, 1) if x or y}
    dx, dy, ten = (np.empty(len(place), np.float32) for _ in range(3))
    _three_ten_three([near[y, 1] - near[y, -1] for y in (-1, 0, 1)], dx, ten)
    _three_ten_three([near[1, x] - near[-1, x] for x in (-1, 0, 1)], dy, ten)
    return dx * _LAST, dy * _LAST


def _three_ten_three(lines: list[Floats], total: Floats, ten: Floats) -> None:
    """3 (before + behind) + 10 here, each step rounded, into `total`; _LAST makes a gradient of it."""
    before, here, behind = lines
    np.add(before, behind, out=total)
    np.multiply(total, np.float32(3), out=total)
    np.multiply(here, np.float32(10), out=ten)
    np.add(total, ten, out=total)


def _rows_of(line: Floats, step: int, out: Floats) -> None:
    """The gradient from the line of its rows, `step` px each."""
    rows, width = out.shape
    np.multiply(line[: rows * step].reshape(rows, step)[:, :width], _LAST, out=out)


def _padded(plane: Floats, reach: int) -> Floats:
    cv2 = opencv()
    border = cv2.BORDER_REFLECT_101 if min(plane.shape) > 1 else cv2.BORDER_REPLICATE
    return cv2.copyMakeBorder(plane, reach, reach, reach, reach, border)


def _strips(height: int, width: int) -> list[slice]:
    rows = max(1, STRIP_PX // width)
    return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]


def _lines(count: int, length: int) -> list[Floats]:
    return [np.empty(length, np.float32) for _ in range(count)]


def _fold(shifted: list[Floats], weights: Floats, total: Floats, pair: Floats) -> None:
    """Weighted sum from the middle outwards; both sides share a weight. The outermost stay in `pair`, to be added."""
    middle, count = len(weights) - 1, len(shifted[0])
    total, pair = total[:count], pair[:count]
    np.multiply(shifted[middle], weights[0], out=total)
    for far in range(1, middle + 1):
        if far > 1:
            np.add(total, pair, out=total)
        np.add(shifted[middle - far], shifted[middle + far], out=pair)
        np.multiply(pair, weights[far], out=pair)


@cache
def _weights(sigma_px: float) -> Floats:
    """[radius + 1] from the middle outwards, of OpenCV's size: 8 deviations. OpenCV makes them in software floats."""
    size = round(sigma_px * 8 + 1) | 1
    cv2 = opencv()
    return cv2.getGaussianKernel(size, sigma_px, cv2.CV_64F).ravel()[size // 2 :].astype(np.float32)
