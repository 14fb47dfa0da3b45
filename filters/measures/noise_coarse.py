"""Noise in the smoothest tenth of the halved image, standard deviation in grey levels. More is noisier.

As noise_immerkaer, after averaging 2 x 2 px. White noise halves; what a camera's or an editor's noise reduction left,
blotches some pixels wide, stays.

None: no usable tile.
"""

from __future__ import annotations

from filters.measures import Photo, opencv, second_difference
from filters.measures._noise import smoothest

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """Grey levels, from 0."""
    cv2 = opencv()
    halves = [
        cv2.resize(luma, (luma.shape[1] // 2, luma.shape[0] // 2), interpolation=cv2.INTER_AREA)
        for luma in photo.lumas
        if min(luma.shape) >= 32
    ]
    if not halves:
        return None
    return smoothest(halves, [second_difference(half) for half in halves])
