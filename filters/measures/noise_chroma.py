"""Noise of the colour (red less green) in the smoothest tenth of the image, standard deviation in grey levels.

As noise_immerkaer, on R - G, in steps of two pixels, because JPEG and video store colour at half the resolution. Fine
texture is mostly grey, so that grass and gravel, which look like noise in the luma, do not here. 0 for grey images.

None: no usable tile.
"""

from __future__ import annotations

from filters.measures import Photo, opencv, second_difference
from filters.measures._noise import smoothest

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """Grey levels, from 0."""
    cv2 = opencv()
    levels, differences = [], []
    for patch, luma in zip(photo.patches, photo.lumas, strict=True):
        if min(luma.shape) < 32:
            continue
        size = (luma.shape[1] // 2, luma.shape[0] // 2)
        colour = cv2.subtract(patch[:, :, 0], patch[:, :, 1], dtype=cv2.CV_32F)
        half = cv2.resize(colour, size, interpolation=cv2.INTER_AREA)
        differences.append(second_difference(half))
        levels.append(cv2.resize(luma, size, interpolation=cv2.INTER_AREA))
    return smoothest(levels, differences) if levels else None
