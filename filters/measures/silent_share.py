"""Share of tiles of 16 px with hardly any second difference. Near 1: drawn, denoised to death, or coarsely quantised.

Below 0.05 squared grey levels; see _grain.

None: fewer than five tiles that are neither black nor white.
"""

from __future__ import annotations

from filters.measures import Photo
from filters.measures._grain import quiet

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """0 to 1."""
    return quiet(photo, "silent")
