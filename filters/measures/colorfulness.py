"""How colourful an image is, grey levels: 0 is grey, about 30 moderately, above 80 very colourful.

Hasler and Suesstrunk, Measuring colourfulness in natural images (2003): with the opponent channels rg = R - G and
yb = (R + G) / 2 - B, the root of the summed variances plus 0.3 times the root of the summed squared means. Neither way
is worse; it tells faded scans and black-and-white photographs from the rest.

Never None.
"""

from __future__ import annotations

import numpy as np

from filters.measures import Photo

VERSION = "1"


def measure(photo: Photo) -> float | None:
    """0 to about 180."""
    red, green, blue = (photo.rgb[:, :, channel].astype(np.float32) for channel in range(3))
    opponents = (red - green, (red + green) / 2 - blue)
    spread = np.sqrt(sum(float(np.var(o, dtype=np.float64)) for o in opponents))
    offset = np.sqrt(sum(float(np.mean(o, dtype=np.float64)) ** 2 for o in opponents))
    return float(spread + 0.3 * offset)
