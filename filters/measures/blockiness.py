"""How much luma jumps at every eighth row and column more than elsewhere. More is blockier; 0 is none.

A pixel counts where the step to its neighbour exceeds the steps before and behind it; the share of such pixels per
column (and row), averaged by phase modulo 8: the highest phase less the mean of the others, averaged over both
directions. Finds a block grid at any offset; a grid that was resized is at other periods and is missed.

None: smaller than 24 px.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from filters.measures import Floats, Photo

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """Share of pixels, 0 to 1."""
    if min(photo.luma.shape) < 24:
        return None
    profiles = _by_phase(photo.luma), _by_phase(photo.luma.T)
    excess = [float(p.max() - (p.sum() - p.max()) / 7) for p in profiles]
    return (excess[0] + excess[1]) / 2


def grid_phases(photo: Photo) -> tuple[int, int]:
    """(row, column) of the upper left corner of the likeliest 8x8 grid."""
    if min(photo.luma.shape) < 24:
        return 0, 0
    rows, columns = _by_phase(photo.luma.T), _by_phase(photo.luma)
    # A step between columns x and x + 1 has phase x modulo 8; the block begins at x + 1.
    return (int(rows.argmax()) + 1) % 8, (int(columns.argmax()) + 1) % 8


def _by_phase(luma: Floats) -> NDArray[np.float64]:
    """[8]: share of horizontal steps that exceed both neighbouring steps, by column modulo 8."""
    steps = np.abs(np.diff(luma, axis=1))
    larger = (steps[:, 1:-1] > steps[:, :-2]) & (steps[:, 1:-1] > steps[:, 2:])
    share = larger.mean(axis=0)
    columns = np.arange(1, steps.shape[1] - 1)
    return np.array([share[columns % 8 == phase].mean() for phase in range(8)])
