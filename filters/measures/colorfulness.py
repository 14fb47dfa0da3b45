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
    sums, squares = np.zeros(2), np.zeros(2)
    for red, green, blue in photo.channels:
        rg = cv2.subtract(red, green, dtype=cv2.CV_32F)
        yb = cv2.subtract(
            cv2.addWeighted(red, 0.5, green, 0.5, 0.0, dtype=cv2.CV_32F), blue, dtype=cv2.CV_32F
        )
        for channel, plane in enumerate((rg, yb)):
            mean, deviation = (float(one[0, 0]) for one in cv2.meanStdDev(plane))
            sums[channel] += plane.size * mean
            squares[channel] += plane.size * (mean**2 + deviation**2)
    mean = sums / photo.luma_values.size
    variance = np.maximum(0.0, squares / photo.luma_values.size - mean**2)
    return float(np.sqrt(variance.sum()) + 0.3 * np.hypot(*mean))
