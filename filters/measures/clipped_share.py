"""Share of pixels whose brightest channel is at the upper end (253 or more of 255). More is more over-exposed.

Saturated red and yellow flowers clip too; the share of a whole scene tells more than that of a detail.

Never None.
"""

from __future__ import annotations

import numpy as np

from filters.measures import Photo

VERSION = "2"


def measure(photo: Photo) -> float | None:
    """0 to 1."""
    clipped = 0
    for patch in photo.patches:
        red, green, blue = (patch[:, :, channel] >= 253 for channel in range(3))
        clipped += int(np.count_nonzero(red | green | blue))
    return clipped / photo.luma_values.size
