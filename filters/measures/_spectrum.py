"""The power spectrum of the parts of an image that have most gradient, less that of its noise: for several measures.

A camera's noise fills the high frequencies and would pass for detail. The tiles with least gradient show what it looks
like; what they have at a frequency, is taken off.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filters.measures import Floats, Photo, tiles

SHARE_OF_TILES = 0.3
SHARE_OF_QUIET = 0.1
BANDS = ((0.03, 0.1), (0.1, 0.2), (0.2, 0.3), (0.3, 0.4), (0.4, 0.5))
"""Cycles per px."""
FLOOR = 1e-3
"""Of power, so that logarithms of nothing do not arise."""


def busy_spectrum(photo: Photo) -> NDArray[np.float64] | None:
    """[size, size // 2 + 1]: power by frequency, mean over the tiles with most gradient less that over the quietest.

    Tiles have a Hann window and their mean removed.

    None: smaller than one tile, or without any gradient.
    """
    return photo.cached("spectrum", lambda: _measured(photo))


@cache
def frequencies(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Vertical and horizontal frequency of each entry of a spectrum of tiles of that size, cycles per px."""
    shape = (size, size // 2 + 1)
    vertical: NDArray[Any] = np.broadcast_to(np.fft.fftfreq(size)[:, None], shape)
    horizontal: NDArray[Any] = np.broadcast_to(np.fft.rfftfreq(size)[None, :], shape)
    return vertical, horizontal


def _measured(photo: Photo) -> NDArray[np.float64] | None:
    size = photo.tile_px
    cut = tiles(photo.lumas, size)
    if not len(cut):
        return None
    down, across = np.diff(cut, axis=1)[:, :, 1:], np.diff(cut, axis=2)[:, 1:, :]
    energy = np.einsum("nij,nij->n", down, down) + np.einsum("nij,nij->n", across, across)
    energy = energy / (size - 1) ** 2
    order = np.argsort(-energy, kind="stable")
    if energy[order[0]] < 1.0:
        return None
    busy = _power(cut[order[: max(1, round(SHARE_OF_TILES * len(cut)))]])
    quiet = _power(cut[order[-max(1, round(SHARE_OF_QUIET * len(cut))) :]])
    # An image of one or two tiles has no quiet part to learn the noise from.
    return np.maximum(busy - quiet, 0.0) + FLOOR if len(cut) >= 4 else busy + FLOOR


def _power(chosen: Floats) -> NDArray[np.float64]:
    size = chosen.shape[1]
    hann = np.hanning(size + 2)[1:-1]
    windowed = chosen - chosen.mean(axis=(1, 2), keepdims=True)
    windowed = windowed.astype(np.float64) * np.outer(hann, hann)
    return (np.abs(np.fft.rfft2(windowed)) ** 2).mean(axis=0)


def by_radius(power: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Radial frequency (bins of 1 / size, 2 / size to 0.5) and the mean power there."""
    size = power.shape[0]
    vertical, horizontal = frequencies(size)
    ring = np.rint(np.hypot(vertical, horizontal) * size).astype(np.int64).ravel()
    count = np.bincount(ring)
    mean = np.bincount(ring, power.ravel()) / np.maximum(count, 1)
    rings = np.arange(2, size // 2 + 1)
    return rings / size, mean[rings]


def band_fall(photo: Photo, number: int) -> float | None:
    """Mean log power of one of BANDS less that of the next; None where there is no spectrum."""
    power = busy_spectrum(photo)
    if power is None:
        return None
    frequency, mean = by_radius(power)
    levels = [
        float(np.log(mean[(frequency > low) & (frequency <= high)]).mean())
        for low, high in BANDS[number : number + 2]
    ]
    return levels[0] - levels[1]
