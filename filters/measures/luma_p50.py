"""Median of the luma, 0 to 255. Less is darker.

With the 95th percentile it tells a night scene with lamps from one that is merely underexposed.

Never None.
"""

from __future__ import annotations

from filters.measures import Photo, percentile_of_counts

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """Grey levels, 0 to 255."""
    return percentile_of_counts(photo.luma_counts, 50)
