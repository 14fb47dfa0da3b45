"""How colourful an image is, grey levels: 0 is grey, about 30 moderately, above 80 very colourful.

Hasler and Suesstrunk, Measuring colourfulness in natural images (2003): with the opponent channels rg = R - G and
yb = (R + G) / 2 - B, the root of the summed variances plus 0.3 times the root of the summed squared means. Neither way
is worse; it tells faded scans and black-and-white photographs from the rest.

Never None.
"""

from __future__ import annotations

import numpy as np

from filters.measures import Photo, opencv

VERSION = "2"


def measure(photo: Photo) -> float | None:
    """0 to about 180."""
    cv2 = opencv()
    opponents = np.array([[1.0, -1.0, 0.0], [0.5, 0.5, -1.0]], dtype=np.float32)
    sums, squares = np.zeros(2), np.zeros(2)
    for patch in photo.patches:
        mean, deviation = cv2.meanStdDev(cv2.transform(patch.astype(np.float32), opponents))
        pixels = patch.shape[0] * patch.shape[1]
        sums += pixels * mean[:, 0]
        squares += pixels * (mean[:, 0] ** 2 + deviation[:, 0] ** 2)
    mean = sums / photo.luma_values.size
    variance = np.maximum(0.0, squares / photo.luma_values.size - mean**2)
    return float(np.sqrt(variance.sum()) + 0.3 * np.hypot(*mean))
