"""Fine detail of the sharpest tenth of the image: log10 of the Laplacian's variance over the luma's. Less is blurrier.

Per tile with a variance above 25 (grey levels squared), log10(var(Laplacian) / (var(luma) + 25)); the 90th percentile
over the tiles, so that flat and defocused parts do not count. Noise raises it.

None: no tile has that much contrast.
"""

from __future__ import annotations

import numpy as np

from filters.measures import Photo, opencv, tiles

VERSION = "2"


def measure(photo: Photo) -> float | None:
    """Dimensionless, about -3 (very blurred) to 0.5 (noise)."""
    cv2 = opencv()
    size = photo.tile_px
    contrast = photo.tile_variances
    sharpness = [cv2.Laplacian(luma, cv2.CV_32F) for luma in photo.lumas]
    detail = tiles(sharpness, size).var(axis=(1, 2))
    textured = contrast > 25
    if not textured.any():
        return None
    ratio = detail[textured].astype(np.float64) / (contrast[textured] + 25) + 1e-6
    return float(np.percentile(np.log10(ratio), 90))
