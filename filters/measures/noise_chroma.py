"""Noise of the colour (red less green) in the smoothest tenth of the image, standard deviation in grey levels.

As noise_immerkaer, on R - G, in steps of two pixels, because JPEG and video store colour at half the resolution. Fine
texture is mostly grey, so that grass and gravel, which look like noise in the luma, do not here. 0 for grey images.

None: no usable tile.
"""

from __future__ import annotations

from filters.measures import Photo, opencv, reduced, second_difference
from filters.measures._noise import smoothest

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """Grey levels, from 0."""
    cv2 = opencv()
    differences = [
        second_difference(reduced(cv2.subtract(red, green, dtype=cv2.CV_32F), 2))
        for red, green, _ in photo.channels
        if min(red.shape) >= 32
    ]
    return smoothest(photo.halves, differences) if differences else None
