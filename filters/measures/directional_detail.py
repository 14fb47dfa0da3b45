"""Fine detail in the direction that has least of it, log10. Less is blurrier; finds motion, which blurs one way only.

From the mean power spectrum P(f) of the tiles with most gradient (Hann window), for 18 directions u the ratio of
fourth to second spectral moment, log10(sum P (f.u)^4 / sum P (f.u)^2) over 0.02 to 0.48 cycles per px; the least of
them. A sharp image has fine detail in all directions, a moved one lacks it along the motion, a defocused one in all.

None: smaller than one tile, or without any gradient.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from filters.measures import Photo

VERSION = "1"
DIRECTIONS = 18
SHARE_OF_TILES = 0.3


def measure(photo: Photo) -> float | None:
    """log10 of squared cycles per px, about -3 to -0.9."""
    moments = directional_moments(photo)
    return None if moments is None else float(moments.min())


def directional_moments(photo: Photo) -> NDArray[np.float64] | None:
    """[18]: the ratio for each direction, log10; None where it means nothing."""
    size = photo.tile_px
    tiles = photo.tiles(photo.luma, size).astype(np.float64)
    if not len(tiles):
        return None
    steps = np.diff(tiles, axis=1)[:, :, 1:] ** 2 + np.diff(tiles, axis=2)[:, 1:, :] ** 2
    energy = steps.mean(axis=(1, 2))
    chosen = np.argsort(-energy, kind="stable")[: max(1, round(SHARE_OF_TILES * len(tiles)))]
    if energy[chosen].max() < 1.0:
        return None
    window, second, fourth = _weights(size)
    tiles = tiles[chosen]
    tiles = (tiles - tiles.mean(axis=(1, 2), keepdims=True)) * window
    power = (np.abs(np.fft.rfft2(tiles)) ** 2).mean(axis=0).ravel()
    return np.log10((fourth @ power + 1e-9) / (second @ power + 1e-9))


@cache
def _weights(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Hann window [size, size], and (f.u)^2 and (f.u)^4 for each direction over the half spectrum, flattened."""
    hann = np.hanning(size + 2)[1:-1]
    rows, columns = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]
    radius = np.hypot(rows, columns)
    inside = (radius >= 0.02) & (radius <= 0.48)
    angles = np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    along = [np.where(inside, columns * np.cos(a) + rows * np.sin(a), 0.0).ravel() for a in angles]
    second = np.array(along) ** 2
    return np.outer(hann, hann), second, second**2
