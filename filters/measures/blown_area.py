"""Largest connected area with a luma above 248, as a share of the picture. More is more over-exposed.

On the luma averaged over 4 x 4 px, where nine tenths of them are that bright. A lamp or a sparkle is small, a sky or a
wall that was lost is large. In the patch that has most of it; bars around the picture are left out.

Never None.
"""

from __future__ import annotations

import numpy as np

from filters.measures import Photo, opencv
from filters.measures._inside import inside

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """0 to 1."""
    cv2 = opencv()
    largest = 0.0
    for luma in inside(photo).lumas:
        if min(luma.shape) < 4:
            continue
        size = (luma.shape[1] // 4, luma.shape[0] // 4)
        bright = cv2.resize((luma > 248).astype(np.float32), size, interpolation=cv2.INTER_AREA)
        statistics = cv2.connectedComponentsWithStats((bright > 0.9).astype(np.uint8))[2]
        if len(statistics) > 1:
            largest = max(largest, float(statistics[1:, cv2.CC_STAT_AREA].max()) / bright.size)
    return largest
