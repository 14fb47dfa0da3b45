"""Share of pixels that equal their right and their lower neighbour. Near 1 for screenshots and other graphics.

Sensors make noise everywhere but in clipped areas; drawn areas have none. A JPEG of good quality keeps most of it.

Never None.
"""

from __future__ import annotations

import numpy as np

from filters.measures import Photo, opencv

VERSION = "1"
LEAST_CHANGE = 1.0
"""Grey levels of luma below which neighbours count as equal: JPEG leaves such ripples on drawn areas."""


def measure(photo: Photo) -> float | None:
    """0 to 1; clipped white and black are not counted."""
    same = total = 0
    cv2 = opencv()
    for luma in photo.lumas:
        here = luma[:-1, :-1]
        if not here.size:
            continue
        inside = (here > 2) & (here < 253)
        change = cv2.max(cv2.absdiff(here, luma[:-1, 1:]), cv2.absdiff(here, luma[1:, :-1]))
        same += int(np.count_nonzero((change < LEAST_CHANGE) & inside))
        total += here.size
    return same / total if total else 0.0
