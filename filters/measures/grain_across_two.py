"""How alike the grain of the quietest tiles is at two px across. Near 0.1: white noise.

As grain_across, at two px.

None: fewer than five tiles that are neither black nor white.
"""

from __future__ import annotations

from filters.measures import Photo
from filters.measures._grain import quiet

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """-1 to 1."""
    return quiet(photo, "across_two")
