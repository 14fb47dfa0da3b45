"""Share of pixels in the three fullest of 256 luma bins. Near 1 for screenshots, diagrams and other graphics.

Never None.
"""

from __future__ import annotations

import numpy as np

from filters.measures import Photo

VERSION = "2"


def measure(photo: Photo) -> float | None:
    """0 to 1."""
    return float(np.sort(photo.luma_counts)[-3:].sum() / photo.luma_values.size)
