"""Noise in the smoothest tenth of the image, standard deviation in grey levels. More is noisier.

Immerkaer's estimate (Fast noise variance estimation, 1996), sqrt(pi/2)/6 * mean |second difference|, per 16 px tile
whose mean luma is between 6 and 249; the 10th percentile over the tiles, because texture looks like noise to it.

None: no such tile.
"""

from __future__ import annotations

import numpy as np

from filters.measures import Photo

VERSION = "1"
TILE_PX = 16


def measure(photo: Photo) -> float | None:
    """Grey levels, from 0."""
    level = photo.tiles(photo.luma, TILE_PX).mean(axis=(1, 2), dtype=np.float64)
    noise = photo.tiles(photo.second_difference, TILE_PX).mean(axis=(1, 2), dtype=np.float64)
    usable = (level >= 6) & (level <= 249)
    if not usable.any():
        return None
    return float(np.sqrt(np.pi / 2) / 6 * np.percentile(noise[usable], 10))
