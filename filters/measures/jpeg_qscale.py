"""Coarseness of a JPEG quantisation that the pixels still show, as a multiple of the standard table. More is worse.

DCT coefficients of an image that was once a JPEG gather at multiples of the quantisation step. At the best 8x8 offset,
for each of 12 low AC coefficients the largest step q whose comb score S(q) = mean cos(2 pi |c| / q) over |c| > 0.6 q,
less 1.5/sqrt(n), is above three quarters of the best one; the median of q over the standard table's entries. Quality
90 reads about 0.2, 75 about 0.5, 50 about 1, 35 about 1.5, 15 about 3.6. It finds the first of two saves on one grid,
also after a crop and in a PNG. After a resize it is 0: blockiness sees some of those.

0: no comb found. None: smaller than 4 x 4 blocks.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filters.measures import Photo, tiles
from filters.measures.blockiness import grid_phases

VERSION = "2"
MOST_BLOCKS = 1024
COEFFICIENTS = (
    (0, 1),
    (1, 0),
    (1, 1),
    (0, 2),
    (2, 0),
    (1, 2),
    (2, 1),
    (2, 2),
    (0, 3),
    (3, 0),
    (1, 3),
    (3, 1),
)
STEPS = np.arange(2, 90, dtype=np.float64)

_LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    dtype=np.float64,
)


@cache
def standard_table(quality: int) -> NDArray[np.float64]:
    """[8, 8]: the standard luminance table scaled to a quality of 1 to 100 as libjpeg does."""
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    return np.clip(np.floor((_LUMINANCE * scale + 50) / 100), 1, 255)


def measure(photo: Photo) -> float | None:
    """Multiple of the standard table, 0 or about 0.1 to 5."""
    # scipy.fft hides its types behind a dispatcher.
    from scipy import fft

    dctn: Any = fft.dctn

    top, left = grid_phases(photo)
    blocks = tiles([luma[top:, left:] for luma in photo.lumas], 8)
    if len(blocks) < 16:
        return None
    if len(blocks) > MOST_BLOCKS:
        blocks = blocks[np.linspace(0, len(blocks) - 1, MOST_BLOCKS).astype(np.int64)]
    coefficients: NDArray[np.float64] = dctn(
        blocks.astype(np.float64) - 128, axes=(1, 2), norm="ortho"
    )
    scales = [
        step / _LUMINANCE[row, column]
        for row, column in COEFFICIENTS
        if (step := _step(np.abs(coefficients[:, row, column]))) is not None
    ]
    # A few combs by chance say nothing.
    return float(np.median(scales)) if len(scales) >= 3 else 0.0


def _step(values: NDArray[np.float64]) -> float | None:
    """Quantisation step that the absolute values of a coefficient show; None without a comb."""
    counted = values[None, :] > 0.6 * STEPS[:, None]
    # Cosines are what this costs: of those alone that count, which are few.
    phases = np.zeros(counted.shape)
    phases[counted] = np.cos((2 * np.pi * values[None, :] / STEPS[:, None])[counted])
    count = counted.sum(axis=1)
    enough = count >= 8
    scores = phases.sum(axis=1) / np.maximum(count, 1)
    scores = np.where(enough, scores - 1.5 / np.sqrt(np.maximum(count, 1)), -1.0)
    best = scores.max()
    if best <= 0.25:
        return None
    return float(STEPS[np.flatnonzero(scores > 0.75 * best)[-1]])
