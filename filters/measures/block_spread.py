"""How unequal blocks of 8 px are in their detail, log. More: some are empty and some are full, as after a JPEG.

Deviation over mean of the mean absolute second differences; see _grid.

None: smaller than a block.
"""

from __future__ import annotations

import numpy as np

from filters.measures import Photo
from filters.measures._grid import blocks

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """Log, about -4 to 2."""
    return (
        float(np.log(0.01 + found.std() / (found.mean() + 0.1)))
        if len(found := blocks(photo))
        else None
    )
