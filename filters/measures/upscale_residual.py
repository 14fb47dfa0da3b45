"""Energy that halving removes, over the energy that quartering removes, log10. Less means enlarged (or blurred).

The luma less itself halved and enlarged again, squared, over the same at a quarter: log10((e2 + 0.02) / (e4 + 0.5))
per tile, 90th percentile. An image enlarged by two loses nothing when it is halved. Blur does the same to it, so that
this measure can't tell the two apart.

None: smaller than one tile.
"""

from __future__ import annotations

import numpy as np

from filters.measures import Floats, Photo, opencv, reduced, tiles

VERSION = "2"


def measure(photo: Photo) -> float | None:
    """Dimensionless, about -3 to 0."""
    size = photo.tile_px
    if min(photo.rgb.shape[:2]) < size:
        return None
    halved, quartered = (
        tiles(
            [_residual(luma, one) for luma, one in zip(photo.lumas, small, strict=True)], size
        ).mean(axis=(1, 2))
        for small in (photo.halves, [reduced(luma, 4) for luma in photo.lumas])
    )
    ratio = (halved.astype(np.float64) + 0.02) / (quartered + 0.5)
    return float(np.percentile(np.log10(ratio), 90))


def _residual(luma: Floats, small: Floats) -> Floats:
    """Squared difference to the reduced luma enlarged again."""
    cv2 = opencv()
    found = cv2.resize(small, luma.shape[::-1], interpolation=cv2.INTER_CUBIC)
    np.subtract(luma, found, out=found)
    return np.multiply(found, found, out=found)
