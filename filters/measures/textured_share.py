"""Share of the image in which there is something to see: tiles with a standard deviation of the luma of 8 and more.

Blur hardly changes it, so that it tells whether sharpness can be judged at all: a clear sky or a wall looks the same
sharp or not.

None: smaller than one tile.
"""

from __future__ import annotations

import numpy as np

from filters.measures import Photo, tiles

VERSION = "1"
LEAST_DEVIATION = 8.0


def measure(photo: Photo) -> float | None:
    """0 to 1."""
    cut = tiles(photo.lumas, photo.tile_px)
    if not len(cut):
        return None
    return float(np.mean(cut.var(axis=(1, 2)) >= LEAST_DEVIATION**2))
