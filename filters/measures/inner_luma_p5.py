"""Luma at the 5th percentile, bars left out, grey levels: the darkest twentieth. Less is darker.

Never None.
"""

from __future__ import annotations

from filters.measures import Photo
from filters.measures._light import luma_percentile

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """0 to 255."""
    return luma_percentile(photo, 5)
