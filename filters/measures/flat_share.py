"""Share of pixels that equal their right and their lower neighbour. Near 1 for screenshots and other graphics.

Sensors make noise everywhere but in clipped areas; drawn areas have none. A JPEG of good quality keeps most of it.

Never None.
"""

from __future__ import annotations

import numpy as np

from filters.measures import Photo

VERSION = "1"
LEAST_CHANGE = 1.0
"""Grey levels of luma below which neighbours count as equal: JPEG leaves such ripples on drawn areas."""


def measure(photo: Photo) -> float | None:
    """0 to 1; clipped white and black are not counted."""
    same = total = 0
    for luma in photo.lumas:
        here = luma[:-1, :-1]
        inside = (here > 2) & (here < 253)
        flat = (np.abs(here - luma[:-1, 1:]) < LEAST_CHANGE) & (
            np.abs(here - luma[1:, :-1]) < LEAST_CHANGE
        )
        same += int(np.count_nonzero(flat & inside))
        total += here.size
    return same / total if total else 0.0
