"""Share of pixels with all three channels at the upper end (250 or more of 255). More is more over-exposed.

Beside clipped_share, which a saturated flower raises as well.

Never None.
"""

from __future__ import annotations

import numpy as np

from filters.measures import Photo, opencv

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """0 to 1."""
    white = 0
    cv2 = opencv()
    for red, green, blue in photo.channels:
        white += int(np.count_nonzero(cv2.min(cv2.min(red, green), blue) >= 250))
    return white / photo.luma_values.size
