"""Fall of the spectrum from 0.3-0.4 to 0.4-0.5 cycles per px, log of power. More is blurrier.

Of the tiles with most gradient, less the noise of the quietest; see _spectrum. Blur, enlarging and sharpening each have
a fall of their own.

None: smaller than one tile, or without any gradient.
"""

from __future__ import annotations

from filters.measures import Photo
from filters.measures._spectrum import band_fall

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """Log of a ratio of powers, about -2 to 8."""
    return band_fall(photo, 3)
