"""Share of blocks of 8 px that hold next to nothing. More: coarse quantisation, or sky.

Mean absolute second difference below 0.6 grey levels; see _grid.

None: smaller than a block.
"""

from __future__ import annotations

from filters.measures import Photo
from filters.measures._grid import STILL, blocks

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """0 to 1."""
    return float((found < STILL).mean()) if len(found := blocks(photo)) else None
