"""Grain in the smoothest tenth of the tiles of the picture as it is, log of grey levels. More is noisier.

Percentile 10 over tiles of 8 px of the mean second difference; see _grain. Says something beside its sisters at other
sizes: noise of a camera is coarser than white noise, and detail finer than both.

None: fewer than five tiles that are neither black nor white.
"""

from __future__ import annotations

from filters.measures import Photo
from filters.measures._grain import grain

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """Log of grey levels, from -3."""
    return grain(photo, 0, 10)
