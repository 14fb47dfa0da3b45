"""Mean luma of the brightest tenth of tiles of 32 px, grey levels, bars left out. Less is darker.

Lamps and specks count less than in a percentile over pixels.

None: smaller than one tile.
"""

from __future__ import annotations

from filters.measures import Photo
from filters.measures._light import tile_light

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """0 to 255."""
    return tile_light(photo, 90)
