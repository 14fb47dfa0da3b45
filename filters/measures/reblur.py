"""Gradients at edges as stored, over those after a blur of 0.7 px: log of the median ratio. Less is blurrier.

See _reblur: blurring again changes little where an edge is soft. Noise and sharpening raise it.

None: fewer than 20 edge pixels.
"""

from __future__ import annotations

import numpy as np

from filters.measures import Photo
from filters.measures._reblur import FEWEST, ratios

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """Log of a ratio, about 0 to 1."""
    found = ratios(photo)
    return None if len(found) < FEWEST else float(np.median(found))
