"""Standard deviation of the luma, grey levels. Less is flatter.

Never None.
"""

from __future__ import annotations

import numpy as np

from filters.measures import Photo

VERSION = "2"


def measure(photo: Photo) -> float | None:
    """Grey levels, 0 to 128."""
    return float(np.std(photo.luma_values, dtype=np.float64))
