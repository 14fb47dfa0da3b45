"""How much luma jumps at every eighth row and column more than elsewhere. More is blockier; 0 is none.

A pixel counts where the step to its neighbour exceeds the steps before and behind it; the share of such pixels per
column (and row), averaged by phase modulo 8: the highest phase less the mean of the others, averaged over both
directions. Finds a block grid at any offset; a grid that was resized is at other periods: see resized_grid.

None: smaller than 24 px.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from filters.measures import Floats, Photo, opencv

VERSION = "2"


def measure(photo: Photo) -> float | None:
    """Share of pixels, 0 to 1."""
    if min(photo.rgb.shape[:2]) < 24:
        return None
    rows, columns = by_phase(photo)
    excess = [float(p.max() - (p.sum() - p.max()) / 7) for p in (rows, columns)]
    return (excess[0] + excess[1]) / 2


def grid_phases(photo: Photo) -> tuple[int, int]:
    """(row, column) of the upper left corner of the likeliest 8x8 grid, the same in every patch."""
    if min(photo.rgb.shape[:2]) < 24:
        return 0, 0
    rows, columns = by_phase(photo)
    # A step between columns x and x + 1 has phase x modulo 8; the block begins at x + 1.
    return (int(rows.argmax()) + 1) % 8, (int(columns.argmax()) + 1) % 8


def by_phase(photo: Photo) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[8], [8]: share of steps that exceed both neighbouring steps, by row and by column modulo 8."""
    found = photo.cached("blockiness.by_phase", lambda: _measured_phases(photo))
    return found


def jumps(photo: Photo) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Of each patch the share of such steps in every row [h - 3] and in every column [w - 3]."""
    return photo.cached(
        "blockiness.jumps",
        lambda: [(_larger(luma, 0), _larger(luma, 1)) for luma in photo.lumas],
    )


def _measured_phases(photo: Photo) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    pooled = []
    for axis in (0, 1):
        patches = [_phases(patch[axis]) for patch in jumps(photo)]
        pooled.append(np.mean(patches, axis=0))
    return pooled[0], pooled[1]


def _phases(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """The first step that has two neighbours is the one behind pixel 1."""
    where = np.arange(1, len(share) + 1) % 8
    return np.bincount(where, share, minlength=8) / np.bincount(where, minlength=8)


def _larger(luma: Floats, axis: int) -> NDArray[np.float64]:
    cv2 = opencv()
    if axis == 0:
        steps = cv2.absdiff(luma[1:], luma[:-1])
        here, beside = steps[1:-1], cv2.max(steps[:-2], steps[2:])
    else:
        steps = cv2.absdiff(luma[:, 1:], luma[:, :-1])
        here, beside = steps[:, 1:-1], cv2.max(steps[:, :-2], steps[:, 2:])
    larger = cv2.compare(here, beside, cv2.CMP_GT)  # 255 where it is
    counts = cv2.reduce(larger, 1 - axis, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel() // 255
    return counts / larger.shape[1 - axis]
