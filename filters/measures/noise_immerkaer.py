"""Noise in the smoothest tenth of the image, standard deviation in grey levels. More is noisier.

Immerkaer's estimate (Fast noise variance estimation, 1996), sqrt(pi/2)/6 * mean |second difference|, per 16 px tile
whose mean luma is between 6 and 249; the 10th percentile over the tiles, because texture looks like noise to it.

None: no such tile.
"""

from __future__ import annotations

from filters.measures import Photo
from filters.measures._noise import smoothest

VERSION = "2"


def measure(photo: Photo) -> float | None:
    """Grey levels, from 0."""
    return smoothest(photo.lumas, photo.second_differences)
