"""Noise in the smoothest tenth of the halved image, standard deviation in grey levels. More is noisier.

As noise_immerkaer, after averaging 2 x 2 px. White noise halves; what a camera's or an editor's noise reduction left,
blotches some pixels wide, stays.

None: no usable tile.
"""

from __future__ import annotations

from filters.measures import Photo, second_difference
from filters.measures._noise import smoothest

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """Grey levels, from 0."""
    if not photo.halves:
        return None
    return smoothest(photo.halves, [second_difference(half) for half in photo.halves])
