"""Grain of quiet tiles over that of busy ones, log. Near 0: noise everywhere; far below: detail on clean ground.

The 20th percentile of the squared second difference by tile over the 80th; see _grain.

None: fewer than five tiles that are neither black nor white.
"""

from __future__ import annotations

from filters.measures import Photo
from filters.measures._grain import quiet

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """Log, about -12 to 0."""
    return quiet(photo, "ratio")
