"""95th percentile of the luma, 0 to 255. Less is darker.

The 95th, because a few lamps in a night scene lift any higher percentile.

Never None.
"""

from __future__ import annotations

import numpy as np

from filters.measures import Photo

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """Grey levels, 0 to 255."""
    return float(np.percentile(photo.luma, 95))
