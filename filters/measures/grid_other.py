"""How strongly a grid of another period than 8 shows, log. More: a JPEG that was resized.

The strongest of periods from 5 to 15, in the direction where it shows less; see _grid.

None: smaller than 32 px.
"""

from __future__ import annotations

from filters.measures import Photo
from filters.measures._grid import grid

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """Log, about -5 to 0."""
    return grid(photo, "other")
