"""How far the grain of the quietest tiles is from normal, log of kurtosis. Near 1.1: a sensor; more: edges, blocks.

Fourth moment of the second differences over the squared second one; see _grain.

None: fewer than five tiles that are neither black nor white.
"""

from __future__ import annotations

from filters.measures import Photo
from filters.measures._grain import quiet

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """Log, about 0 to 6."""
    return quiet(photo, "tails")
