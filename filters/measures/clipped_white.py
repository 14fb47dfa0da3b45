"""Share of pixels with all three channels at the upper end (250 or more of 255). More is more over-exposed.

Beside clipped_share, which a saturated flower raises as well.

Never None.
"""

from __future__ import annotations

import numpy as np

from filters.measures import Photo

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """0 to 1."""
    white = 0
    for patch in photo.patches:
        red, green, blue = (patch[:, :, channel] >= 250 for channel in range(3))
        white += int(np.count_nonzero(red & green & blue))
    return white / photo.luma_values.size
