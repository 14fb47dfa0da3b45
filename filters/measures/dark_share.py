"""Share of pixels with a luma below 32, bars left out. More is darker.

Never None.
"""

from __future__ import annotations

from filters.measures import Photo
from filters.measures._light import share_above

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """0 to 1."""
    return 1.0 - share_above(photo, 32)
