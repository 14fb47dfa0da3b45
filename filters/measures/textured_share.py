"""Share of the image in which there is something to see: tiles with a standard deviation of the luma of 8 and more.

Blur hardly changes it, so that it tells whether sharpness can be judged at all: a clear sky or a wall looks the same
sharp or not.

None: smaller than one tile.
"""

from __future__ import annotations

import numpy as np

from filters.measures import Photo

VERSION = "1"
LEAST_DEVIATION = 8.0


def measure(photo: Photo) -> float | None:
    """0 to 1."""
    found = photo.tile_variances
    return float(np.mean(found >= LEAST_DEVIATION**2)) if len(found) else None
