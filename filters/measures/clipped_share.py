"""Share of pixels whose brightest channel is at the upper end (253 or more of 255). More is more over-exposed.

Saturated red and yellow flowers clip too; the share of a whole scene tells more than that of a detail.

Never None.
"""

from __future__ import annotations

import numpy as np

from filters.measures import Photo

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """0 to 1."""
    red, green, blue = (photo.rgb[:, :, channel] >= 253 for channel in range(3))
    return float(np.mean(red | green | blue))
