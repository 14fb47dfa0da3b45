"""Width of the sharpest quarter of the edges in the direction where they are widest, px. More is blurrier.

The edges of edge_sigma_coarse by the direction of their gradient. What a percentile over all edges misses: a moved
picture whose sharp edges lie along the motion.

None: no direction with 20 edge pixels.
"""

from __future__ import annotations

from filters.measures import Photo
from filters.measures._edges import by_direction, edge_widths

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """Px, 0 to 8."""
    quarters = by_direction(*edge_widths(photo, fine_px=1.5, coarse_px=3.0))
    return max(quarters) if quarters else None
