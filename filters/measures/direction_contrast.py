"""How much more fine detail one direction has than another, log10. More is more like motion blur.

The largest less the least of the 18 spectral ratios of directional_detail. Defocus takes detail in all directions
alike, motion along one; what was built or woven in one direction (facades, fences) reads high as well.

None: smaller than one tile, or without any gradient.
"""

from __future__ import annotations

from filters.measures import Photo
from filters.measures.directional_detail import directional_moments

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """log10 of a ratio, from 0 to about 1.5."""
    moments = directional_moments(photo)
    return None if moments is None else float(moments.max() - moments.min())
