"""How much wider the edges across one direction are than those across another, px. More is more like motion blur.

The edges of edge_sigma, sorted by the direction of their gradient into eight; in each the 25th percentile of their
widths; the largest less the least. Motion widens the edges that lie across it and leaves those along it sharp; defocus
widens all alike.

None: fewer than two directions with 20 edge pixels.
"""

from __future__ import annotations

from filters.measures import Photo
from filters.measures._edges import by_direction, edge_widths

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """Px, 0 to 8."""
    quarters = by_direction(*edge_widths(photo, fine_px=0.7, coarse_px=1.5))
    return max(quarters) - min(quarters) if len(quarters) >= 2 else None
