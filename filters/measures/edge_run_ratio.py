"""How much longer edges run along one axis than along the other, log of a ratio. More is more like motion blur.

The means of the runs (see _reblur) by axis, half a pixel added to each.

None: fewer than 20 edge pixels one way.
"""

from __future__ import annotations

import math

from filters.measures import Photo
from filters.measures._reblur import run_statistic

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """0 to about 2."""
    return run_statistic(
        photo, lambda x, y: abs(math.log((float(x.mean()) + 0.5) / (float(y.mean()) + 0.5)))
    )
