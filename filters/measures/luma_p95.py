"""95th percentile of the luma, 0 to 255. Less is darker.

The 95th, because a few lamps in a night scene lift any higher percentile.

Never None.
"""

from __future__ import annotations

from filters.measures import Photo, percentile_of_counts

VERSION = "2"


def measure(photo: Photo) -> float | None:
    """Grey levels, 0 to 255."""
    return percentile_of_counts(photo.luma_counts, 95)
