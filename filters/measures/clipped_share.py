"""Share of pixels whose brightest channel is at the upper end (253 or more of 255). More is more over-exposed.

Saturated red and yellow flowers clip too; the share of a whole scene tells more than that of a detail.

Never None.
"""

from __future__ import annotations

import numpy as np

from filters.measures import Photo, opencv

VERSION = "2"


def measure(photo: Photo) -> float | None:
    """0 to 1."""
    clipped = 0
    cv2 = opencv()
    for red, green, blue in photo.channels:
        clipped += int(np.count_nonzero(cv2.max(cv2.max(red, green), blue) >= 253))
    return clipped / photo.luma_values.size
