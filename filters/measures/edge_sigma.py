"""Width of the sharpest quarter of the edges, in pixels (standard deviation of a Gaussian edge). More is blurrier.

Gradients at two scales: an edge of width s that is smoothed by a and by b has gradient peaks in the ratio
R = ((b^2 + s^2) / (a^2 + s^2))^(1/2), hence s^2 = (b^2 - R^2 a^2) / (R^2 - 1) (after Zhuo and Sim, Defocus map
estimation from a single image, 2011). Taken on the ridges of the gradient, where it stands out from the image's noise;
the 25th percentile, so that a bokeh background does not make a sharp portrait blurred. Noise hardly moves it.
The derivative's own width stays in: a perfect step reads about 0.8 px, one blurred by 1 px about 1.2.

None: fewer than 20 edge pixels (a flat image). Never above 8 px.
"""

from __future__ import annotations

from filters.measures import Photo
from filters.measures._edges import edge_widths, lower_quarter

VERSION = "2"


def measure(photo: Photo) -> float | None:
    """Edge width in px, 0 to 8."""
    widths, _ = edge_widths(photo, fine_px=0.7, coarse_px=1.5)
    return lower_quarter(widths)
