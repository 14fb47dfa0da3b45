"""Width of the sharpest quarter of the edges, seen at twice the scale of edge_sigma, in pixels. More is blurrier.

The same formula with gradients at 1.5 and 3 px: noise and a second JPEG save, which add fine steps of their own, move
it less, and strong blur more.

None: fewer than 20 edge pixels (a flat image). Never above 8 px.
"""

from __future__ import annotations

from filters.measures import Photo
from filters.measures._edges import edge_widths, lower_quarter

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """Edge width in px, 0 to 8."""
    widths, _ = edge_widths(photo, fine_px=1.5, coarse_px=3.0)
    return lower_quarter(widths)
