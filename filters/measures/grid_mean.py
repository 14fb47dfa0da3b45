"""How strongly a grid of 8 px shows, log, mean of both directions. More is blockier.

See _grid.

None: smaller than 32 px.
"""

from __future__ import annotations

from filters.measures import Photo
from filters.measures._grid import grid

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """Log, about -5 to 0."""
    return grid(photo, "mean")
