"""How strongly a grid of 8 px shows in the direction where it shows less, log. More is blockier.

Texture that repeats every 8 px one way only does not count; see _grid. It weighs the size of steps.

None: smaller than 32 px.
"""

from __future__ import annotations

from filters.measures import Photo
from filters.measures._grid import grid

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """Log, about -5 to 0."""
    return grid(photo, "weaker")
