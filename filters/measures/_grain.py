"""Grain at three sizes, and how it hangs together: for the measures `grain_*`.

Second differences (Immerkaer 1996) of the luma as it is, halved and quartered, in tiles of 8 px that are neither black
nor white. Noise that went through demosaicing, denoising, reduction or a JPEG has lost what lies between neighbors and
kept what is coarser: no single scale tells it from a sharp, clean picture, several together do. In the fifth of the
tiles of 16 px that has least of it, what neighbors share tells white noise from a camera's and from none. Logs have a
floor of .05 grey levels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from filters.measures import Floats, Photo, opencv, second_difference, tiles

TILE_PX = 8
QUIET_TILE_PX = 16
QUIET_SHARE = 0.2
DARKEST, LIGHTEST = 6, 249
FEWEST = 5
"""Tiles below which nothing is said."""
SCALES = 3
_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


def grain(photo: Photo, scale: int, percent: float) -> float | None:
    """Percentile over tiles of the noise at a scale (0: as it is, 1: halved, 2: quartered), log of grey levels.

    None: fewer than five usable tiles.
    """
    levels: list[NDArray[np.float64]] = photo.cached("grain", lambda: _levels(photo))
    values = levels[scale]
    if len(values) < FEWEST:
        return None
    return float(np.log(0.05 + np.percentile(values, percent) / 6 * np.sqrt(np.pi / 2)))


def quiet(photo: Photo, name: str) -> float | None:
    """A statistic of the quietest tiles; None where there are fewer than five tiles."""
    found: dict[str, float] | None = photo.cached("grain quiet", lambda: _quiet(photo))
    return None if found is None else found[name]


def _levels(photo: Photo) -> list[NDArray[np.float64]]:
    """For each scale the mean absolute second difference of the luma by tile."""
    lumas, steps = photo.lumas, photo.second_differences
    found: list[NDArray[np.float64]] = []
    for scale in range(SCALES):
        if scale:
            lumas = [_halved(plane) for plane in lumas]
            steps = [second_difference(plane) for plane in lumas]
        mean = tiles(lumas, TILE_PX).mean(axis=(1, 2))
        usable = (mean > DARKEST) & (mean < LIGHTEST)
        by_tile = tiles(steps, TILE_PX).mean(axis=(1, 2))
        found.append(by_tile[usable].astype(np.float64))
    return found


def _halved(plane: Floats) -> Floats:
    cv2 = opencv()
    size = (max(2, plane.shape[1] // 2), max(2, plane.shape[0] // 2))
    return cv2.resize(plane, size, interpolation=cv2.INTER_AREA)


def _quiet(photo: Photo) -> dict[str, float] | None:
    cv2 = opencv()
    mean = tiles(photo.lumas, QUIET_TILE_PX).mean(axis=(1, 2))
    steps = tiles([cv2.filter2D(p, -1, _KERNEL) for p in photo.lumas], QUIET_TILE_PX)
    steps = steps[(mean > DARKEST) & (mean < LIGHTEST)]
    if len(steps) < FEWEST:
        return None
    energy = np.square(steps, dtype=np.float64).mean(axis=(1, 2))
    chosen = steps[energy <= np.quantile(energy, QUIET_SHARE)].astype(np.float64)
    power = float(np.square(chosen).mean()) + 1e-3
    low, high = np.quantile(energy, [QUIET_SHARE, 1 - QUIET_SHARE])
    return {
        "across": float((chosen[:, :, 1:] * chosen[:, :, :-1]).mean()) / power,
        "down": float((chosen[:, 1:] * chosen[:, :-1]).mean()) / power,
        "across_two": float((chosen[:, :, 2:] * chosen[:, :, :-2]).mean()) / power,
        "diagonal": float((chosen[:, 1:, 1:] * chosen[:, :-1, :-1]).mean()) / power,
        "tails": float(np.log(float((chosen**4).mean()) / power**2 + 0.1)),
        "ratio": float(np.log((low + 0.01) / (high + 0.01))),
        "silent": float((energy < 0.05).mean()),
    }
