"""Share of pixels with a luma of 250 or more, bars left out. More is more over-exposed.

By luma, not by channel: a saturated flower or a blue sky at the end of one channel does not count.

Never None.
"""

from __future__ import annotations

from filters.measures import Photo
from filters.measures._light import share_above

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """0 to 1."""
    return share_above(photo, 250)
